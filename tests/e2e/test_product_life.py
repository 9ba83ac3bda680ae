"""The life of the product under guard: its operator is never denied, and a change that breaks it always is."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from harness.guard import Guard
from harness.machine import Machine
from harness.objects import (
    Json,
    deny_all,
    event_gateway,
    listener,
    management,
    operator,
    policy,
    service_account,
)
from harness.place import POLICIES, Place
from harness.plane import HOST, PORT
from harness.waiting import wait_until

pytestmark = pytest.mark.clusters("plane", "node")  # the operator is a program beside the control plane

ACCOUNT = "ibm-eem-operator"
OLD, NEW = "11-7-4", "11-8-1"  # releases, as in the names of policies
DONE_SECONDS = 30  # a round of the operator takes tenths of a second, a round of a controller takes seconds
COLLECTED_SECONDS = 60  # the garbage collector detects new kinds every 30 s
GATEWAY, MANAGER = "gw-ibm-egw-gateway", "mgr-ibm-eem-manager"


def rights(namespace: str) -> list[Json]:
    """Return the rights of the operator in its namespace, as in its chart."""
    rules = [
        {"apiGroups": [group], "resources": ["*"], "verbs": ["*"]}
        for group in ("events.ibm.com", "networking.k8s.io", "apps")
    ]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT}
    metadata = {"namespace": namespace, "name": ACCOUNT}
    subject = {"kind": "ServiceAccount", "namespace": namespace, "name": ACCOUNT}
    version = "rbac.authorization.k8s.io/v1"
    return [
        {"apiVersion": version, "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": version,
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": role,
            "subjects": [subject],
        },
    ]


class Life:
    """A namespace with the operator in it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._machine = place.machine
        self._token = self._machine.must("create", "token", ACCOUNT, f"--namespace={place.name}").stdout

    @contextmanager
    def operated(self, release: str) -> Iterator[None]:
        """Run one release of the operator during the block. No request of the operator may be denied."""
        settings = {
            "url": f"https://{HOST}:{PORT}",
            "ca": str(self._machine.folder / "pki" / "ca.crt"),
            "token": self._token,
            "namespace": self.place.name,
            "release": release,
        }
        log = self._machine.folder / f"operator-{self.place.name}-{release}.log"
        process = self._machine.start_program("harness.product", settings, log)
        try:
            yield
        finally:
            refused, _ = process.communicate()

        assert (refused, process.returncode, log.read_text()) == ("", 0, "")

    def until_there(self, *names: str, seconds: float = DONE_SECONDS) -> None:
        """Wait until exactly these policies exist, and every replica has seen them."""
        wait_until(lambda: self.place.policies() == set(names), f"the policies {names}", seconds=seconds)
        self.place.guard.until_seen([POLICIES, "pods", "eventgateways", "eventendpointmanagements"])

    def until_running(self, release: str) -> None:
        """Wait until the operator reports both instances as running under *release*."""

        def look() -> bool:
            found = self.place.kubectl("get", "eventgateways,eventendpointmanagements", "--output=json").json["items"]
            return {one.get("status", {}).get("versions", {}).get("reconciled") for one in found} == {release}

        wait_until(look, f"both instances under {release}", seconds=DONE_SECONDS)

    def change(self, kind: str, name: str, spec: Json) -> None:
        """Change the spec of an instance, as the user does."""
        patch = json.dumps({"spec": spec})
        answer = self.place.kubectl("patch", kind, name, "--type=merge", f"--patch={patch}")

        assert answer.status == 0, answer

    def exempted(self) -> set[str]:
        """Return the results of the operator's own changes of policies so far."""
        user = f"system:serviceaccount:{self.place.name}:{ACCOUNT}"
        return {one.result for one in self.place.guard.decisions.unheard(self.place.name) if one.user == user}


@pytest.fixture
def life(place: Place, machine: Machine, guard: Guard) -> Life:
    """Install the Deployment and the account of the operator."""
    place.set_up(operator(place.name), service_account(place.name, ACCOUNT), *rights(place.name))
    machine.must("rollout", "status", "deployment", ACCOUNT, f"--namespace={place.name}", "--timeout=30s")
    guard.until_seen()
    return Life(place)


def install(life: Life) -> None:
    """Create both instances, wait until the operator has deployed them, and apply a default deny."""
    name = life.place.name
    made = life.place.apply(management(name), event_gateway(name, listeners=listener(name)))
    assert made.status == 0, made
    life.until_there(f"{GATEWAY}-{OLD}", f"{MANAGER}-{OLD}")
    life.until_running(OLD)
    # The pod of the operator must stay reachable, too: its port is allowed before the default deny.
    webhook = policy(
        name,
        "operator",
        selector={"matchLabels": {"app.kubernetes.io/instance": ACCOUNT}},
        ingress=[{"ports": [{"port": 8443}]}],
    )
    life.place.passed(life.place.apply(webhook), "CREATE", "operator")
    life.place.passed(life.place.apply(deny_all(name)), "CREATE", "default-deny-ingress")


def expect_broken(life: Life, name: str, lost: str) -> None:
    """Check that a user other than the operator may not delete a policy of the operator."""
    text = life.place.denied(life.place.delete(name), "DELETE", name)

    assert lost in text


def test_the_operator_is_exempt_during_the_whole_life_of_the_product(life: Life) -> None:
    """Install, switch off and on, move a port, upgrade and delete: only changes by other users are denied."""
    kept = ("operator", "default-deny-ingress")
    with life.operated(OLD):
        install(life)
        expect_broken(life, f"{GATEWAY}-{OLD}", "gateway TCP/8092")
        expect_broken(life, f"{MANAGER}-{OLD}", "manager TCP/3000")

        life.change("eventgateway", "gw", {"deployNetworkPolicies": False})
        life.until_there(*kept, f"{MANAGER}-{OLD}")
        life.change("eventgateway", "gw", {"deployNetworkPolicies": True})
        life.until_there(*kept, f"{MANAGER}-{OLD}", f"{GATEWAY}-{OLD}")
        expect_broken(life, f"{GATEWAY}-{OLD}", "gateway TCP/8092")

        life.change("eventgateway", "gw", {"listeners": listener(life.place.name, port=9443)})
        wait_until(lambda: ports(life, f"{GATEWAY}-{OLD}") == [9443], "the new port", seconds=DONE_SECONDS)
        life.place.guard.until_seen([POLICIES])
        expect_broken(life, f"{GATEWAY}-{OLD}", "gateway TCP/9443")
    with life.operated(NEW):
        life.until_there(*kept, f"{MANAGER}-{NEW}", f"{GATEWAY}-{NEW}")
        life.until_running(NEW)
        expect_broken(life, f"{MANAGER}-{NEW}", "manager TCP/3000")

        life.place.kubectl("delete", "eventgateway,eventendpointmanagement", "--all")
        life.until_there(*kept, seconds=COLLECTED_SECONDS)

    assert life.exempted() == {"exempt"}


def ports(life: Life, name: str) -> list[int]:
    """Return the ports that a policy allows."""
    found = life.place.policy(name)
    return [] if found is None else [port["port"] for port in found["spec"]["ingress"][0]["ports"]]


def test_the_namespace_of_a_running_product_can_be_deleted(life: Life, machine: Machine) -> None:
    """The deletion of the namespace ends, and deletes both instances and all policies."""
    with life.operated(OLD):
        install(life)
    gone = machine.kubectl("delete", "namespace", life.place.name, "--timeout=60s", seconds=70)

    assert gone.status == 0, gone
    assert machine.kubectl("get", "namespace", life.place.name, "--ignore-not-found").stdout == ""
