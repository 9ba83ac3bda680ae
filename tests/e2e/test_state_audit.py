"""The audit and the bypass on a real API server: what no review saw is found, told, and shown; and who may bypass."""

import contextlib
import json
import re
import sys
from collections.abc import Iterator
from statistics import median
from typing import Any

import pytest
import yaml
from crds.open_reports import definition
from harness.guard import MANIFESTS, NAMESPACE
from harness.machine import CHECKOUT, Machine
from harness.objects import Json, allow, deny_all, gateway, listed, namespace, policy
from harness.objects import pod as other_pod
from harness.place import Place
from harness.prometheus import Prometheus, running_prometheus
from harness.registering import RegisteringGuard
from harness.starting import running_machine
from harness.waiting import wait_until
from harness.witness import asked_by_the_service
from json_outputs import compare

pytestmark = [pytest.mark.clusters("plane"), pytest.mark.timeout(300, func_only=True)]  # a control plane of its own

REPLICAS = 2
VARIABLES = {
    "EEM_GUARDRAIL_REGISTER": "on",
    "EEM_GUARDRAIL_IPBLOCK_MATCHES_PODS": "no",
    "EEM_GUARDRAIL_REPORTS": "on",
}
FOUND_SECONDS = 10
MINUTE = 60
STORM_SECONDS = 120
TOLD_SECONDS = 40  # a leader that ended without releasing the Lease holds it for 15 s
BROKEN, RESTORED, BYPASSED = "RequiredIngressBroken", "RequiredIngressRestored", "RequiredIngressBypassed"
REPORTS = MANIFESTS / "components" / "reports" / "role.yaml"
REPORT = f"reports.openreports.io/{NAMESPACE}"
WALK = CHECKOUT / "docs" / "examples" / "alert"
MONITORING = MANIFESTS / "components" / "monitoring"
BYPASS = "eem-guardrail.io/bypass"
READ = "import sys,urllib.request;sys.stdout.write(urllib.request.urlopen(sys.argv[1]).read().decode())"


