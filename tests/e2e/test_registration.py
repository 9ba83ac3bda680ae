"""The registration on a real API server: created in order, maintained, repaired, and given up when it is deleted."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from harness.decisions import complete_lines
from harness.guard import MANIFESTS, NAMESPACE
from harness.machine import Answer, Machine
from harness.objects import allow, deny_all, event_gateway, gateway, listed, namespace, owner
from harness.registering import PRUNING
from harness.registrars import CANARY, CONFIGURATIONS, BareGuard, Registrars
from harness.starting import running_machine
from harness.waiting import wait_until

from webhook.admission.exemptions import HEARTBEAT_NAME, HEARTBEAT_REFUSAL
from webhook.controllers.configuration_writer import OUTRUN
from webhook.controllers.configurations import (
    apply_body,
)
from webhook.controllers.entries import (
    DEFAULTS,
    INSTANCES,
    POLICIES,
    policy_entry,
)

pytestmark = pytest.mark.clusters("plane")  # a control plane of its own

VALIDATING, MUTATING = CONFIGURATIONS
MANAGER = "eem-guardrail"
IDENTITIES = ("one", "two", "three")
HOME = "eem-home"
PRODUCTION = MANIFESTS / "overlays" / "production"
DEVELOPMENT = MANIFESTS / "overlays" / "development"
TIMES = 10
SECONDS = 20
HANDOVER_SECONDS = 60  # the last replica with other settings drains, and releases the Lease
FORBIDDEN = 403
SYSTEM_PRIORITY = 2_000_000_000  # of system-cluster-critical


@pytest.fixture(scope="module")
def machine(control_plane: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Start a control plane for this module, whose tests change the registration."""
    with running_machine(lambda: Machine(tmp_path_factory.mktemp("registration"), control_plane)) as started:
        yield started


@pytest.fixture(scope="module")
def guard(machine: Machine) -> BareGuard:
    """Install the service, which serves and is not registered."""
    installed = BareGuard(machine)
    installed.install()
    installed.add_kinds()
    return installed


@pytest.fixture(scope="module")
def programs(machine: Machine, guard: BareGuard) -> Iterator[Registrars]:
    """Return the programs that maintain the registration, none of them started."""
    made = Registrars(machine, guard)
    yield made
    made.stop()


@pytest.fixture
def registrars(programs: Registrars, machine: Machine) -> Registrars:
    """Start all of them, and wait until one namespace is registered."""
    for identity in IDENTITIES:
        if identity not in programs.running:
            programs.start(identity)
    if machine.kubectl("get", "namespace", HOME).status != 0:
        machine.must("apply", "-f", "-", stdin=listed(*namespace(HOME), *gateway(HOME)))
    programs.until_kept(HOME)
    return programs


def managed(configuration: dict[str, Any], manager: str) -> Any:
    """Return the fields of the entries of a configuration that one manager applied."""
    (fields,) = [
        one["fieldsV1"]
        for one in configuration["metadata"]["managedFields"]
        if (one["manager"], one["operation"]) == (manager, "Apply")
    ]
    return fields["f:webhooks"]


def desired(found: dict[str, Any]) -> dict[str, Any]:
    """Return an object without its status, its version and the managers of its fields."""
    metadata = {
        key: value for key, value in found["metadata"].items() if key not in {"managedFields", "resourceVersion"}
    }
    return {**{key: value for key, value in found.items() if key != "status"}, "metadata": metadata}


def edit(machine: Machine, kind: str, *operations: dict[str, Any]) -> None:
    """Change a configuration by kubectl, as another user does."""
    machine.must("patch", kind, NAMESPACE, "--type=json", f"--patch={json.dumps(operations)}")


def until_owned(guard: BareGuard, owned: dict[str, Any], kind: str = VALIDATING) -> None:
    """Wait until the service has repaired its part of a configuration."""
    wait_until(lambda: guard.owned(kind) == owned, f"{kind} to be repaired", seconds=SECONDS)


def test_the_manifests_alone_deny_nothing(guard: BareGuard, machine: Machine) -> None:
    """The shipped configurations have no caBundle and no entry for NetworkPolicies."""
    machine.must("apply", "-f", "-", stdin=listed(*namespace("early"), event_gateway("early"), deny_all("early")))

    assert guard.owned(VALIDATING) == {INSTANCES: None}
    assert guard.owned(MUTATING) == {DEFAULTS: None}

    machine.must("delete", "namespace", "early", "--wait=false")


