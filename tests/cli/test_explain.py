"""`eem-guardrail explain`: one connection, a range, or all sources that may connect."""

import json
from pathlib import Path

import pytest
from builders import (
    GATEWAY_KIND,
    ApiObject,
    admin_policy,
    block,
    eem_labels,
    expression,
    from_,
    instance,
    namespace,
    namespaces,
    peer,
    pod,
    pods,
    policy,
    port,
    rule,
    selector,
    to,
    workload,
)

from webhook.cli import main

ALLOWED, DENIED, UNUSABLE = 0, 1, 2
INGRESS = from_(
    peer(pods=selector(app="web"), namespaces=selector(team="shop")),
    peer(pods=selector(expression("tier", "In", "a", "b"), expression("old", "DoesNotExist"))),
    peer(namespaces=selector(expression("env", "NotIn", "test"), expression("zone", "Exists"))),
    block("10.0.0.0/8", "10.1.0.0/16"),
    ports=[port(8092, "TCP")],
)


def write(path: Path, *objects: ApiObject) -> str:
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return str(path)


@pytest.fixture
def state(tmp_path: Path) -> str:
    return write(
        tmp_path / "state.yaml",
        namespace("eem"),
        namespace("shop", labels={"team": "shop"}),
        pod("gw-0", "eem", labels={"app": "gw"}, ips=["10.9.0.1"]),
        pod("web-0", "shop", labels={"app": "web"}, ips=["172.16.0.1"]),
        pod("other-0", "shop", ips=["172.16.0.2"]),
        pod("ten-0", "shop", ips=["10.9.0.9"]),
        pod("node-0", "eem", host_network=True, ips=["192.168.0.1"]),
        workload("batch", "shop", labels={"app": "web"}),
        policy("only-web", "eem", pod_selector=selector(app="gw"), ingress=[INGRESS]),
    )


def explain(state: str, *words: str) -> int:
    return main(["explain", "--state", state, "--to", "eem/gw-0", "--port", "8092", *words])


