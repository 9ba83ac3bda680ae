"""Refused changes that are let through: who is asked, and that everything but a yes leaves the refusal."""

import asyncio
import logging
from typing import Any

import pytest
from admission.reviews import asked, default_deny, gateway, gateway_pod, judged, world
from builders import ApiObject

from webhook.admission import AdmissionRequest, AdmissionResponse, Options
from webhook.cluster.store import Store
from webhook.guard.bypassing import MOST_QUESTIONS, Bypasses
from webhook.guard.judging import PolicyJudge
from webhook.guard.outcomes import ListError

WORLD = world(gateway(), gateway_pod())
DENY = default_deny()
MARKED: ApiObject = {**DENY, "metadata": {**DENY["metadata"], "annotations": {"eem-guardrail.io/bypass": "INC-1"}}}
YES, NO = {"status": {"allowed": True}}, {"status": {"allowed": False}}


class Access:
    """The API server's knowledge of rights."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.questions: list[AdmissionRequest] = []
        self.at_once = self.most = self.used = 0
        self.held: asyncio.Event | None = None

    async def ask(self, request: AdmissionRequest) -> object:
        self.questions.append(request)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        if self.held is not None:
            await self.held.wait()
        self.at_once -= 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def count(self) -> None:
        self.used += 1

    def bypasses(self, seconds: float = 5.0) -> Bypasses:
        return Bypasses(self.ask, self.count, seconds=seconds)


async def reconsidered(bypasses: Bypasses, new: ApiObject = MARKED, **fields: Any) -> AdmissionResponse:
    refused = judged(WORLD, new)
    assert not refused.allowed
    return await bypasses.reconsider(asked(new, **fields), refused)


async def test_a_user_with_the_right_is_let_through(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged as a warning with the reason and what was refused, and counted."""
    access = Access(YES)
    response = await reconsidered(access.bypasses(), username="jane")
    (record,) = caplog.records
    fields = record.__dict__["fields"]

    assert (response.allowed, response.result, access.used) == (True, "bypassed", 1)
    assert (record.levelname, record.getMessage()) == ("WARNING", "a bypass was used")
    assert (fields["user"], fields["reason"], fields["operation"]) == ("jane", "INC-1", "CREATE")
    assert "TCP/8092" in fields["message"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(NO, "user jane has no right to bypass", id="no"),
        pytest.param(None, "cannot be read", id="nonsense"),
        pytest.param(ListError("connection refused"), "could not be asked", id="no answer"),
    ],
)
async def test_everything_else_leaves_the_refusal_with_the_reason(
    answer: Any, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It fails closed."""
    caplog.set_level(logging.WARNING)
    access = Access(answer)
    response = await reconsidered(access.bypasses(), username="jane")

    assert (response.allowed, response.result, access.used) == (False, "denied", 0)
    assert "(The bypass does not count: " in response.message
    assert words in response.message
    assert "TCP/8092" in response.message
    assert caplog.records[0].getMessage() == "a bypass was refused"


async def test_an_answer_that_is_late_leaves_the_refusal() -> None:
    """The user may try again."""
    access = Access(YES)
    access.held = asyncio.Event()
    response = await reconsidered(access.bypasses(seconds=0.01))

    assert not response.allowed
    assert "did not answer in time" in response.message


async def test_files_know_no_rights() -> None:
    """A service on files refuses, and says why."""
    response = await reconsidered(Bypasses(None, lambda: None))

    assert "there is no API server that knows the rights of users" in response.message


async def test_no_user_profits_from_an_earlier_answer() -> None:
    """Each request asks for its own user."""
    access = Access(YES, NO)
    bypasses = access.bypasses()
    first = await reconsidered(bypasses, username="jane")
    second = await reconsidered(bypasses, username="joe")

    assert (first.allowed, second.allowed) == (True, False)
    assert [question.username for question in access.questions] == ["jane", "joe"]


async def test_a_dry_run_is_not_counted() -> None:
    """It gets the same answer."""
    access = Access(YES)
    response = await reconsidered(access.bypasses(), dry_run=True)

    assert (response.allowed, access.used) == (True, 0)


async def test_without_the_annotation_nothing_is_asked() -> None:
    """The refusal is returned as it is."""
    access = Access()
    refused = judged(WORLD, DENY)

    assert await access.bypasses().reconsider(asked(DENY), refused) is refused


async def test_few_questions_are_asked_at_a_time() -> None:
    """Invented reviews cannot flood the API server."""
    access = Access(*[NO] * 20)
    access.held = asyncio.Event()
    bypasses = access.bypasses()
    waiting = [asyncio.create_task(reconsidered(bypasses)) for _ in range(20)]
    while access.at_once < MOST_QUESTIONS:  # noqa: ASYNC110 - what is waited for has no event of its own
        await asyncio.sleep(0)
    access.held.set()
    await asyncio.gather(*waiting)

    assert (access.most, len(access.questions)) == (MOST_QUESTIONS, 20)


@pytest.mark.parametrize(
    ("objects", "change", "questions", "result"),
    [
        pytest.param([gateway(), gateway_pod()], MARKED, 1, "bypassed", id="a loss"),
        pytest.param([], MARKED, 0, "allowed", id="nothing is lost"),
        pytest.param([], {**MARKED, "spec": {"podSelector": 1}}, 0, "denied", id="an invalid object"),
    ],
)
@pytest.mark.parametrize("is_live", [True, False])
async def test_the_judge_asks_only_about_losses(
    objects: list[ApiObject],
    change: ApiObject,
    questions: int,
    result: str,
    is_live: bool,  # noqa: FBT001
) -> None:
    """In a cluster and on files."""
    store = Store()
    store.reset(world(*objects))
    access = Access(YES)

    async def listed(_: str) -> list[ApiObject]:
        return []

    judge = PolicyJudge(store, Options(), listed if is_live else None, reconsider=access.bypasses().reconsider)
    response = await judge(asked(change))

    assert (len(access.questions), response.result) == (questions, result)
    assert judge.in_flight == int(is_live and response.allowed and bool(objects))