def test_the_first_registration_goes_step_by_step(programs: Registrars, guard: BareGuard, machine: Machine) -> None:
    """First the canary, then a denied heartbeat, then the namespaces of EEM. Every entry gets the caBundle."""
    for identity in IDENTITIES:
        programs.start(identity)
    programs.until_kept()
    machine.must("apply", "-f", "-", stdin=listed(*namespace(HOME), *gateway(HOME)))
    programs.until_kept(HOME)
    owned = guard.owned()

    assert owned[INSTANCES] == guard.bundle()
    assert owned[POLICIES]["clientConfig"]["caBundle"] == guard.bundle()
    assert guard.owned(MUTATING) == {DEFAULTS: guard.bundle()}
    assert [one["drift"] for one in programs.statuses()] == [[], [], []]


def test_the_service_owns_only_its_fields(registrars: Registrars, guard: BareGuard) -> None:
    """Its field manager owns the caBundle of the shipped entries, and every field of the entry for NetworkPolicies."""
    del registrars
    validating, mutating = guard.configuration(VALIDATING), guard.configuration(MUTATING)
    assert validating is not None
    assert mutating is not None
    fields = managed(validating, MANAGER)
    whole = next(one for one in validating["webhooks"] if one["name"] == POLICIES)

    assert fields.keys() == {f'k:{{"name":"{INSTANCES}"}}', f'k:{{"name":"{POLICIES}"}}'}
    assert fields[f'k:{{"name":"{INSTANCES}"}}'] == {".": {}, "f:clientConfig": {"f:caBundle": {}}, "f:name": {}}
    assert {one[2:] for one in fields[f'k:{{"name":"{POLICIES}"}}'] if one != "."} == whole.keys()
    assert managed(mutating, MANAGER) == {
        f'k:{{"name":"{DEFAULTS}"}}': {".": {}, "f:clientConfig": {"f:caBundle": {}}, "f:name": {}}
    }


def test_changes_are_judged_only_in_registered_namespaces(registrars: Registrars, machine: Machine) -> None:
    """A default deny is denied in the namespace of a gateway, and not judged in another one."""
    del registrars
    refused = machine.kubectl("create", "-f", "-", stdin=listed(deny_all(HOME)))
    machine.must("apply", "-f", "-", stdin=listed(*namespace("elsewhere"), deny_all("elsewhere")))

    assert "TCP/8092" in refused.stderr


def test_a_policy_with_the_name_of_the_heartbeat_is_denied(registrars: Registrars, machine: Machine) -> None:
    """Every user is denied that name in the namespace of the canary. Other policies there are allowed."""
    del registrars
    heartbeat = machine.kubectl("create", "-f", "-", stdin=listed(deny_all(CANARY, HEARTBEAT_NAME)))
    other = machine.kubectl("create", "--dry-run=server", "-f", "-", stdin=listed(deny_all(CANARY, "other")))

    assert (heartbeat.status, other.status) == (1, 0)
    assert HEARTBEAT_REFUSAL in heartbeat.stderr


@pytest.mark.timeout(300, func_only=True)  # twenty commands, each a process, on a busy machine
@pytest.mark.parametrize(
    "flags",
    [
        pytest.param((), id="client-side"),
        pytest.param(("--server-side", "--force-conflicts", "--field-manager=gitops"), id="server-side, by another"),
        pytest.param(PRUNING, id="with pruning"),
    ],
)
def test_applying_the_manifests_again_changes_no_field_of_the_service(
    registrars: Registrars, guard: BareGuard, flags: tuple[str, ...]
) -> None:
    """After ten applies the service has written nothing."""
    guard.apply(*flags)
    owned, writes = guard.owned(*CONFIGURATIONS), registrars.writes()

    for _ in range(TIMES):
        guard.apply_registration(*flags)

        assert guard.owned(*CONFIGURATIONS) == owned

    assert owned[DEFAULTS] == guard.bundle()
    assert registrars.writes() == writes


@pytest.mark.usefixtures("registrars")
@pytest.mark.parametrize("flags", [(), ("--server-side", "--force-conflicts")], ids=["client-side", "server-side"])
def test_a_deployment_tool_sees_no_difference_after_apply(
    machine: Machine, guard: BareGuard, flags: tuple[str, ...]
) -> None:
    """`kubectl diff` shows no difference, although the service has added its fields."""
    guard.apply(*flags)

    compared = machine.kubectl("diff", *flags, "-k", str(guard.overlay))

    assert (compared.status, compared.stdout) == (0, "")


