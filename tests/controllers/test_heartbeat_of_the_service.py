"""A heartbeat proves the chain, and nothing else passes for its refusal."""

import pytest
from fake_api_server import Mode, answer
from registration_builders import Desk, desk, refuse

from webhook.admission.exemptions import CANARY_NAMESPACE, HEARTBEAT_NAME, HEARTBEAT_REFUSAL
from webhook.controllers.heartbeat import INTERVAL_SECONDS
from webhook.eem.resources import NETWORK_POLICIES

POST = ("POST", NETWORK_POLICIES.plural)


async def beat(made: Desk) -> None:
    await made.heartbeat.beat()


async def test_the_own_refusal_is_the_proof() -> None:
    """A dry run of the one name, refused in the service's words, proves the chain at that moment."""
    async with desk() as made:
        made.time.now = 77.0
        await beat(made)
        ((_, _, query, _),) = [one for one in made.server.requests if one[:2] == POST]
        ((_, _, body),) = [one for one in made.server.bodies if one[:2] == POST]

        assert query["dryRun"] == "All"
        assert (body["metadata"]["name"], body["metadata"]["namespace"]) == (HEARTBEAT_NAME, CANARY_NAMESPACE)
        assert (made.heartbeat.proven, made.heartbeat.last_success_timestamp_seconds) == (True, 77.0)
        assert (made.heartbeat.failures, made.heartbeat.problem) == (0, None)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param(None, "let it through", id="let through"),
        pytest.param(answer(403, "Forbidden", "User may not create networkpolicies"), "may not", id="no right"),
        pytest.param(refuse("something is lost"), "something is lost", id="refused for another reason"),
        pytest.param(answer(404, "NotFound", "namespace not found"), "namespace not found", id="no namespace"),
        pytest.param(answer(500, "InternalError", "failed calling webhook"), "failed calling", id="nobody answered"),
        pytest.param(answer(403, "Forbidden", HEARTBEAT_REFUSAL), "always refused", id="not by our webhook"),
    ],
)
async def test_anything_else_is_a_failure(fault: Mode | None, said: str) -> None:
    """What was let through, refused by another, or not answered at all proves nothing, and is counted."""
    async with desk() as made:
        await beat(made)
        made.server.always.pop(POST)
        if fault is not None:
            made.server.always[POST] = fault
        await beat(made)

        assert (made.heartbeat.proven, made.heartbeat.failures) == (False, 1)
        assert said in (made.heartbeat.problem or "")


async def test_it_beats_each_minute_and_sooner_without_a_proof() -> None:
    """Proven, it waits a minute; unproven half a second, then twice as long each time, up to ten."""
    async with desk() as made:
        await made.registered()
        proven_at = made.heartbeat.last_success_timestamp_seconds
        made.time.now = proven_at + INTERVAL_SECONDS - 0.1

        assert not made.heartbeat.due

        made.time.now += 0.1

        assert made.heartbeat.due

        made.refused = False
        waits: list[float] = []
        for _ in range(7):
            await beat(made)
            began = made.time.now
            while not made.heartbeat.due:
                made.time.now += 0.25
            waits.append(made.time.now - began)

        assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
        assert made.heartbeat.failures == 7


async def test_no_connection_is_a_failure() -> None:
    """An API server that is gone proves nothing."""
    async with desk() as made:
        await made.server.stop()
        await beat(made)

        assert (made.heartbeat.proven, made.heartbeat.failures) == (False, 1)
