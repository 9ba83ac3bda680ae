"""The registration on a real API server: made in order, kept, repaired, and given up when it is deleted."""

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
from webhook.controllers.entries import DEFAULTS, INSTANCES, POLICIES, apply_body, policy_entry

pytestmark = pytest.mark.clusters("plane")  # a control plane of its own

VALIDATING, MUTATING = CONFIGURATIONS
MANAGER = "eem-guardrail"
IDENTITIES = ("one", "two", "three")
HOME = "eem-home"
PRODUCTION = MANIFESTS / "overlays" / "production"
DEVELOPMENT = MANIFESTS / "overlays" / "development"
TIMES = 10
SECONDS = 20
HANDOVER_SECONDS = 60  # the last replica with other settings drains, and gives the Lease back
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
    """Yield the programs that keep the registration, none of them started."""
    made = Registrars(machine, guard)
    yield made
    made.stop()


@pytest.fixture
def registrars(programs: Registrars, machine: Machine) -> Registrars:
    """Have all of them run, and one namespace registered."""
    for identity in IDENTITIES:
        if identity not in programs.running:
            programs.start(identity)
    if machine.kubectl("get", "namespace", HOME).status != 0:
        machine.must("apply", "-f", "-", stdin=listed(*namespace(HOME), *gateway(HOME)))
    programs.until_kept(HOME)
    return programs


def managed(configuration: dict[str, Any], manager: str) -> Any:
    """Return the fields of a configuration's entries that one manager applied."""
    (fields,) = [
        one["fieldsV1"]
        for one in configuration["metadata"]["managedFields"]
        if (one["manager"], one["operation"]) == (manager, "Apply")
    ]
    return fields["f:webhooks"]


def desired(found: dict[str, Any]) -> dict[str, Any]:
    """Return the desired state of an object: without its status, and without the times of writes."""
    metadata = {
        key: value for key, value in found["metadata"].items() if key not in {"managedFields", "resourceVersion"}
    }
    return {**{key: value for key, value in found.items() if key != "status"}, "metadata": metadata}


def edit(machine: Machine, kind: str, *operations: dict[str, Any]) -> None:
    """Change a configuration as a user does with kubectl."""
    machine.must("patch", kind, NAMESPACE, "--type=json", f"--patch={json.dumps(operations)}")


def until_owned(guard: BareGuard, owned: dict[str, Any], kind: str = VALIDATING) -> None:
    """Wait until what the service keeps of a configuration is as it was."""
    wait_until(lambda: guard.owned(kind) == owned, f"{kind} to be repaired", seconds=SECONDS)


def test_nothing_is_registered_by_the_manifests(guard: BareGuard, machine: Machine) -> None:
    """The applied manifests refuse nothing: they have no caBundle and no entry for NetworkPolicies."""
    machine.must("apply", "-f", "-", stdin=listed(*namespace("early"), event_gateway("early"), deny_all("early")))

    assert guard.owned(VALIDATING) == {INSTANCES: None}
    assert guard.owned(MUTATING) == {DEFAULTS: None}

    machine.must("delete", "namespace", "early", "--wait=false")


def test_first_registration_goes_step_by_step(programs: Registrars, guard: BareGuard, machine: Machine) -> None:
    """The canary first, a refused heartbeat, then the namespaces of EEM; the caBundle is in every entry."""
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


def test_only_what_is_the_services_is_its(registrars: Registrars, guard: BareGuard) -> None:
    """Its field manager owns the caBundle of the shipped entries, and of the entry for NetworkPolicies every field."""
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


def test_changes_are_judged_where_eem_runs_and_only_there(registrars: Registrars, machine: Machine) -> None:
    """What cuts a gateway off is refused in a registered namespace, and nothing asks about another."""
    del registrars
    refused = machine.kubectl("create", "-f", "-", stdin=listed(deny_all(HOME)))
    machine.must("apply", "-f", "-", stdin=listed(*namespace("elsewhere"), deny_all("elsewhere")))

    assert "TCP/8092" in refused.stderr