def test_without_a_change_nothing_is_written(registrars: Registrars, guard: BareGuard, machine: Machine) -> None:
    """The leader renews its Lease, and the versions of both configurations stay."""
    versions = [(guard.configuration(kind) or {})["metadata"]["resourceVersion"] for kind in CONFIGURATIONS]

    def renewed() -> str:
        lease = machine.must("get", "lease", NAMESPACE, f"--namespace={NAMESPACE}", "--output=json").json
        return str(lease["spec"]["renewTime"])

    seen = {renewed()}
    wait_until(lambda: seen.add(renewed()) or len(seen) > 3, "renewals", seconds=SECONDS)

    assert [(guard.configuration(kind) or {})["metadata"]["resourceVersion"] for kind in CONFIGURATIONS] == versions
    assert registrars.until(bool, "a leader")["problem"] is None


EMPTIED = {"op": "replace", "path": "/webhooks", "value": []}
BUNDLE = "/webhooks/0/clientConfig/caBundle"
WIPES: list[Any] = [
    pytest.param(VALIDATING, {"op": "replace", "path": BUNDLE, "value": ""}, id="emptied, validating"),
    pytest.param(MUTATING, {"op": "remove", "path": BUNDLE}, id="removed, mutating"),
]


@pytest.mark.parametrize(("kind", "operation"), WIPES)
def test_a_removed_bundle_is_restored_by_one_write(
    registrars: Registrars, guard: BareGuard, machine: Machine, kind: str, operation: dict[str, Any]
) -> None:
    """Of three replicas, only the leader writes the caBundle again."""
    owned, writes = guard.owned(kind), registrars.writes()
    edit(machine, kind, operation)
    until_owned(guard, owned, kind)

    assert registrars.writes() == writes + 1


def test_every_changed_field_of_the_own_entry_is_restored(
    registrars: Registrars, guard: BareGuard, machine: Machine
) -> None:
    """The service undoes every change of its entry for NetworkPolicies."""
    del registrars
    owned = guard.owned()
    names = [one["name"] for one in (guard.configuration() or {})["webhooks"]]
    path = f"/webhooks/{names.index(POLICIES)}"
    edit(
        machine,
        VALIDATING,
        {"op": "replace", "path": f"{path}/failurePolicy", "value": "Ignore"},
        {"op": "replace", "path": f"{path}/namespaceSelector", "value": {}},
        {"op": "replace", "path": f"{path}/rules/0/operations", "value": ["CREATE"]},
        {"op": "add", "path": f"{path}/matchConditions/-", "value": {"name": "never", "expression": "false"}},
    )
    until_owned(guard, owned)


def test_an_entry_with_another_address_is_restored(registrars: Registrars, guard: BareGuard, machine: Machine) -> None:
    """An entry has either a URL or a Service. The service replaces the URL by its Service."""
    owned = guard.owned()
    names = [one["name"] for one in (guard.configuration() or {})["webhooks"]]
    elsewhere = {"url": "https://elsewhere.example.com/review"}
    path = f"/webhooks/{names.index(POLICIES)}/clientConfig"
    edit(machine, VALIDATING, {"op": "replace", "path": path, "value": elsewhere})
    until_owned(guard, owned)

    assert registrars.until(lambda one: one["problem"] is None, "no problem")["problem"] is None


@pytest.mark.usefixtures("registrars")
def test_a_patch_of_an_old_version_has_the_expected_message(machine: Machine) -> None:
    """The service detects by this message that a JSON patch expected another version."""
    patch = json.dumps([{"op": "test", "path": "/metadata/resourceVersion", "value": "1"}])
    answer = machine.kubectl("patch", VALIDATING, NAMESPACE, "--type=json", f"--patch={patch}")

    assert OUTRUN in answer.stderr


