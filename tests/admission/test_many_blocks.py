"""Policies with thousands of ipBlocks, and many gateways: each verdict is as exact as with a few."""

import pytest
from builders import (
    GATEWAY_KIND,
    ApiObject,
    block,
    eem_labels,
    from_,
    instance,
    peer,
    pod,
    policy,
    port,
    selector,
)

from admission.reviews import judged, verdict_of
from webhook.admission import Options
from webhook.eem import EemSnapshot

EVERY_POD = peer(namespaces={})


def blocks(count: int, first: int = 11) -> list[ApiObject]:
    return [block(f"{first + at // 65536}.{at // 256 % 256}.{at % 256}.0/25") for at in range(count)]


def gateways(*ports: int) -> list[ApiObject]:
    made = []
    for number, listener in enumerate(ports):
        listeners = [{"name": "a", "port": listener}]
        made.append(instance(f"gw{number}", kind=GATEWAY_KIND, listeners=listeners))
        made.append(pod(f"gw{number}-0", labels=eem_labels(f"gw{number}")))
    return made


@pytest.mark.parametrize("strict", [False, True])
def test_an_allow_beside_thousands_of_blocks_is_decided(strict: bool) -> None:  # noqa: FBT001
    """A new policy that only adds sources is allowed, whatever the number of blocks in another policy."""
    big = policy("big", ingress=[from_(*blocks(13_000))])
    snapshot = EemSnapshot.from_objects([*gateways(*[8092] * 10), big])
    response = judged(snapshot, policy("small", ingress=[from_(EVERY_POD)]), options=Options(strict=strict))

    assert (response.allowed, verdict_of(response).lost) == (True, ())


@pytest.mark.parametrize(("count", "others"), [(2_045, 9), (1_072, 19)])
def test_the_last_gateway_is_judged_like_the_first(count: int, others: int) -> None:
    """The port of one gateway is closed while the others keep theirs: the change is refused."""
    kept = from_(*blocks(count), ports=[port(8092)])
    closed = from_(*blocks(count), ports=[port(9092)])
    old = policy("big", ingress=[kept, closed])
    new = policy("big", ingress=[from_(*blocks(count + 1), ports=[port(8092)])])
    small = policy("small", ingress=[from_(peer(pods=selector(app="client")))])
    snapshot = EemSnapshot.from_objects([*gateways(*[8092] * others, 9092), old, small])
    response = judged(snapshot, new, old)

    assert not response.allowed
    assert [(lost.instance.name, lost.port, lost.decided) for lost in verdict_of(response).lost] == [
        (f"gw{others}", 9092, True)
    ]


def test_the_only_policy_for_outside_addresses_counts_beside_many_blocks() -> None:
    """Four policies admit every pod and 31,000 blocks each; the one that admits every address is deleted."""
    others = [
        policy(f"big{number}", ingress=[from_(EVERY_POD, *blocks(31_000, number * 2 + 20))]) for number in range(4)
    ]
    last = policy("open", ingress=[from_(block("0.0.0.0/0"))])
    response = judged(EemSnapshot.from_objects([*gateways(8092), *others, last]), None, last)

    assert (response.allowed, [lost.decided for lost in verdict_of(response).lost]) == (False, [True])