def test_the_heartbeat_is_refused_to_everybody(registrars: Registrars, machine: Machine) -> None:
    """The one name in the canary's namespace is refused; any other policy there is admitted."""
    del registrars
    heartbeat = machine.kubectl("create", "-f", "-", stdin=listed(deny_all(CANARY, HEARTBEAT_NAME)))
    other = machine.kubectl("create", "--dry-run=server", "-f", "-", stdin=listed(deny_all(CANARY, "other")))

    assert (heartbeat.status, other.status) == (1, 0)
    assert HEARTBEAT_REFUSAL in heartbeat.stderr


@pytest.mark.timeout(300, func_only=True)  # twenty commands, each a process, beside a busy machine's other work
@pytest.mark.parametrize(
    "flags",
    [
        pytest.param((), id="client-side"),
        pytest.param(("--server-side", "--force-conflicts", "--field-manager=gitops"), id="server-side, by another"),
        pytest.param(PRUNING, id="with pruning"),
    ],
)
def test_applying_again_resets_nothing(registrars: Registrars, guard: BareGuard, flags: tuple[str, ...]) -> None:
    """Ten times each, no field that the service keeps changes, and it has nothing to write."""
    guard.apply(*flags)
    owned, writes = guard.owned(*CONFIGURATIONS), registrars.writes()

    for _ in range(TIMES):
        guard.apply_registration(*flags)

        assert guard.owned(*CONFIGURATIONS) == owned

    assert owned[DEFAULTS] == guard.bundle()
    assert registrars.writes() == writes


@pytest.mark.usefixtures("registrars")
@pytest.mark.parametrize("flags", [(), ("--server-side", "--force-conflicts")], ids=["client-side", "server-side"])
def test_what_was_applied_shows_no_difference(machine: Machine, guard: BareGuard, flags: tuple[str, ...]) -> None:
    """A deployment tool that compares what it applied with what is there finds it in sync, with all that is kept."""
    guard.apply(*flags)

    compared = machine.kubectl("diff", *flags, "-k", str(guard.overlay))

    assert (compared.status, compared.stdout) == (0, "")


def test_steady_state_writes_nothing(registrars: Registrars, guard: BareGuard, machine: Machine) -> None:
    """Renewals of the Lease go on, and neither configuration gets another version."""
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
def test_a_wiped_bundle_is_written_again_once(
    registrars: Registrars, guard: BareGuard, machine: Machine, kind: str, operation: dict[str, Any]
) -> None:
    """A removed caBundle is restored at once, by one write of the three replicas."""
    owned, writes = guard.owned(kind), registrars.writes()
    edit(machine, kind, operation)
    until_owned(guard, owned, kind)

    assert registrars.writes() == writes + 1


def test_every_field_of_the_own_entry_is_put_back(registrars: Registrars, guard: BareGuard, machine: Machine) -> None:
    """Every change of the entry for NetworkPolicies, and every addition to it, is undone."""
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


def test_an_entry_that_leads_elsewhere_is_put_back(registrars: Registrars, guard: BareGuard, machine: Machine) -> None:
    """An entry that a user points to a URL is restored: an entry may have only a URL or a Service."""
    owned = guard.owned()
    names = [one["name"] for one in (guard.configuration() or {})["webhooks"]]
    elsewhere = {"url": "https://elsewhere.example.com/review"}
    path = f"/webhooks/{names.index(POLICIES)}/clientConfig"
    edit(machine, VALIDATING, {"op": "replace", "path": path, "value": elsewhere})
    until_owned(guard, owned)

    assert registrars.until(lambda one: one["problem"] is None, "no problem")["problem"] is None


@pytest.mark.usefixtures("registrars")
def test_a_patch_that_was_outrun_is_told_so(machine: Machine) -> None:
    """What the API server says where a version is not the one that a JSON patch expects is what the service knows."""
    patch = json.dumps([{"op": "test", "path": "/metadata/resourceVersion", "value": "1"}])
    answer = machine.kubectl("patch", VALIDATING, NAMESPACE, "--type=json", f"--patch={patch}")

    assert OUTRUN in answer.stderr


