"""
No call that fails turns a deny into an allow.

Every call in the decision is made to raise, one at a time, while changes are judged that must be refused. What may
come out is a refusal, or the exception, which the server answers with HTTP 500: then the failurePolicy decides. What
may never come out is an allow: an error that is swallowed on the way to a verdict is how guards are bypassed.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from builders import ApiObject, block, body, namespace, peer, policy, review, selector, workload

from admission.faulting import InjectedError, Site, Switchboard, switched
from admission.reviews import allow, default_deny, gateway, gateway_pod, manager, manager_pod

HERE = [namespace("eem"), namespace("shop"), gateway(), gateway_pod(), manager(), manager_pod()]
OPEN = [default_deny(), allow("allow-gw"), allow("allow-mgr", to="mgr", ports=(3000, 8081))]
TO_A_TEAM = allow("allow-gw", peer(namespaces=selector(team="a")))
TO_ADDRESSES = allow("allow-gw", block("10.0.0.0/8", "10.1.0.0/16"))
TERMINATING = allow("allow-old", terminating=True)
Case = tuple[list[ApiObject], ApiObject | None, ApiObject | None]
CASES: dict[str, Case] = {
    "a lock-down before the allows": (HERE, default_deny(), None),
    "an allow deleted": ([*HERE, *OPEN], None, OPEN[1]),
    "an allow narrowed to a team": ([*HERE, *OPEN], TO_A_TEAM, OPEN[1]),
    "an allow narrowed to addresses": ([*HERE, *OPEN], TO_ADDRESSES, OPEN[1]),
    "an allow turned to another port": ([*HERE, *OPEN], allow("allow-gw", ports=(9092,)), OPEN[1]),
    "pods assumed": ([namespace("eem"), gateway()], default_deny(), None),
    "only a template": ([namespace("eem"), gateway(), workload("gw-ibm-egw-gateway")], default_deny(), None),
    "an allow that is about to go": ([*HERE, OPEN[0], TERMINATING, OPEN[1], OPEN[2]], None, OPEN[1]),
    "a policy that cannot be understood": (HERE, policy("bad", ingress=[{"from": [{}]}]), None),
}


def raises(*_: Any, **__: Any) -> None:
    """Stand for a call that fails."""
    raise InjectedError


class Decision:
    """The decision with switches, from the bytes of a review to the bytes of its answer."""

    def __init__(self, board: Switchboard, admission: Any, eem: Any) -> None:
        self.board = board
        self._admission = admission
        self._eem = eem

    def ready(self, case: Case) -> Callable[[], bool]:
        """Give what judges a case once: on a snapshot of its own, so that nothing is known from before."""
        objects, new, old = case
        snapshot = self._eem.EemSnapshot.from_objects(objects)
        asked = body(review(new, old))

        def is_allowed() -> bool:
            request = self._admission.decode_review(asked)
            response = self._admission.decide(request, snapshot, self._admission.Options())
            return b'"allowed":true' in self._admission.encode_review(request, response)

        return is_allowed

    def allowed_by(self, site: Site, case: Case) -> bool:
        """Say whether a case is allowed while one site fails."""
        judge = self.ready(case)
        with self.board.broken(site, raises):
            try:
                return judge()
            except Exception:  # noqa: BLE001  any exception is HTTP 500, which is no allow
                return False


@pytest.fixture(scope="module")
def decision() -> Iterator[Decision]:
    with switched("webhook.admission", "webhook.eem") as (board, (admission, eem)):
        yield Decision(board, admission, eem)


@pytest.mark.parametrize("name", CASES)
def test_no_call_that_fails_turns_a_deny_into_an_allow(name: str, decision: Decision) -> None:
    """Each call that the case reaches raises once; the sites come from the source, so a new one is tried too."""
    judge = decision.ready(CASES[name])
    with decision.board.recording() as reached:
        assert not judge()

    turned = [site for site in sorted(reached) if decision.allowed_by(site, CASES[name])]

    assert turned == []
    assert len(reached) > 100
    assert reached <= decision.board.sites


def test_the_switches_do_what_they_say(decision: Decision) -> None:
    """A refusal that is lost on its way is seen as an allow: so the test above can fail."""
    judge = decision.ready(CASES["an allow deleted"])
    with decision.board.recording() as reached:
        judge()

    def quietly_finds_nothing(*_: Any, **__: Any) -> None:
        """Stand for an error that was swallowed."""

    turned = []
    for site in sorted(known for known in reached if known[0] == "webhook.admission.judge"):
        again = decision.ready(CASES["an allow deleted"])
        with decision.board.broken(site, quietly_finds_nothing), contextlib.suppress(Exception):
            turned += [site] if again() else []

    assert turned
