"""Cluster-wide policies on a real API server, with the definitions of their authors, which come after the guard."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from crds.network_policy_api import ADMIN_VERSION, CLUSTER_VERSION, Channel, definitions
from harness.guard import MANIFESTS
from harness.machine import Answer, Machine
from harness.objects import Json, gateway, namespace, policy
from harness.registering import RegisteringGuard
from harness.starting import running_machine
from harness.waiting import wait_until

from webhook.controllers.entries import CLUSTER_POLICIES
from webhook.eem.resources import CLUSTER_POLICIES as KINDS

pytestmark = pytest.mark.clusters("plane")  # a control plane of its own

ADMIN, BASELINE, CLUSTER = KINDS
EEM = "eem-tiers"
ROLE = MANIFESTS / "components" / "cluster-policies" / "role.yaml"
UNREAD = "eem_guardrail_unread_policy_kinds"
NOTE = "cluster-wide policies are not read and may override this verdict"
# The guard reads the discovery document every ten seconds, and the API server honours a registration within two.
SECONDS = 60
EVERYONE: Json = {"namespaces": {}}


@pytest.fixture(scope="module")
def machine(control_plane: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Start a control plane for this module, which has kinds that others do not have."""
    with running_machine(lambda: Machine(tmp_path_factory.mktemp("tiers"), control_plane)) as started:
        yield started


@pytest.fixture(scope="module")
def guard(machine: Machine) -> RegisteringGuard:
    """Install the service without the rights to cluster-wide policies, and a gateway."""
    installed = RegisteringGuard(machine, 1, {"EEM_GUARDRAIL_IPBLOCK_MATCHES_PODS": "no"})
    installed.install()
    installed.add_kinds()
    machine.apply(*namespace(EEM), *gateway(EEM))
    installed.until_guarded(EEM)
    return installed


def unread(guard: RegisteringGuard) -> float:
    """Return how many policy kinds the replica does not read."""
    (replica,) = guard.replicas()
    return guard.sum_of(replica, UNREAD)


def objects_in(guard: RegisteringGuard, plural: str) -> float:
    """Return how many objects of a kind the replica knows."""
    (replica,) = guard.replicas()
    return guard.sum_of(replica, f'eem_guardrail_cache_objects{{resource="{plural}"}}')


def is_registered(guard: RegisteringGuard) -> bool:
    return CLUSTER_POLICIES in {entry["name"] for entry in guard.entries()}


@pytest.fixture(scope="module")
def kinds(machine: Machine, guard: RegisteringGuard) -> None:
    """Install the definitions of the standard channel, grant the rights, and wait for the entry and the API server."""
    machine.apply(*definitions(ADMIN_VERSION), *definitions(CLUSTER_VERSION))
    machine.must("apply", "-f", str(ROLE))
    wait_until(lambda: is_registered(guard) and unread(guard) == 0, "the entry for cluster policies", seconds=SECONDS)
    wait_until(
        lambda: tried(machine, deny(ADMIN), "--dry-run=server").status != 0, "the API server to ask", seconds=SECONDS
    )


def cluster_policy(kind: Any, name: str, action: str, version: str = "") -> Json:
    """Return a policy with one ingress rule for every pod."""
    spec: Json = {"subject": {"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": EEM}}}}
    if kind == CLUSTER:
        spec |= {"tier": "Admin"}
    if kind != BASELINE:
        spec |= {"priority": 7}
    word = "Accept" if (kind, action) == (CLUSTER, "Allow") else action
    return {
        "apiVersion": f"{kind.group}/{version or kind.version}",
        "kind": kind.kind,
        "metadata": {"name": "default" if kind == BASELINE else name},
        "spec": {**spec, "ingress": [{"action": word, "from": [EVERYONE]}]},
    }


def deny(kind: Any, name: str = "closes", version: str = "") -> Json:
    return cluster_policy(kind, name, "Deny", version)


def tried(machine: Machine, api_object: Json, *flags: str) -> Answer:
    """Apply an object that may be refused."""
    return machine.kubectl("apply", *flags, "-f", "-", stdin=json.dumps(api_object))


def removed(machine: Machine, api_object: Json) -> Answer:
    return machine.kubectl("delete", api_object["kind"], api_object["metadata"]["name"], "--ignore-not-found")