def test_an_emptied_configuration_gets_what_is_the_services(
    registrars: Registrars, guard: BareGuard, machine: Machine
) -> None:
    """`webhooks: []`: the guard's entry is restored; the others are drift, reported in an Event, until applied."""
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


def test_what_others_add_stays(registrars: Registrars, guard: BareGuard, machine: Machine) -> None:
    """An annotation and another owner's entry survive every write of the service, and are no drift."""
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


def test_a_new_namespace_is_guarded(registrars: Registrars, machine: Machine) -> None:
    """An instance in a namespace that had none brings it under guard, an operator does too; its end ends that."""
    machine.must("apply", "-f", "-", stdin=listed(*namespace("young"), event_gateway("young")))
    registrars.until_kept(HOME, "young")
    machine.must("delete", "eventgateway", "gw", "--namespace=young")
    registrars.until_kept(HOME)


def test_a_fight_is_backed_off_from_and_told(registrars: Registrars, guard: BareGuard, machine: Machine) -> None:
    """Who undoes every write at once is answered later and later, and people are told."""
    owned = guard.owned(MUTATING)
    wipe = {"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": ""}

    def undone() -> bool:
        if guard.owned(MUTATING) == owned:
            edit(machine, MUTATING, wipe)
        leader = registrars.leader() or {}
        return "again and again" in (leader.get("problem") or "")

    wait_until(undone, "the fight to be noticed", seconds=SECONDS)

    def told() -> bool:
        found = machine.must("get", "events", "--namespace=default", "--output=json").json["items"]
        return any(one["reason"] == "RegistrationUndone" for one in found)

    wait_until(told, "an Event", seconds=SECONDS)
    until_owned(guard, owned, MUTATING)
    registrars.until(lambda one: one["problem"] is None, "peace")


def test_who_leads_is_followed(registrars: Registrars, guard: BareGuard, machine: Machine) -> None:
    """With the leader killed, another takes over by the Lease's rules and repairs what was done meanwhile."""
    owned = guard.owned()
    leader = next(identity for identity in registrars.running if registrars.status(identity)["leads"])
    registrars.kill(leader)
    edit(machine, VALIDATING, {"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": ""})
    until_owned(guard, owned)
    registrars.until(lambda one: one["proven"], "a proof of its own")


def test_with_no_replica_only_what_is_guarded_is_refused(
    registrars: Registrars, guard: BareGuard, machine: Machine
) -> None:
    """No replica answers: guarded policies cannot be changed, and matchConditions admit the cluster's own requests."""
    place = "wedged"
    owned_policy = allow(place, "owned", "gw", [8092])
    machine.must("apply", "-f", "-", stdin=listed(*namespace(place), event_gateway(place)))
    registrars.until_kept(HOME, place)
    parent = machine.must("create", "configmap", "parent", f"--namespace={place}", "--output=json").json
    owned_policy["metadata"]["ownerReferences"] = [owner("ConfigMap", "parent", parent["metadata"]["uid"], "v1")]
    kept_policy = allow(place, "finalized", "gw", [8092])
    kept_policy["metadata"]["finalizers"] = ["example.com/hold"]
    machine.must("create", "-f", "-", stdin=listed(owned_policy, kept_policy))
    with guard.absent():
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


def test_what_others_inject_is_taken_over(
    registrars: Registrars, programs: Registrars, guard: BareGuard, machine: Machine
) -> None:
    """With other certificates, the caBundle of the shipped entries is injected, and the guard's entry follows it."""
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
def test_the_account_may_do_no_more(machine: Machine, guard: BareGuard, attack: tuple[str, ...]) -> None:
    """With the service's token, everything that it does not need is forbidden."""
    del guard
    token = machine.must("create", "token", NAMESPACE, f"--namespace={NAMESPACE}").stdout.strip()
    kubeconfig = machine.folder / "stolen.kubeconfig"
    text = (machine.folder / "admin.kubeconfig").read_text()
    kubeconfig.write_text(text.replace("e2e-admin", token))
    answer = machine.kubectl(f"--kubeconfig={kubeconfig}", *attack)

    assert "forbidden: User" in answer.stderr