def test_an_emptied_configuration_gets_only_the_own_entry_back(
    registrars: Registrars, guard: BareGuard, machine: Machine
) -> None:
    """Missing entries of the manifests are drift, reported in an Event, until the manifests are applied again."""
    owned = guard.owned()
    edit(machine, VALIDATING, EMPTIED)
    wait_until(lambda: guard.owned() == {POLICIES: owned[POLICIES]}, "the own entry", seconds=SECONDS)
    told = registrars.until(lambda one: one["drift"], "drift")

    def events() -> list[str]:
        found = machine.must("get", "events", "--namespace=default", "--output=json").json["items"]
        return [one["message"] for one in found if one["reason"] == "ConfigurationDrift"]

    assert told["drift"] == [f"validatingwebhookconfigurations.webhooks[{INSTANCES}]"]
    assert INSTANCES in told["problem"]
    assert INSTANCES in wait_until(events, "an Event", seconds=SECONDS)[0]

    guard.apply("--server-side", "--force-conflicts", "--field-manager=gitops")
    until_owned(guard, owned)
    registrars.until(lambda one: not one["drift"], "no drift")


def test_additions_of_other_managers_are_kept(registrars: Registrars, guard: BareGuard, machine: Machine) -> None:
    """An annotation and an entry of another manager survive every write of the service, and are not drift."""
    foreign = {
        "name": "other.example.com",
        "clientConfig": {"url": "https://other.example.com/never"},
        "rules": [
            {"apiGroups": ["example.com"], "apiVersions": ["v1"], "resources": ["things"], "operations": ["CREATE"]}
        ],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Ignore",
    }
    applied = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": NAMESPACE, "annotations": {"example.com/note": "ours"}},
        "webhooks": [foreign],
    }
    machine.must("apply", "--server-side", "--field-manager=other", "-f", "-", stdin=json.dumps(applied))
    machine.must("apply", "-f", "-", stdin=listed(*namespace("more"), event_gateway("more")))
    registrars.until_kept(HOME, "more")
    machine.must("delete", "namespace", "more", "--wait=false")
    registrars.until_kept(HOME)
    found = guard.configuration() or {}

    assert found["metadata"]["annotations"]["example.com/note"] == "ours"
    assert "other.example.com" in [one["name"] for one in found["webhooks"]]
    assert registrars.until(bool, "a leader")["drift"] == []

    applied |= {"metadata": {"name": NAMESPACE}, "webhooks": []}
    machine.must("apply", "--server-side", "--field-manager=other", "-f", "-", stdin=json.dumps(applied))


def test_a_namespace_is_registered_while_it_has_an_instance(registrars: Registrars, machine: Machine) -> None:
    """The first instance adds the namespace to the entry, and the deletion of the last one removes it."""
    machine.must("apply", "-f", "-", stdin=listed(*namespace("young"), event_gateway("young")))
    registrars.until_kept(HOME, "young")
    machine.must("delete", "eventgateway", "gw", "--namespace=young")
    registrars.until_kept(HOME)


def test_a_conflict_with_another_writer_is_slowed_down_and_reported(
    registrars: Registrars, guard: BareGuard, machine: Machine
) -> None:
    """If another program undoes every write, the delays grow, and the problem and an Event report it."""
    owned = guard.owned(MUTATING)
    wipe = {"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": ""}

    def undone() -> bool:
        if guard.owned(MUTATING) == owned:
            edit(machine, MUTATING, wipe)
        leader = registrars.leader() or {}
        return "undoes each write" in (leader.get("problem") or "")

    wait_until(undone, "the conflict to be reported", seconds=SECONDS)

    def told() -> bool:
        found = machine.must("get", "events", "--namespace=default", "--output=json").json["items"]
        return any(one["reason"] == "RegistrationUndone" for one in found)

    wait_until(told, "an Event", seconds=SECONDS)
    until_owned(guard, owned, MUTATING)
    registrars.until(lambda one: one["problem"] is None, "no problem")


def test_another_replica_takes_over_after_the_leader_is_killed(
    registrars: Registrars, guard: BareGuard, machine: Machine
) -> None:
    """The new leader repairs what was changed in the meantime."""
    owned = guard.owned()
    leader = next(identity for identity in registrars.running if registrars.status(identity)["leads"])
    registrars.kill(leader)
    edit(machine, VALIDATING, {"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": ""})
    until_owned(guard, owned)
    registrars.until(lambda one: one["proven"], "a proof of its own")