def assert_refused(answer: Answer) -> None:
    assert answer.status != 0
    assert f'admission webhook "{CLUSTER_POLICIES}" denied the request' in answer.stderr
    assert "TCP/8092" in answer.stderr


def test_without_the_right_the_kinds_count_as_absent_and_verdicts_say_so(
    machine: Machine, guard: RegisteringGuard
) -> None:
    """The definitions come after the guard; nothing is registered for kinds that it may not read."""
    assert unread(guard) == 0
    machine.apply(*definitions(ADMIN_VERSION))
    wait_until(lambda: unread(guard) == 2, "the new kinds", seconds=SECONDS)

    answer = tried(machine, policy(EEM, "harmless", selector={"matchLabels": {"a": "b"}}))

    assert answer.status == 0
    assert NOTE in answer.stderr
    assert not is_registered(guard)


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize(
    ("kind", "version"),
    [(ADMIN, "v1alpha1"), (BASELINE, "v1alpha1"), (CLUSTER, "v1alpha2"), (CLUSTER, "v1beta1")],
    ids=lambda one: one if isinstance(one, str) else one.kind,
)
def test_a_policy_that_closes_the_gateway_is_refused(machine: Machine, kind: Any, version: str) -> None:
    """Created, or changed from one that closes nothing; in every version in which a client may write it."""
    assert_refused(tried(machine, deny(kind, version=version)))
    harmless = cluster_policy(kind, "closes", "Allow", version)
    assert tried(machine, harmless).status == 0
    assert_refused(tried(machine, deny(kind, version=version)))
    assert removed(machine, harmless).status == 0


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize("kind", [ADMIN, CLUSTER], ids=lambda one: one.kind)
def test_a_policy_that_holds_the_gateway_open_cannot_be_deleted(
    machine: Machine, guard: RegisteringGuard, kind: Any
) -> None:
    """While it is there, a NetworkPolicy that admits no pod takes nothing away; then its own deletion would."""
    holds = cluster_policy(kind, "holds", "Allow")
    outside = policy(EEM, "outside", ingress=[{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}])
    assert tried(machine, outside).status != 0
    assert tried(machine, holds).status == 0
    wait_until(lambda: objects_in(guard, kind.plural) == 1, "the policy in the cache", seconds=SECONDS)
    assert tried(machine, outside).status == 0
    assert_refused(removed(machine, holds))

    machine.must("delete", "networkpolicy", "outside", f"--namespace={EEM}")
    wait_until(lambda: removed(machine, holds).status == 0, "the deletion", seconds=SECONDS)


@pytest.mark.usefixtures("kinds")
def test_with_no_replica_every_change_is_admitted(machine: Machine, guard: RegisteringGuard) -> None:
    """The entry is `Ignore`; the audit shows later what was closed."""
    with guard.absent():
        assert tried(machine, deny(ADMIN)).status == 0
    wait_until(lambda: objects_in(guard, ADMIN.plural) == 1, "the policy in the cache", seconds=SECONDS)
    (replica,) = guard.replicas()

    wait_until(lambda: guard.sum_of(replica, "eem_guardrail_requirement_met") == 0, "the audit", seconds=SECONDS)
    assert removed(machine, deny(ADMIN)).status == 0


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize("channel", ["experimental", "standard"])
def test_every_channel_of_the_definitions_is_read(machine: Machine, guard: RegisteringGuard, channel: Channel) -> None:
    """An object of each kind is in the cache, and the API server accepts what the guard expects of the schema."""
    machine.apply(*definitions(ADMIN_VERSION, channel), *definitions(CLUSTER_VERSION, channel))
    made = [cluster_policy(kind, f"in-{channel}", "Allow") for kind in KINDS]
    for one in made:
        assert tried(machine, one).status == 0
    for kind in KINDS:
        wait_until(lambda kind=kind: objects_in(guard, kind.plural) == 1, kind.plural, seconds=SECONDS)
    for one in made:
        assert removed(machine, one).status == 0


@pytest.mark.usefixtures("kinds")
def test_the_entry_goes_with_the_last_kind(machine: Machine, guard: RegisteringGuard) -> None:
    """Without the definitions there is nothing to ask about."""
    names = [one["metadata"]["name"] for one in (*definitions(ADMIN_VERSION), *definitions(CLUSTER_VERSION))]
    machine.must("delete", "customresourcedefinitions", *names)

    wait_until(lambda: not is_registered(guard), "the end of the entry", seconds=SECONDS)
