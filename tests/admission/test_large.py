"""Policies as large as the API server stores them get the right verdict."""

from collections.abc import Callable
from random import Random

import pytest
from builders import NAME_LABEL, ApiObject, Node, block, expression, from_, namespace, peer, policy, port, selector

from admission.reviews import default_deny, gateway, gateway_pod, judged, verdict_of, world
from webhook.admission import Options

WORLD = [namespace("eem"), namespace("shop"), gateway(), gateway_pod(), default_deny()]
EVERY_POD, EVERY_ADDRESS = peer(namespaces={}), block("0.0.0.0/0")
PLUGIN = Options(ipblock_matches_pods="no", ip_families=(4,))
NAMES = [f"ns-{number}" for number in range(5000)]
KEYS = [f"key-{number}" for number in range(40)]


def rule(*peers: Node, ports: list[Node] | None = None) -> ApiObject:
    return policy("allow", policy_types=["Ingress"], ingress=[from_(*peers, ports=ports)])


def holes(*, but: int | None = None) -> list[Node]:
    """Return ten thousand blocks with an exception each, and all exceptions but one again as blocks of their own."""
    ends = [f"10.{number // 256}.{number % 256}" for number in range(10_000)]
    wide = [block("0.0.0.0/0", "10.0.0.0/8"), block("10.39.16.0/20"), block("10.39.32.0/19")]
    wide += [block("10.39.64.0/18"), block("10.39.128.0/17"), block("10.40.0.0/13"), block("10.48.0.0/12")]
    wide += [block("10.64.0.0/10"), block("10.128.0.0/9")]
    around = [block(f"{end}.0/24", f"{end}.7/32") for end in ends]
    return wide + around + [block(f"{end}.7/32") for at, end in enumerate(ends) if at != but]


def selectors(*, but: int | None = None) -> list[Node]:
    """Return selectors over forty keys that together cover every pod, without the one at index *but*."""
    rng = Random(4)
    pieces: list[list[Node]] = [[]]
    while len(pieces) < 200:
        piece = pieces.pop(rng.randrange(len(pieces)))
        used = {entry["key"] for entry in piece}
        key = rng.choice([known for known in KEYS if known not in used])
        pieces += [[*piece, expression(key, "Exists")], [*piece, expression(key, "DoesNotExist")]]
    return [peer(namespaces={}, pods=selector(*piece)) for at, piece in enumerate(pieces) if at != but]


EVERY_PORT = [port(number, "TCP") for number in range(5000, 10_000)]
CASES: dict[str, tuple[Callable[[], tuple[ApiObject, ApiObject]], bool]] = {
    "forty keys that cover every pod": (lambda: (rule(*selectors(), EVERY_ADDRESS), rule()), True),
    "and one selector less": (lambda: (rule(*selectors(but=77), EVERY_ADDRESS), rule()), False),
    "ten thousand blocks with exceptions that others admit": (lambda: (rule(EVERY_POD, *holes()), rule()), True),
    "and one address less": (lambda: (rule(EVERY_POD, *holes(but=5000)), rule()), False),
    "ten thousand blocks, and one less": (
        lambda: (rule(EVERY_POD, *holes(but=9999)), rule(EVERY_POD, *holes())),
        False,
    ),
    "five thousand namespaces, and all others": (
        lambda: (
            rule(
                peer(namespaces=selector(expression(NAME_LABEL, "In", *NAMES))),
                peer(namespaces=selector(expression(NAME_LABEL, "NotIn", *NAMES))),
                EVERY_ADDRESS,
            ),
            rule(),
        ),
        True,
    ),
    "five thousand namespaces, and then one less": (
        lambda: (
            rule(peer(namespaces=selector(expression(NAME_LABEL, "In", *NAMES[1:])))),
            rule(peer(namespaces=selector(expression(NAME_LABEL, "In", *NAMES)))),
        ),
        False,
    ),
    "a peer for each of five thousand namespaces, and then one for all": (
        lambda: (
            rule(peer(namespaces=selector(expression(NAME_LABEL, "In", *NAMES)))),
            rule(*(peer(namespaces=selector(**{NAME_LABEL: name})) for name in NAMES)),
        ),
        True,
    ),
    "five thousand ports, the one among them": (lambda: (rule(ports=EVERY_PORT), rule()), True),
    "five thousand ports without the one": (
        lambda: (rule(ports=[entry for entry in EVERY_PORT if entry["port"] != 8092]), rule()),
        False,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_large_policy_is_decided(name: str) -> None:
    """The verdict is decided and right, and a loss has its example."""
    make, is_allowed = CASES[name]
    new, old = make()
    response = judged(world(*WORLD, old), new, old, options=PLUGIN)
    verdict = verdict_of(response)

    assert is_allowed is response.allowed
    assert not any("not decided" in warning for warning in verdict.warnings)
    assert [(lost.decided, lost.counterexample is not None) for lost in verdict.lost] == [(True, True)] * (
        not is_allowed
    )