def test_without_a_replica_only_guarded_changes_fail(
    registrars: Registrars, guard: BareGuard, machine: Machine
) -> None:
    """The matchConditions keep labels, finalizers, garbage collection and the deletion of a namespace working."""
    place = "wedged"
    owned_policy = allow(place, "owned", "gw", [8092])
    machine.must("apply", "-f", "-", stdin=listed(*namespace(place), event_gateway(place)))
    registrars.until_kept(HOME, place)
    parent = machine.must("create", "configmap", "parent", f"--namespace={place}", "--output=json").json
    owned_policy["metadata"]["ownerReferences"] = [owner("ConfigMap", "parent", parent["metadata"]["uid"], "v1")]
    kept_policy = allow(place, "finalized", "gw", [8092])
    kept_policy["metadata"]["finalizers"] = ["example.com/hold"]
    machine.must("create", "-f", "-", stdin=listed(owned_policy, kept_policy))
    with guard.absent(at_once=True):
        refused = machine.kubectl("delete", "networkpolicy", "finalized", f"--namespace={place}", "--wait=false")
        labelled = machine.kubectl("label", "networkpolicy", "finalized", f"--namespace={place}", "team=kafka")
        machine.must("delete", "configmap", "parent", f"--namespace={place}")
        collected = wait_until(
            lambda: machine.kubectl("get", "networkpolicy", "owned", f"--namespace={place}").status != 0,
            "the garbage collector",
            seconds=SECONDS,
        )
        released = machine.kubectl(
            "patch",
            "networkpolicy",
            "finalized",
            f"--namespace={place}",
            "--type=merge",
            '--patch={"metadata":{"finalizers":null}}',
        )
        instance = machine.kubectl("delete", "eventgateway", "gw", f"--namespace={place}")
        ended = machine.kubectl("delete", "namespace", place, "--timeout=45s")

    assert "failed calling webhook" in refused.stderr
    assert (labelled.status, collected, released.status, instance.status) == (0, True, 0, 0)
    assert ended.stdout == f'namespace "{place}" deleted\n'


def test_an_injected_bundle_is_copied_to_the_own_entry(
    registrars: Registrars, programs: Registrars, guard: BareGuard, machine: Machine
) -> None:
    """With certificates of another program, the shipped entries stay as they are, and the guard's entry follows."""
    bundle = guard.bundle()
    registrars.stop()
    edit(machine, VALIDATING, EMPTIED)
    edit(machine, MUTATING, EMPTIED)
    guard.apply("--server-side", "--force-conflicts", "--field-manager=gitops")
    programs.start("injected", injected=True)
    waits = programs.until(lambda one: "no caBundle was injected" in (one["problem"] or ""), "to wait")

    assert waits["writes"] == 0

    trust = {"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}
    edit(machine, VALIDATING, trust)
    programs.until_kept(HOME)

    assert guard.owned()[POLICIES]["clientConfig"]["caBundle"] == bundle
    assert guard.owned(MUTATING) == {DEFAULTS: None}
    assert managed(guard.configuration() or {}, MANAGER).keys() == {f'k:{{"name":"{POLICIES}"}}'}

    programs.stop()


ATTACKS: list[tuple[str, ...]] = [
    ("get", "secrets", "--all-namespaces"),
    ("get", "secret", "other", f"--namespace={NAMESPACE}"),
    ("delete", "secret", "eem-guardrail-tls", f"--namespace={NAMESPACE}"),
    ("get", VALIDATING, "other"),
    ("patch", VALIDATING, "other", "--type=merge", "--patch={}"),
    ("delete", VALIDATING, NAMESPACE),
    ("create", "namespace", "mine"),
    ("create", "token", NAMESPACE, f"--namespace={NAMESPACE}"),
    ("delete", "networkpolicy", "other", f"--namespace={CANARY}"),
    ("create", "role", "mine", "--verb=get", "--resource=pods", f"--namespace={NAMESPACE}"),
    ("get", "pods", "--as=platform-admin"),
    ("get", "events", "--namespace=default"),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=" ".join)
def test_the_token_of_the_service_is_denied_everything_else(
    machine: Machine, guard: BareGuard, attack: tuple[str, ...]
) -> None:
    """With the token of the service, every request that the service does not need is forbidden."""
    del guard
    token = machine.must("create", "token", NAMESPACE, f"--namespace={NAMESPACE}").stdout.strip()
    kubeconfig = machine.folder / "stolen.kubeconfig"
    text = (machine.folder / "admin.kubeconfig").read_text()
    kubeconfig.write_text(text.replace("e2e-admin", token))
    answer = machine.kubectl(f"--kubeconfig={kubeconfig}", *attack)

    assert "forbidden: User" in answer.stderr


def test_every_granted_right_was_used(machine: Machine) -> None:
    """The audit log has a request for each right to write, and the denied heartbeat is the only forbidden one."""
    account = f"system:serviceaccount:{NAMESPACE}:{NAMESPACE}"
    asked = [
        one
        for one in map(json.loads, complete_lines(machine.logs / "audit.jsonl"))
        if (one["user"]["username"], one["userAgent"]) == (account, NAMESPACE) and "objectRef" in one
    ]
    used = {(one["verb"], one["objectRef"]["resource"], one["objectRef"].get("namespace", "")) for one in asked}
    forbidden = [one["objectRef"] for one in asked if one["responseStatus"]["code"] == FORBIDDEN]

    assert used >= {(verb, f"{kind}s", "") for kind in CONFIGURATIONS for verb in ("list", "watch", "patch")} | {
        ("get", "leases", NAMESPACE),
        ("create", "leases", NAMESPACE),
        ("update", "leases", NAMESPACE),
        ("create", "events", "default"),
        ("create", "networkpolicies", CANARY),
    }
    # Only the denied heartbeat.
    assert {(one["resource"], one["namespace"]) for one in forbidden} == {("networkpolicies", CANARY)}


def test_a_deleted_configuration_stays_deleted(programs: Registrars, guard: BareGuard, machine: Machine) -> None:
    """The service does not create it again, also under a new leader. Applying the manifests restores everything."""
    programs.start("last")
    programs.until_kept(HOME)
    until_owned(guard, {DEFAULTS: guard.bundle()}, MUTATING)  # the last write, after another program maintained it
    writes = programs.writes()
    machine.must("delete", ",".join(CONFIGURATIONS), NAMESPACE)
    programs.until(lambda one: len(one["drift"]) == 2, "to notice")
    machine.must("create", "-f", "-", stdin=listed(deny_all(HOME)))
    machine.must("apply", "-f", "-", stdin=listed(*namespace("after"), event_gateway("after")))
    programs.until(lambda one: not one["proven"], "to give up")

    assert [guard.configuration(kind) for kind in CONFIGURATIONS] == [None, None]
    assert programs.writes() == writes

    guard.apply()
    programs.until_kept(HOME, "after")


LATE = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingWebhookConfiguration",
    "metadata": {"name": "late"},
    "webhooks": [],
}