@pytest.mark.parametrize(
    ("source", "status", "answer"),
    [
        pytest.param("shop/web-0", ALLOWED, "ALLOWED", id="a pod that a rule admits"),
        pytest.param("shop/batch", ALLOWED, "ALLOWED", id="a workload that has no pods yet"),
        pytest.param("shop/other-0", DENIED, "NOT ALLOWED", id="a pod that no rule admits"),
        pytest.param("shop/ten-0", DENIED, "NOT DECIDED", id="a pod in an ipBlock"),
        pytest.param("10.2.0.1", ALLOWED, "ALLOWED", id="an address"),
        pytest.param("10.1.0.1", DENIED, "NOT ALLOWED", id="an address in an exception"),
        pytest.param("10.1.0.0/24", DENIED, "NOT ALLOWED", id="a range in an exception"),
        pytest.param("10.2.0.0/24", ALLOWED, "ALLOWED", id="a range"),
        pytest.param("2001:db8::/64", DENIED, "NOT ALLOWED", id="a range of the other family"),
    ],
)
def test_a_connection_is_explained(
    source: str, status: int, answer: str, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first line is the answer, and the exit status agrees."""
    found = explain(state, "--from", source)

    first = capsys.readouterr().out.splitlines()[0]
    assert (status, f"{source} -> eem/gw-0 TCP/8092: {answer}") == (found, first)


def test_the_json_has_the_outcome_of_each_rule(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    """For each policy that isolates an end."""
    explain(state, "--from", "shop/other-0", "-o", "json")

    answer = json.loads(capsys.readouterr().out)
    assert (False, True) == (answer["allowed"], answer["decided"])
    assert [{"policy": "eem/only-web", "index": 0, "outcome": "other_peer"}] == answer["ingress"]["rules"]
    assert answer["egress"]["allowed"]


def test_without_a_source_all_sources_are_listed(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each term of the set of sources is one line."""
    status = explain(state)

    out = capsys.readouterr().out
    assert status == ALLOWED
    for line in (
        "pods with app=web in namespaces with team=shop",
        "pods with no label old and tier in (a, b) in namespace eem",
        "every pod in namespaces with env not in (test) and label zone",
        "addresses in 10.128.0.0/9",
        "policies that isolate it: eem/only-web",
    ):
        assert line in out


@pytest.mark.parametrize(
    ("to_pod", "expected"),
    [
        pytest.param("shop/web-0", "everyone: every pod, every node, every address", id="not isolated"),
        pytest.param("eem/node-0", "everyone: every pod, every node, every address", id="on the node's network"),
    ],
)
def test_a_pod_that_no_policy_isolates_is_open(
    to_pod: str, expected: str, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every source may connect, any range included."""
    status = main(["explain", "--state", state, "--to", to_pod, "--port", "80"])
    out = capsys.readouterr().out
    by_range = main(["explain", "--state", state, "--to", to_pod, "--port", "80", "--from", "0.0.0.0/0"])

    assert (ALLOWED, ALLOWED) == (status, by_range)
    assert expected in out


def test_a_default_deny_admits_no_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sources of a pod under a default deny are named as none."""
    state = write(tmp_path / "s.json", pod("gw-0", "eem"), policy("deny", "eem", egress=[to()]))

    explain(state, "-o", "json")

    assert json.loads(capsys.readouterr().out)["sources"] == ["no source"]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        pytest.param([], ALLOWED, "eem/gw-0 TCP/8092 can be reached by:\n  no source\n", id="the list of nobody"),
        pytest.param(["--from", "eem/web-0"], DENIED, "eem/web-0 -> eem/gw-0 TCP/8092: NOT ALLOWED\n", id="a pod"),
        pytest.param(["--from", "10.0.0.1"], DENIED, "10.0.0.1 -> eem/gw-0 TCP/8092: NOT ALLOWED\n", id="an address"),
        pytest.param(["--from", "::/0"], DENIED, "::/0 -> eem/gw-0 TCP/8092: NOT ALLOWED\n", id="a range"),
    ],
)
def test_where_nobody_may_connect_the_answer_says_so_with_the_status_that_the_help_names(
    words: list[str], status: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 50: a list without a source answers the question, so its status is 0; a named source is refused."""
    denied = write(tmp_path / "s.json", pod("gw-0", "eem"), pod("web-0", "eem"), policy("deny", "eem"))
    found = explain(denied, *words)
    shown = capsys.readouterr().out
    main(["explain", "--help"])
    told = " ".join(capsys.readouterr().out.split())

    assert (found, shown[: len(said)]) == (status, said)
    assert "eem/deny" in shown
    assert "0 the connection is allowed; without --from, the sources were listed" in told
    assert "1 the connection is not allowed, only partly allowed, or not decided" in told


@pytest.mark.parametrize("port_words", [["--port", "8092"], ["--port", "https"]], ids=["number", "name"])
@pytest.mark.parametrize(
    "from_words", [[], ["--from", "10.0.0.0/8"], ["--from", "10.0.0.1"]], ids=["all", "range", "one"]
)
@pytest.mark.parametrize(
    ("to_pod", "missing"),
    [
        pytest.param("eem/gone-0", "pod or workload gone-0 in namespace eem", id="no such pod"),
        pytest.param("nowhere/gw-0", "pod or workload gw-0 in namespace nowhere", id="no such namespace"),
    ],
)
def test_a_destination_that_is_not_there_is_named_however_it_is_asked_about(  # noqa: PLR0913, PLR0917  rows of a table
    to_pod: str,
    missing: str,
    from_words: list[str],
    port_words: list[str],
    state: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is neither open to everyone nor closed: the error names the flag, and there is no answer."""
    status = main(["explain", "--state", state, "--to", to_pod, *port_words, *from_words])

    captured = capsys.readouterr()
    assert (UNUSABLE, "") == (status, captured.out)
    assert captured.err == f"eem-guardrail explain: --to: there is no {missing}\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        pytest.param(["--from", "nonsense"], "--from: 'nonsense' is neither", id="no end"),
        pytest.param(["--from", "shop/nobody"], "there is no pod or workload nobody", id="no such pod"),
        pytest.param(["--from", "10.0.0.0/99"], "99", id="no CIDR"),
        pytest.param(["--protocol", "ICMP"], "must be TCP, UDP or SCTP", id="no protocol"),
        pytest.param(["--port", "70000"], "must be between 1 and 65535", id="no port"),
        pytest.param(["--to", "eem/nobody"], "there is no pod or workload nobody", id="no destination"),
        pytest.param(["--state", "no-such-folder"], "no-such-folder", id="no state"),
    ],
)
def test_a_question_about_something_that_does_not_exist_has_status_2(
    words: list[str], complaint: str, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not answered with `not allowed`."""
    status = explain(state, *words)

    captured = capsys.readouterr()
    assert (UNUSABLE, "") == (status, captured.out)
    assert complaint in captured.err


@pytest.mark.parametrize(
    ("where", "words"),
    [
        pytest.param("eem", ["--from", "shop/other-0"], id="the destination"),
        pytest.param("shop", ["--from", "shop/other-0"], id="the source"),
        pytest.param("eem", [], id="every source"),
    ],
)
def test_policies_of_other_products_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], where: str, words: list[str]
) -> None:
    """They may override the answer, if they may select one of its pods."""
    foreign = {"apiVersion": "crd.antrea.io/v1beta1", "kind": "NetworkPolicy", "metadata": {"name": "p"}}
    antrea = foreign | {"metadata": {"name": "p", "namespace": where}}
    known = write(tmp_path / "state.json", pod("gw-0", "eem"), pod("other-0", "shop"), antrea)
    question = ["explain", "--state", known, "--to", "eem/gw-0", "--port", "8092", *words]

    assert main(question) == ALLOWED
    assert capsys.readouterr().out.endswith("Antrea policies are not read and may override this answer\n")
    main([*question, "-o", "json"])
    assert json.loads(capsys.readouterr().out)["policyKinds"]["unread"] == ["NetworkPolicy.crd.antrea.io"]


def test_policies_of_other_products_elsewhere_are_not_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A policy of a namespace selects pods of that namespace only."""
    foreign = {"apiVersion": "crd.antrea.io/v1beta1", "kind": "NetworkPolicy"}
    known = write(
        tmp_path / "state.json", pod("gw-0", "eem"), foreign | {"metadata": {"name": "p", "namespace": "shop"}}
    )

    assert main(["explain", "--state", known, "--to", "eem/gw-0", "--port", "8092", "-o", "json"]) == ALLOWED
    assert json.loads(capsys.readouterr().out)["policyKinds"]["unread"] == []


def test_cluster_wide_policies_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The answer rests on them, and their kind is among those that are read."""
    deny = admin_policy(subject={"namespaces": {}}, ingress=[{"action": "Deny", "from": [{"namespaces": {}}]}])
    known = write(tmp_path / "state.json", pod("gw-0", "eem"), pod("web-0", "shop"), deny)
    words = ["--to", "eem/gw-0", "--port", "8092", "--from", "shop/web-0", "-o", "json"]

    assert main(["explain", "--state", known, *words]) == DENIED
    found = json.loads(capsys.readouterr().out)["policyKinds"]
    assert found == {
        "read": ["NetworkPolicy.networking.k8s.io", "AdminNetworkPolicy.policy.networking.k8s.io"],
        "unread": [],
    }


WHO = ["explain", "--to", "eem/gateway-0", "--port", "8092", "--state"]
SILENT = [
    namespace("eem"),
    namespace("shop"),
    pod("web-0", "shop", labels={"app": "web"}),
    pod("batch-0", "shop", labels={"app": "batch"}),
    instance("gw", kind=GATEWAY_KIND),
    pod("gateway-0", labels=eem_labels("gw")),
]


@pytest.mark.parametrize(
    "quiet",
    [
        pytest.param(
            policy("quiet", "shop", pod_selector=selector(app="batch"), policy_types=["Egress"]), id="NetworkPolicy"
        ),
        pytest.param(
            admin_policy(egress=[rule("Deny", namespaces(), field="to")], subject=pods(selector(app="batch"))),
            id="AdminNetworkPolicy",
        ),
        pytest.param(
            {
                "apiVersion": "projectcalico.org/v3",
                "kind": "GlobalNetworkPolicy",
                "metadata": {"name": "quiet"},
                "spec": {"selector": "app == 'batch'", "types": ["Egress"]},
            },
            id="Calico",
        ),
    ],
)
def test_everyone_is_not_said_where_a_pod_cannot_send(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], quiet: ApiObject
) -> None:
    """Its own egress policies keep it back, of whatever kind they are."""
    state = write(tmp_path / "silent.yaml", *SILENT, quiet)
    main([*WHO, state, "--plugin", "calico"])
    shown = capsys.readouterr().out

    assert "everyone" not in shown
    assert "  every pod but those below, every node, every address\n" in shown
    assert "  but not, by their own egress policies: shop/batch-0\n" in shown


def test_a_pod_of_eem_has_requirements_and_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with what is met, as in the audit."""
    deny = policy("deny", policy_types=["Ingress", "Egress"])
    main([*WHO, write(tmp_path / "denied.yaml", *SILENT, deny)])
    shown = capsys.readouterr().out

    assert "requirements:\n  TCP/8092: isolated by eem/deny\n" in shown
    assert "needs of egress:\n  E4 Kafka at TCP/any: isolated by eem/deny\n" in shown
    main([*WHO, write(tmp_path / "open.yaml", *SILENT), "-o", "json"])
    found = json.loads(capsys.readouterr().out)
    assert [(one["port"], one["met"]) for one in found["requirements"]] == [(8092, True)]
    assert [(one["need"], one["met"]) for one in found["needs"]] == [("E4", True)]