@pytest.fixture(scope="module")
def machine(control_plane: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Start a control plane for this module, whose tests stop all replicas."""
    with running_machine(lambda: Machine(tmp_path_factory.mktemp("audit"), control_plane)) as started:
        yield started


@pytest.fixture(scope="module")
def guard(machine: Machine) -> RegisteringGuard:
    """Install the service as it is shipped, with two replicas, and Reports of OpenReports."""
    machine.apply(definition())
    machine.must("apply", "-f", str(REPORTS))
    installed = RegisteringGuard(machine, REPLICAS, VARIABLES)
    installed.install()
    installed.add_kinds()
    return installed


@pytest.fixture(scope="module")
def names() -> Iterator[str]:
    return iter([f"audited-{number}" for number in range(20)])


def shown(machine: Machine, replica: str) -> dict[str, Any]:
    """Read /audit of one replica on the loopback address."""
    found: dict[str, Any] = json.loads(served(machine, replica, "audit"))
    compare("served-audit", found)
    return found


def served(machine: Machine, replica: str, path: str) -> str:
    """Read a path of the loopback address of one replica."""
    log = next(machine.logs.glob(f"*{replica}*.log"))
    ports = re.findall(r'"local": ?(\d+)', log.read_text())
    return machine.run([sys.executable, "-c", READ, f"http://127.0.0.1:{ports[-1]}/{path}"]).stdout


def rows(machine: Machine, guard: RegisteringGuard, place: Place) -> list[list[Json]]:
    """Return the rows of a namespace, from each replica."""
    return [
        [row for row in shown(machine, replica)["requirements"] if row["instance"]["namespace"] == place.name]
        for replica in guard.replicas()
    ]


def until_met(machine: Machine, guard: RegisteringGuard, place: Place, *, met: bool) -> Json:
    """Wait until every replica shows that the one requirement is met or not, and return its row."""

    def look() -> Json | None:
        found = rows(machine, guard, place)
        return found[0][0] if all([row["met"] for row in each] == [met] for each in found) else None

    return wait_until(look, f"the requirement of {place.name} to be {met}", seconds=FOUND_SECONDS)


def events(place: Place, reason: str) -> list[Json]:
    """Read the Events of one reason in a namespace, as kubectl has them."""
    found = place.kubectl("get", "events", "--output=json").json["items"]
    return [event for event in found if event["reason"] == reason]


def until_told(place: Place, reason: str) -> Json:
    return wait_until(lambda: next(iter(events(place, reason)), None), f"an Event {reason}", seconds=TOLD_SECONDS)


def test_a_pod_that_is_relabelled_out_of_its_policy_is_found(
    machine: Machine, guard: RegisteringGuard, place: Place
) -> None:
    """No review sees it. Both replicas show it, and one Event tells it on the instance."""
    instance, pod = gateway(place.name)
    pod["metadata"]["labels"]["role"] = "broker"
    opened = policy(
        place.name, "by-role", selector={"matchLabels": {"role": "broker"}}, ingress=[{"ports": [{"port": 8092}]}]
    )
    place.set_up(instance, pod, opened, deny_all(place.name))
    until_met(machine, guard, place, met=True)
    name = pod["metadata"]["name"]

    place.kubectl("label", "pod", name, "role-")
    row = until_met(machine, guard, place, met=False)
    event = until_told(place, BROKEN)
    described = place.kubectl("describe", "eventgateway", "gw").stdout
    uid = place.kubectl("get", "eventgateway", "gw", "--output=jsonpath={.metadata.uid}").stdout
    place.kubectl("label", "pod", name, "role=broker")
    until_met(machine, guard, place, met=True)

    assert (row["pods"]["names"], row["policies"]) == ([name], [f"{place.name}/default-deny-ingress"])
    assert (event["involvedObject"]["kind"], event["involvedObject"]["uid"]) == ("EventGateway", uid)
    assert f"gateway TCP/8092 of pod {name} cannot be reached" in event["message"]
    assert BROKEN in described
    assert len(events(place, BROKEN)) == 1


def test_a_namespace_that_is_relabelled_out_of_a_peer_is_found(
    machine: Machine, guard: RegisteringGuard, place: Place
) -> None:
    """The policy admits all other namespaces, and this one while it has the label."""
    shop, key = f"shop-of-{place.name}", "kubernetes.io/metadata.name"
    machine.must("apply", "-f", "-", stdin=listed(*namespace(shop)))
    machine.must("label", "namespace", shop, "tier=web")
    sources = [
        {"namespaceSelector": {"matchExpressions": [{"key": key, "operator": "NotIn", "values": [shop]}]}},
        {"namespaceSelector": {"matchLabels": {key: shop, "tier": "web"}}},
        {"ipBlock": {"cidr": "0.0.0.0/0"}},
    ]
    place.set_up(*gateway(place.name), allow(place.name, "allow", "gw", [8092], sources=sources))
    until_met(machine, guard, place, met=True)

    machine.must("label", "namespace", shop, "tier-")
    row = until_met(machine, guard, place, met=False)

    assert row["counterexample"]["namespace"] == shop
    assert shop in until_told(place, BROKEN)["message"]


def test_an_edit_while_no_replica_ran_is_found_at_the_start(
    machine: Machine, guard: RegisteringGuard, place: Place
) -> None:
    """Within ten seconds of the start, and told by the leader."""
    place.set_up_gateway()
    until_met(machine, guard, place, met=True)
    with guard.absent():
        machine.must("delete", "validatingwebhookconfiguration", NAMESPACE)
        place.delete("allow-kafka")
    row = until_met(machine, guard, place, met=False)
    event = until_told(place, BROKEN)
    guard.apply_configurations()
    guard.until_registered()

    assert row["policies"] == [f"{place.name}/default-deny-ingress"]
    assert event["reportingComponent"] == NAMESPACE
    assert event["reportingInstance"] in guard.replicas()


def relabelled(machine: Machine, place: Place, pods: list[str], values: list[str | None], *policies: Json) -> Json:
    """Set the label `role` of each pod to one value after the other, and try policies beside it."""
    settings = {"namespace": place.name, "pods": pods, "label": "role", "values": values, "policies": policies}
    found: Json = machine.run_program("harness.relabelling", settings, seconds=STORM_SECONDS)
    return found


def writes(machine: Machine, place: Place) -> int:
    """Return how often the service has written an Event or a Report in a namespace."""
    asked = [one for one in asked_by_the_service(machine) if one.namespace == place.name]
    return sum(one.verb in {"create", "patch"} and one.resource in {"events", "reports"} for one in asked)


@pytest.mark.parametrize("times", [30, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_requirement_that_flaps_makes_few_writes(
    machine: Machine, guard: RegisteringGuard, place: Place, times: int
) -> None:
    """The label by which a policy selects the pod comes and goes; Events and Reports are at most one a minute each."""
    instance, pod = gateway(place.name)
    pod["metadata"]["labels"]["role"] = "broker"
    opened = policy(
        place.name, "by-role", selector={"matchLabels": {"role": "broker"}}, ingress=[{"ports": [{"port": 8092}]}]
    )
    place.set_up(instance, pod, opened, deny_all(place.name))
    until_met(machine, guard, place, met=True)
    found = relabelled(machine, place, [pod["metadata"]["name"]], [None, "broker"] * times + [None])
    until_met(machine, guard, place, met=False)
    until_told(place, BROKEN)

    minutes = 1 + int(found["seconds"] + TOLD_SECONDS) // MINUTE
    told = [*events(place, BROKEN), *events(place, RESTORED)]
    assert sum((event.get("series") or {}).get("count", 1) for event in told) <= minutes + 1
    assert 1 <= writes(machine, place) <= 2 * (minutes + 1)


def test_a_report_shows_what_is_broken_and_goes_with_the_last_instance(
    machine: Machine, guard: RegisteringGuard, place: Place
) -> None:
    """The definition of its authors accepts it, and Kubernetes deletes it with its owner."""
    place.set_up(deny_all(place.name), *gateway(place.name))  # before there is an instance, so it is not refused
    until_met(machine, guard, place, met=False)
    report = wait_until(lambda: read_report(place), "a Report", seconds=TOLD_SECONDS)
    uid = place.kubectl("get", "eventgateway", "gw", "--output=jsonpath={.metadata.uid}").stdout
    printed = place.kubectl("get", "reports").stdout
    place.kubectl("delete", "eventgateway", "gw")
    wait_until(lambda: read_report(place) is None, "the Report to go", seconds=TOLD_SECONDS)

    failed = [one for one in report["results"] if one["result"] == "fail"]
    assert [one["uid"] for one in report["metadata"]["ownerReferences"]] == [uid]
    assert report["summary"]["fail"] == len(failed) == 1
    assert f"isolated by {place.name}/default-deny-ingress" in failed[0]["message"]
    assert [one["operation"] for one in report["metadata"]["managedFields"]] == ["Apply"]
    assert NAMESPACE in printed


def read_report(place: Place) -> Json | None:
    """Read the Report of a namespace; None if there is none."""
    answer = place.kubectl("get", REPORT, "--ignore-not-found", "--show-managed-fields", "--output=json")
    found: Json | None = answer.json if answer.stdout else None
    return found


@pytest.mark.slow
def test_reviews_are_answered_during_a_burst_of_five_thousand_changes_of_pods(
    machine: Machine, guard: RegisteringGuard, place: Place
) -> None:
    """Every verdict is right, and the audit is up to date afterwards."""
    place.set_up(*gateway(place.name))
    names = [f"web-{number}" for number in range(100)]
    place.apply(*(other_pod(place.name, name, {"app": "web"}, "web") for name in names))
    closing = deny_all(place.name, "closing")
    harmless = policy(place.name, "harmless", selector={"matchLabels": {"app": "web"}})
    found = relabelled(machine, place, names, [f"{number}" for number in range(50)], closing, harmless)
    taken = sorted(seconds for _, _, seconds in found["reviews"])
    print(f"{found['seconds']:.0f} s; {len(taken)} reviews: median {median(taken):.3f} s, longest {taken[-1]:.3f} s")

    assert {(name, status) for name, status, _ in found["reviews"]} == {("closing", 403), ("harmless", 201)}
    until_met(machine, guard, place, met=True)


def marked(policy_object: Json, reason: str) -> Json:
    return {**policy_object, "metadata": {**policy_object["metadata"], "annotations": {BYPASS: reason}}}


@pytest.fixture
def users(place: Place) -> tuple[str, str]:
    """Make two users who may edit policies. The first one may bypass the guard, too."""
    place.set_up(*gateway(place.name))
    verbs = "--verb=get,list,create,update,patch,delete"
    place.kubectl("create", "role", "edit", verbs, "--resource=networkpolicies.networking.k8s.io")
    place.kubectl("create", "rolebinding", "edit", "--role=edit", "--user=jane", "--user=joe")
    place.kubectl("create", "rolebinding", "bypass", "--clusterrole=eem-guardrail-bypass", "--user=jane")
    return "jane", "joe"


def test_only_the_user_with_the_right_bypasses_the_guard(
    machine: Machine, guard: RegisteringGuard, place: Place, users: tuple[str, str]
) -> None:
    """The same change of another user, before and after it, is refused with the reason."""
    jane, joe = users
    deny = deny_all(place.name)

    before = place.apply(marked(deny, "INC-1"), flags=(f"--as={joe}",))
    plain = place.apply(deny, flags=(f"--as={jane}",))
    used = place.apply(marked(deny, "INC-1"), flags=(f"--as={jane}",))
    row = until_met(machine, guard, place, met=False)
    event = until_told(place, BYPASSED)
    other = place.apply(marked(deny_all(place.name, "second"), "INC-2"), flags=(f"--as={joe}",))
    counted = sum(guard.sum_of(replica, "eem_guardrail_bypasses_total") for replica in guard.replicas())

    assert before.status != 0
    assert "The bypass does not count: user joe has no right to bypass" in before.stderr
    assert (plain.status != 0, "The bypass" in plain.stderr) == (True, False)
    assert used.status == 0, used
    assert "Warning: let through by eem-guardrail.io/bypass" in used.stderr
    assert row["bypasses"] == [{"policy": f"{place.name}/default-deny-ingress", "reason": "INC-1"}]
    assert "INC-1" in event["message"]
    assert other.status == 0  # it cuts off nothing more, so it needs no bypass
    assert counted >= 1


def test_a_policy_that_carries_the_annotation_is_deleted_by_the_user_with_the_right(
    machine: Machine, guard: RegisteringGuard, place: Place, users: tuple[str, str]
) -> None:
    """The annotation alone lets no other user through, and is shown until the break is mended."""
    jane, joe = users
    allowed = marked(allow(place.name, "allow-kafka", "gw", [8092]), "INC-3")
    place.apply(allowed)
    place.apply(deny_all(place.name))
    until_met(machine, guard, place, met=True)

    refused = place.delete("allow-kafka", f"--as={joe}")
    narrowed = place.patch("allow-kafka", {"spec": {"ingress": []}}, "merge")
    deleted = place.delete("allow-kafka", f"--as={jane}")
    audited = place.audited("allow-kafka", "delete")
    row = until_met(machine, guard, place, met=False)
    place.apply(allow(place.name, "again", "gw", [8092]))
    mended = until_met(machine, guard, place, met=True)

    assert "user joe has no right to bypass" in refused.stderr
    assert "would cut off required ingress" in narrowed.stderr  # an annotation that was left there does nothing
    assert deleted.status == 0, deleted
    assert audited["networkpolicies.eem-guardrail.io/bypass"] == "INC-3"
    assert {"policy": f"{place.name}/allow-kafka", "reason": "INC-3"} in row["bypasses"]
    assert mended["bypasses"] == []


@pytest.fixture(scope="module")
def prometheus(machine: Machine, guard: RegisteringGuard) -> Iterator[Prometheus]:
    """Start a Prometheus with the rules of the component `monitoring`, without the times for which an alert waits."""
    guard.until_ready()
    (endpoint,) = yaml.safe_load((MONITORING / "podmonitor.yaml").read_text())["spec"]["podMetricsEndpoints"]
    rules = yaml.safe_load((MONITORING / "prometheusrule.yaml").read_text())["spec"]
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        rule.pop("for", None)
    with running_prometheus(machine, rules, endpoint["port"]) as started:
        yield started


@pytest.mark.commands("prometheus")
def test_every_query_of_the_dashboard_has_an_answer(place: Place, prometheus: Prometheus) -> None:
    """Each expression of each panel returns at least one series from the metrics of the service."""
    place.set_up(*gateway(place.name), marked(allow(place.name, "allow", "gw", [8092]), "none"))
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    queries = [one["expr"] for panel in dashboard["panels"] for one in panel["targets"]]

    def unanswered() -> list[str]:
        return [query for query in queries if not prometheus.query(query)]

    with contextlib.suppress(TimeoutError):  # a rate needs two reviews in the window; the assertion names what is left
        wait_until(lambda: not unanswered(), "an answer to every query", seconds=TOLD_SECONDS)

    assert queries
    assert unanswered() == []


@pytest.mark.commands("prometheus")
def test_the_way_from_the_alert_to_the_mended_policy(
    machine: Machine, guard: RegisteringGuard, place: Place, prometheus: Prometheus
) -> None:
    """The steps of docs/from-the-alert.md: the alert, the page and the audit, the mended policy, and no alert."""
    name = "EemGuardrailRequirementBroken"
    instance, pod = gateway(place.name)
    pod["metadata"]["labels"]["team"] = "integration"
    state = [one for one in yaml.safe_load_all((WALK / "state.yaml").read_text()) if one["kind"] == "NetworkPolicy"]
    (mended,) = yaml.safe_load_all((WALK / "mended.yaml").read_text())
    for one in (*state, mended):
        one["metadata"]["namespace"] = place.name
    place.set_up(*state, instance, pod)  # before there is an instance, so they are not refused

    def fired() -> dict[str, str] | None:
        found = prometheus.firing(name)
        return next((one for one in found if one["exported_namespace"] == place.name), None)

    labels = wait_until(fired, f"the alert {name}", seconds=TOLD_SECONDS)
    rules = [rule for group in prometheus.asked("rules")["groups"] for rule in group["rules"]]
    row = until_met(machine, guard, place, met=False)
    page = served(machine, guard.replicas()[0], "")
    applied = place.apply(mended)
    until_met(machine, guard, place, met=True)
    wait_until(lambda: fired() is None, "the alert to be resolved", seconds=TOLD_SECONDS)

    assert (row["policies"], row["remedy"]["kind"]) == ([f"{place.name}/default-deny-ingress"], "NetworkPolicy")
    assert place.name in page
    assert applied.status == 0, applied
    assert {key: labels[key] for key in ("kind", "exported_instance", "component", "port")} == {
        "kind": "EventGateway",
        "exported_instance": "gw",
        "component": "gateway",
        "port": "8092",
    }
    assert [rule for rule in rules if rule["health"] != "ok"] == []


def test_the_service_asked_for_nothing_that_it_may_not(machine: Machine, guard: RegisteringGuard) -> None:
    """The rights of the manifests cover the questions about users, and the Events in every namespace."""
    guard.until_ready()
    asked = asked_by_the_service(machine)
    used = {(one.verb, one.group, one.resource) for one in asked}

    assert {
        ("create", "events.k8s.io", "events"),
        ("create", "authorization.k8s.io", "subjectaccessreviews"),
        ("patch", "openreports.io", "reports"),
    } <= used
    assert [one for one in asked if one.forbidden] == []