def test_a_late_write_does_not_create_a_deleted_configuration(guard: BareGuard, machine: Machine) -> None:
    """The API server rejects the write of a replica that has not seen the deletion, because of the uid."""
    machine.must("create", "-f", "-", stdin=json.dumps(LATE))
    found = machine.must("get", VALIDATING, "late", "--output=json").json
    entry = policy_entry([HOME], b"", "Ignore")
    machine.must("delete", VALIDATING, "late")
    body = json.dumps(apply_body(found, [entry]))
    answer = machine.kubectl("apply", "--server-side", f"--field-manager={MANAGER}", "-f", "-", stdin=body)

    assert answer.status == 1
    assert "uid" in answer.stderr.lower()
    assert machine.kubectl("get", VALIDATING, "late").status == 1
    assert guard.configuration() is not None


def test_one_command_uninstalls_without_a_replica(programs: Registrars, guard: BareGuard, machine: Machine) -> None:
    """`kubectl delete -k` deletes the configurations first, and everything else."""
    programs.stop()
    guard.take_away(at_once=True)
    answer = machine.must("delete", "-k", str(guard.overlay), "--ignore-not-found", seconds=90)
    order = [line.split('"')[0].strip() for line in answer.stdout.splitlines()]

    assert order[0].startswith("validatingwebhookconfiguration")
    assert order[1].startswith("mutatingwebhookconfiguration")
    assert [guard.configuration(kind) for kind in CONFIGURATIONS] == [None, None]
    assert machine.kubectl("get", "namespace", NAMESPACE, CANARY).status == 1

    machine.must("delete", "networkpolicies", "--all", f"--namespace={HOME}")


