"""Each outcome of the guard has its HTTP answer."""

import pytest
from server_builders import post, review, running

from webhook.admission import AdmissionRequest, AdmissionResponse
from webhook.guard.outcomes import NotReady, NoVerdict, Overloaded, Stale


@pytest.mark.parametrize(
    ("outcome", "retry_after", "connection", "reason"),
    [
        pytest.param(NotReady("no list yet"), "0", "close", "not_ready", id="not ready"),
        pytest.param(Stale("an old view"), "0", "close", "stale", id="stale"),
        pytest.param(Overloaded("busy"), "0", "close", "overloaded", id="overloaded"),
        pytest.param(Overloaded("busy", flooded=True), "1", None, "overloaded", id="flooded"),
    ],
)
async def test_an_outcome_without_verdict_is_503_and_tells_when_and_where_to_retry(
    outcome: NoVerdict, retry_after: str, connection: str | None, reason: str
) -> None:
    """503: retry at once on a new connection; in a flood after one second on the same connection."""

    async def judge(_request: AdmissionRequest) -> AdmissionResponse:
        raise outcome

    async with running(judge) as server:
        connected = await server.connect()
        answer = await connected.ask(post(review()))
        if connection is None:
            assert (await connected.ask(post(review()))).status == 503
        else:
            assert await connected.closed()

        assert (answer.status, answer.body) == (503, f"{outcome}\n".encode())
        assert (answer.headers["retry-after"], answer.headers.get("connection")) == (retry_after, connection)
        assert await server.metric(f'eem_guardrail_reviews_shed_total{{reason="{reason}"}}') >= 1
        assert (
            await server.metric(
                'eem_guardrail_reviews_total{operation="CREATE",result="errored",webhook="networkpolicies.eem-guardrail.io"}'
            )
            == 0
        )