def test_every_granted_right_was_used(machine: Machine) -> None:
    """The audit log has each right to write that the manifests grant for the registration, and no refusal."""
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
    # The refused heartbeat, and nothing else.
    assert {(one["resource"], one["namespace"]) for one in forbidden} == {("networkpolicies", CANARY)}


def test_a_deleted_configuration_stays_deleted(programs: Registrars, guard: BareGuard, machine: Machine) -> None:
    """A deleted configuration is not created again by any leader; applying the manifests restores everything."""
    programs.start("last")
    programs.until_kept(HOME)
    until_owned(guard, {DEFAULTS: guard.bundle()}, MUTATING)  # the last that it writes, where others kept it before
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


def test_a_late_write_makes_nothing_again(guard: BareGuard, machine: Machine) -> None:
    """What a replica sends that has not seen the deletion yet is refused by the API server, for the object's uid."""
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


def test_uninstalling_is_one_command(programs: Registrars, guard: BareGuard, machine: Machine) -> None:
    """`kubectl delete -k` takes the configurations first, and everything, with every replica dead, too."""
    programs.stop()
    machine.must("scale", f"deployment/{NAMESPACE}", f"--namespace={NAMESPACE}", "--replicas=0")
    answer = machine.must("delete", "-k", str(guard.overlay), "--ignore-not-found", seconds=90)
    order = [line.split('"')[0].strip() for line in answer.stdout.splitlines()]

    assert order[0].startswith("validatingwebhookconfiguration")
    assert order[1].startswith("mutatingwebhookconfiguration")
    assert [guard.configuration(kind) for kind in CONFIGURATIONS] == [None, None]
    assert machine.kubectl("get", "namespace", NAMESPACE, CANARY).status == 1

    machine.must("delete", "networkpolicies", "--all", f"--namespace={HOME}")


def test_the_default_overlay_is_enough(guard: BareGuard, machine: Machine) -> None:
    """One command installs a service that makes its certificates and registers itself, and nothing is drift."""
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


def test_its_pods_have_the_priority_that_the_quota_counts(guard: BareGuard, machine: Machine) -> None:
    """Each pod that comes after the quota is counted, and starts."""
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
def test_the_default_overlay_shows_no_drift(machine: Machine, flags: tuple[str, ...]) -> None:
    """Applied twice by a deployment tool, all of it stays as it is, and what the service keeps is not the tool's."""
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


def test_the_development_overlay_is_in_nobodys_way(guard: BareGuard, machine: Machine) -> None:
    """One replica warns of what it would refuse, the entry that it keeps says Ignore, and a drain may evict it."""
    machine.must("apply", "-k", str(DEVELOPMENT))
    guard.until_rolled_out()

    def judged() -> Answer | None:
        answer = machine.kubectl("create", "--dry-run=server", "-f", "-", stdin=listed(deny_all(HOME)))
        return answer if answer.status == 0 and guard.owned()[POLICIES]["failurePolicy"] == "Ignore" else None

    def may_go() -> bool:
        budget = machine.must("get", "poddisruptionbudget", NAMESPACE, f"--namespace={NAMESPACE}", "--output=json")
        return budget.json["status"]["expectedPods"] == 1 and budget.json["status"]["disruptionsAllowed"] == 1

    warned = wait_until(judged, "the mode and the entry of the overlay", seconds=HANDOVER_SECONDS)
    wait_until(may_go, "the budget to count one pod, which may go", seconds=HANDOVER_SECONDS)
    (replica,) = guard.replicas()
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": replica, "namespace": NAMESPACE}}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{replica}/eviction"
    evicted = machine.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))

    assert "TCP/8092" in warned.stderr
    assert evicted.status == 0, evicted.stderr