def test_the_production_overlay_installs_a_registered_service(guard: BareGuard, machine: Machine) -> None:
    """One command installs a service that creates its certificates and registers itself, without drift."""
    machine.must("apply", "-k", str(PRODUCTION))
    guard.until_rolled_out()
    machine.must("apply", "-f", "-", stdin=listed(*namespace(HOME), *gateway(HOME)))
    instances = machine.must("get", "eventgateways", "--all-namespaces", "--output=json").json["items"]
    wanted = sorted({CANARY, *(one["metadata"]["namespace"] for one in instances)})

    def registered() -> bool:
        entry = guard.owned().get(POLICIES) or {"namespaceSelector": {"matchExpressions": [{"values": []}]}}
        return bool(entry["namespaceSelector"]["matchExpressions"][0]["values"] == wanted)

    wait_until(registered, "the registration", seconds=SECONDS)
    refused = machine.kubectl("create", "-f", "-", stdin=listed(deny_all(HOME)))

    assert "TCP/8092" in refused.stderr
    assert set(guard.owned(*CONFIGURATIONS)) == {POLICIES, INSTANCES, DEFAULTS}
    assert "eem_guardrail_configuration_drift{" not in "".join(map(guard.metrics, guard.replicas()))


def test_the_quota_counts_the_pods_of_the_priority_class(guard: BareGuard, machine: Machine) -> None:
    """Each new pod is counted, and starts."""
    there = (f"--namespace={NAMESPACE}", "--output=json")
    machine.must("delete", "pod", guard.replicas()[0], f"--namespace={NAMESPACE}", "--wait=false")

    def counted() -> bool:
        return int(machine.must("get", "resourcequota", NAMESPACE, *there).json["status"]["used"]["pods"]) > 0

    wait_until(counted, "the quota to count the next pod", seconds=SECONDS)
    guard.until_rolled_out()
    pods = machine.must("get", "pods", *guard.replicas(), *there).json["items"]

    assert [one["spec"]["priority"] for one in pods] == [SYSTEM_PRIORITY] * 3


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param((), id="client-side"),
        pytest.param(("--server-side", "--force-conflicts", "--field-manager=gitops"), id="server-side"),
    ],
)
def test_the_production_overlay_shows_no_drift(machine: Machine, flags: tuple[str, ...]) -> None:
    """A second apply changes nothing, and the deployment tool does not own the fields of the service."""
    shipped = machine.must("kustomize", str(PRODUCTION)).stdout

    def found() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = machine.must(
            "get", "-f", "-", "--output=json", "--show-managed-fields", stdin=shipped
        ).json["items"]
        return items

    machine.must("apply", *flags, "-k", str(PRODUCTION))
    before = found()
    machine.must("apply", *flags, "-k", str(PRODUCTION))
    after = found()
    compared = machine.kubectl("diff", *flags, "-k", str(PRODUCTION))
    written = [
        (one["kind"].lower(), entry["manager"], json.dumps(entry["fieldsV1"]))
        for one in after
        for entry in one["metadata"]["managedFields"]
    ]
    of_tools = [fields for _, manager, fields in written if manager != MANAGER]

    assert [desired(one) for one in after] == [desired(one) for one in before]
    assert (compared.status, compared.stdout) == (0, "")
    assert {kind for kind, manager, _ in written if manager == MANAGER} == set(CONFIGURATIONS)
    assert not [fields for fields in of_tools if "f:caBundle" in fields or POLICIES in fields]


def test_the_development_overlay_blocks_nothing(guard: BareGuard, machine: Machine) -> None:
    """One replica warns, its entry has the failure policy Ignore, and a node drain may evict it."""
    machine.must("apply", "-k", str(DEVELOPMENT))
    guard.until_rolled_out()

    def judged() -> Answer | None:
        answer = machine.kubectl("create", "--dry-run=server", "-f", "-", stdin=listed(deny_all(HOME)))
        return answer if answer.status == 0 and guard.owned()[POLICIES]["failurePolicy"] == "Ignore" else None

    def may_go() -> bool:
        budget = machine.must("get", "poddisruptionbudget", NAMESPACE, f"--namespace={NAMESPACE}", "--output=json")
        return budget.json["status"]["expectedPods"] == 1 and budget.json["status"]["disruptionsAllowed"] == 1

    warned = wait_until(judged, "the mode and the entry of the overlay", seconds=HANDOVER_SECONDS)
    wait_until(may_go, "the budget to allow the eviction of its one pod", seconds=HANDOVER_SECONDS)
    (replica,) = guard.replicas()
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": replica, "namespace": NAMESPACE}}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{replica}/eviction"
    evicted = machine.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))

    assert "TCP/8092" in warned.stderr
    assert evicted.status == 0, evicted.stderr
