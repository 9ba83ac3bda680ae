"""Whether policies open a pod to more than it is open to without them."""

from typing import Any

import pytest
from builders import block, container, container_port, from_, peer, pod, policy, port, selector, to

from webhook.netpol.model import Protocol
from webhook.netpol.parse import read_policy
from webhook.netpol.parse_objects import read_object
from webhook.netpol.sources.budget import Answers
from webhook.netpol.sources.opening import Opening
from webhook.netpol.sources.universe import Universe

SHOP = peer(namespaces=selector(team="shop"))
POD = pod("web", labels={"app": "web"}, containers=[container(container_port(8080, "http"))])


def ingress(*rules: Any, name: str = "p", **fields: Any) -> Any:
    return policy(name, policy_types=["Ingress"], ingress=list(rules), **fields)


def egress(*rules: Any) -> Any:
    return policy("p", policy_types=["Egress"], egress=list(rules))


def opens(after: list[Any], *before: list[Any], families: tuple[int, ...] = (4,), free: Any = ()) -> bool:
    """Whether the policies open POD to more than each of the other sets."""
    parsed, _ = read_object(POD)
    opening = Opening(
        after=[read_policy(one)[0] for one in after],
        before=[[read_policy(one)[0] for one in each] for each in before],
        universe=Universe(families=families),
        answers=Answers(),
        free=free,
    )
    return opening.opens(parsed)  # type: ignore[arg-type]


CLOSED = ingress()


@pytest.mark.parametrize(
    ("after", "before", "expected"),
    [
        pytest.param([CLOSED], [], False, id="what is not isolated is open already"),
        pytest.param([], [CLOSED], True, id="no policy isolates any more"),
        pytest.param([ingress(from_())], [CLOSED], True, id="everyone"),
        pytest.param([ingress(from_(SHOP, ports=[port(80)]))], [ingress(from_(SHOP))], False, id="fewer ports"),
        pytest.param(
            [ingress(from_(SHOP, ports=[port(80)]))], [ingress(from_(SHOP, ports=[port(81)]))], True, id="another port"
        ),
        pytest.param(
            [ingress(from_(SHOP, ports=[port(80, "TCP", 90)]))],
            [ingress(from_(SHOP, ports=[port(80, "TCP", 85), port(87, "TCP", 90)]))],
            True,
            id="a port in the middle of a range",
        ),
        pytest.param(
            [ingress(from_(ports=[port(80, "UDP")]))], [ingress(from_(ports=[port(80)]))], True, id="another protocol"
        ),
        pytest.param([ingress(from_(ports=[port("http")]))], [CLOSED], True, id="a port by its name"),
        pytest.param([ingress(from_(ports=[port("other")]))], [CLOSED], False, id="a name that no container has"),
        pytest.param(
            [ingress(from_(block("10.0.0.0/9")))], [ingress(from_(block("10.0.0.0/8")))], False, id="a smaller block"
        ),
        pytest.param([egress(to(SHOP))], [egress()], True, id="a destination"),
        pytest.param([egress(to(ports=[port("http")]))], [egress()], False, id="a name of a port elsewhere"),
        pytest.param(
            [ingress(from_(), pod_selector=selector(app="db"))], [CLOSED], True, id="it selects the pod no more"
        ),
    ],
)
def test_a_pod_is_opened_where_something_new_is_admitted(after: list[Any], before: list[Any], expected: bool) -> None:  # noqa: FBT001
    """In either direction, at any port."""
    assert opens(after, before) is expected


def test_what_was_open_at_one_of_the_moments_is_not_opened() -> None:
    """An edit of a change opens nothing that the change itself opens."""
    wanted = [ingress(from_(ports=[port(80), port(81)]))]

    assert not opens(wanted, [ingress(from_(ports=[port(80)]))], [ingress(from_(ports=[port(81)]))])


def test_free_ports_may_be_opened() -> None:
    """They are what EEM requires."""
    assert opens([ingress(from_(ports=[port(80)]))], [CLOSED])
    assert not opens([ingress(from_(ports=[port(80)]))], [CLOSED], free={(Protocol.TCP, 80)})


def test_ipv4_counts_where_only_ipv6_is_in_use() -> None:
    """It is opened all the same."""
    assert opens([ingress(from_(block("10.0.0.0/8")))], [CLOSED], families=(6,))
