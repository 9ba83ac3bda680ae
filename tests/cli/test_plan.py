"""`eem-guardrail plan`: an order of changes in text, JSON and YAML, and the exit status."""

import json
from pathlib import Path

import pytest
import yaml
from builders import (
    GATEWAY_KIND,
    ApiObject,
    eem_labels,
    from_,
    instance,
    namespace,
    pod,
    policy,
    port,
    selector,
    workload,
)

from webhook.cli import main

COMPLETE, NO_ORDER, UNUSABLE = 0, 1, 2
DENY = policy("default-deny", policy_types=["Ingress"])
UNCHANGED = policy("unchanged", namespace="shop")
GATEWAY = instance("gw", kind=GATEWAY_KIND)
CLUSTER = [namespace("eem"), GATEWAY, pod("gw-ibm-egw-gateway-7f9c-x2x", labels=eem_labels("gw"))]


def allow(name: str, number: int = 8092) -> ApiObject:
    rules = [from_(ports=[port(number, "TCP")])]
    return policy(name, pod_selector=selector(**eem_labels("gw")), ingress=rules)


class Repository:
    """Two folders and the rest of the cluster."""

    def __init__(self, folder: Path) -> None:
        self.before, self.after, self.state = folder / "before", folder / "after", folder / "state.json"
        self.state.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": CLUSTER}))

    def holds(self, before: list[ApiObject], after: list[ApiObject]) -> None:
        """Write the objects of each folder, one to a file."""
        for folder, objects in ((self.before, before), (self.after, after)):
            folder.mkdir()
            for number, api_object in enumerate([UNCHANGED, *objects]):
                (folder / f"{number}.json").write_text(json.dumps(api_object))

    def plan(self, *words: str) -> int:
        """Run the command."""
        return main(
            ["plan", "--before", str(self.before), "--after", str(self.after), "--state", str(self.state), *words]
        )


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_the_safe_order_is_printed_as_text(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    """The new allow comes before the deletion of the old one."""
    repository.holds([DENY, allow("old")], [DENY, allow("new")])

    status = repository.plan()

    assert status == COMPLETE
    assert capsys.readouterr().out.splitlines() == [
        "1. CREATE NetworkPolicy eem/new",
        "2. DELETE NetworkPolicy eem/old",
    ]


@pytest.mark.parametrize(("order", "first"), [("given", "z"), ("helm", "a")])
def test_the_plan_keeps_to_the_order_of_the_tool(
    repository: Repository, order: str, first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where both orders are safe, the one of the tool is printed."""
    repository.holds([], [allow("z"), allow("a")])

    repository.plan("--order", order)

    assert capsys.readouterr().out.startswith(f"1. CREATE NetworkPolicy eem/{first}\n")


def two_ports(name: str, number: int) -> ApiObject:
    rules = [from_(ports=[port(number, "TCP")])]
    return policy(name, pod_selector=selector(**eem_labels("mgr")), ingress=rules)


@pytest.fixture
def exchange(repository: Repository) -> Repository:
    """Two policies of a manager exchange their ports, which no order of two changes can do."""
    manager = [instance("mgr"), pod("mgr-ibm-eem-manager-0", labels=eem_labels("mgr"))]
    repository.state.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [namespace("eem"), *manager]}))
    repository.holds([two_ports("one", 3000), two_ports("two", 8081)], [two_ports("one", 8081), two_ports("two", 3000)])
    return repository


def test_temporary_policies_are_marked(exchange: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    """The status is 1, because the changes alone have no safe order."""
    status = exchange.plan()
    lines = capsys.readouterr().out.splitlines()

    assert status == NO_ORDER
    assert lines[0] == "No order of these changes keeps all required ingress open."
    assert lines[1] == "DENIED  UPDATE NetworkPolicy eem/one"
    steps = lines[lines.index("With temporary policies there is one:") + 1 :]
    assert [step.endswith("(temporary)") for step in steps] == [True, False, False, True]


def test_json_has_every_step_and_the_temporary_objects(
    exchange: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is blocked is a verdict with its losses."""
    exchange.plan("-o", "json")

    found = json.loads(capsys.readouterr().out)
    assert (found["schemaVersion"], found["complete"], found["exact"]) == ("1", False, True)
    assert [step["temporary"] for step in found["steps"]] == [True, False, False, True]
    assert found["steps"][0]["object"]["kind"] == "NetworkPolicy"
    assert found["steps"][1]["object"] is None
    assert [one["lost"][0]["port"] for one in found["blocked"]] == [3000, 8081]
    assert found["blocked"][0]["interrupted"] == []


@pytest.mark.parametrize(
    ("tool", "annotation"), [("argocd", "argocd.argoproj.io/sync-wave"), ("helm", "helm.sh/hook-weight")]
)
def test_yaml_has_the_objects_in_order(
    exchange: Repository, tool: str, annotation: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A deletion is a comment; with --annotate, each object has its number."""
    exchange.plan("-o", "yaml", "--annotate", tool)

    text = capsys.readouterr().out
    documents = [document for document in yaml.safe_load_all(text) if document]
    assert [one["metadata"]["annotations"][annotation] for one in documents] == ["1", "2", "3"]
    assert text.rstrip().splitlines()[-1].startswith("# step 4: delete NetworkPolicy eem/")


def test_yaml_without_annotations_is_what_the_files_have(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """The objects are not changed."""
    repository.holds([], [DENY, allow("new")])

    repository.plan("-o", "yaml")

    assert list(yaml.safe_load_all(capsys.readouterr().out)) == [allow("new"), DENY]


def test_an_end_state_that_closes_a_port_has_no_plan(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """There are no steps to follow, in text and in YAML."""
    repository.holds([], [DENY])

    assert repository.plan() == NO_ORDER
    assert "gateway TCP/8092" in capsys.readouterr().out
    assert repository.plan("-o", "yaml") == NO_ORDER
    assert capsys.readouterr().out == "# No order of these changes keeps all required ingress open\n"


def test_what_a_relabelled_workload_interrupts_is_named(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """The webhook does not refuse it, so there is no refusal to print."""
    sides = [workload("gw-ibm-egw-gateway", labels=eem_labels("gw", tier=tier)) for tier in ("old", "new")]
    opened = policy("allow-old", pod_selector=selector(tier="old"), ingress=[from_()])
    state = [namespace("eem"), GATEWAY, DENY, opened]
    repository.state.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": state}))
    repository.holds([sides[0]], [sides[1]])

    assert repository.plan() == NO_ORDER
    assert "would interrupt EventGateway eem/gw: gateway TCP/8092" in capsys.readouterr().out
    repository.plan("-o", "json")
    assert json.loads(capsys.readouterr().out)["blocked"][0]["interrupted"] == [
        {
            "instance": {"kind": "EventGateway", "namespace": "eem", "name": "gw"},
            "component": "gateway",
            "protocol": "TCP",
            "port": 8092,
        }
    ]


def test_an_order_that_was_not_found_among_many_is_not_called_impossible(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """More changes than are searched exactly."""
    repository.holds([], [DENY, *(allow(f"p{number}", 9999) for number in range(12))])

    repository.plan()

    assert "(none was found; not all orders were tried)." in capsys.readouterr().out.splitlines()[0]


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ([DENY], [DENY], "there is no change: both states have the same objects"),
        ([{"kind": "NetworkPolicy"}], [DENY], "apiVersion: must be set"),
    ],
)
def test_input_that_cannot_be_planned_exits_with_2(
    repository: Repository,
    before: list[ApiObject],
    after: list[ApiObject],
    problem: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The problem is on standard error."""
    repository.holds(before, after)

    assert repository.plan() == UNUSABLE
    assert problem in capsys.readouterr().err


def test_a_state_without_eem_needs_allow_empty(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing could be interrupted there."""
    repository.state.write_text(json.dumps(namespace("eem")))
    repository.holds([], [DENY])

    assert repository.plan() == UNUSABLE
    assert "--allow-empty" in capsys.readouterr().err
    assert repository.plan("--allow-empty") == COMPLETE


def test_the_states_alone_may_have_everything(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --state, the cluster is what the earlier folder has."""
    repository.holds([*CLUSTER, allow("old"), DENY], [*CLUSTER, allow("new"), DENY])

    status = main(["plan", "--before", str(repository.before), "--after", str(repository.after)])

    assert status == COMPLETE
    assert len(capsys.readouterr().out.splitlines()) == 2
