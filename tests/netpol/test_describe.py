"""A set of sources in words."""

from typing import Any

import builders as b
import pytest

from netpol.asking import sources_of
from webhook.netpol.describe import describe_sources, networks
from webhook.netpol.intervals import network, subtract
from webhook.netpol.sources import EVERYONE, NOBODY, Sources


@pytest.mark.parametrize(
    ("sources", "lines"),
    [
        pytest.param(EVERYONE, ["everyone: every pod, every node, every address"], id="everyone"),
        pytest.param(NOBODY, ["nobody"], id="nobody"),
        pytest.param(sources_of(b.peer(namespaces={})), ["every pod in every namespace"], id="every pod"),
        pytest.param(sources_of(b.peer(pods={})), ["every pod in namespace eem"], id="every pod of one namespace"),
        pytest.param(
            sources_of(b.peer(pods=b.selector(app="web"))), ["pods with app=web in namespace eem"], id="by one label"
        ),
        pytest.param(
            sources_of(b.peer(pods=b.selector(app="web", tier="1"), namespaces=b.selector(team="a"))),
            ["pods with app=web and tier=1 in namespaces with team=a"],
            id="by labels of both",
        ),
        pytest.param(
            sources_of(b.peer(namespaces=b.selector(b.expression(b.NAME_LABEL, "In", "b", "a")))),
            ["every pod in namespace a, b"],
            id="namespaces by name",
        ),
        pytest.param(
            sources_of(b.peer(namespaces=b.selector(b.expression(b.NAME_LABEL, "NotIn", "a"), team="x"))),
            ["every pod in every namespace but a with team=x"],
            id="namespaces by label, but for one",
        ),
        pytest.param(
            sources_of(b.peer(namespaces=b.selector(b.expression(b.NAME_LABEL, "NotIn", "b", "a")))),
            ["every pod in every namespace but a, b"],
            id="every namespace but two",
        ),
        pytest.param(
            sources_of(b.block("203.0.113.0/24", "203.0.113.0/25"), b.block("::/0")),
            [
                "addresses in 203.0.113.128/25",
                "addresses in ::/0",
                "pods with such an address: that depends on the network plugin",
            ],
            id="addresses",
        ),
        pytest.param(
            Sources(unreadable=True), ["perhaps others: a stored policy has parts that cannot be read"], id="unreadable"
        ),
    ],
)
def test_sources_in_words(sources: Sources, lines: list[str]) -> None:
    """The set reads like this."""
    assert tuple(lines) == describe_sources(sources)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        pytest.param(b.expression("app", "In", "a"), "pods with app=a", id="In with one value"),
        pytest.param(b.expression("app", "In", "b", "a"), "pods with app in (a, b)", id="In with two"),
        pytest.param(b.expression("app", "NotIn", "a"), "pods with app not in (a)", id="NotIn"),
        pytest.param(b.expression("app", "Exists"), "pods with label app", id="Exists"),
        pytest.param(b.expression("app", "DoesNotExist"), "pods with no label app", id="DoesNotExist"),
    ],
)
def test_operators_in_words(expression: b.Node, words: str) -> None:
    """Each operator has its words."""
    assert describe_sources(sources_of(b.peer(pods=b.selector(expression)))) == (f"{words} in namespace eem",)


def test_two_operators_on_one_key() -> None:
    """Requirements on one key are told together."""
    both = b.selector(b.expression("app", "Exists"), b.expression("app", "NotIn", "a"))

    assert describe_sources(sources_of(b.peer(pods=both))) == ("pods with label app, not in (a) in namespace eem",)


def test_lines_have_an_order() -> None:
    """The order of lines does not depend on the order of rules."""
    peers: list[Any] = [b.peer(pods=b.selector(app=name)) for name in "cab"]

    assert describe_sources(sources_of(*peers)) == tuple(f"pods with app={name} in namespace eem" for name in "abc")


def test_networks_of_a_set() -> None:
    """A set of addresses is shown as the CIDRs that make it up."""
    rest = subtract((network("10.0.0.0/30")[1],), (network("10.0.0.1/32")[1],))

    assert list(networks(4, rest)) == ["10.0.0.0/32", "10.0.0.2/31"]
    assert list(networks(6, (network("fd00::/8")[1],))) == ["fd00::/8"]
