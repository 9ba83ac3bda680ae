"""Events are written once and counted up, and their failures affect nothing else."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cluster_builders import PATIENCE_SECONDS, FakeTime, Token
from fake_api_server import FakeApiServer, answer, api_server

from webhook.cluster.client import ApiClient
from webhook.controllers.events import EVENTS, LONGEST_NOTE, REPEAT_SECONDS, Recorder

CONFIGURATION = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingWebhookConfiguration",
    "metadata": {"name": "eem-guardrail", "uid": "u-1"},
}
INSTANCE = {
    "apiVersion": "events.ibm.com/v1beta1",
    "kind": "EventGateway",
    "metadata": {"name": "gw", "namespace": "eem", "uid": "u-2"},
}


@asynccontextmanager
async def recording(server: FakeApiServer) -> AsyncIterator[tuple[Recorder, FakeTime]]:
    time = FakeTime(now=0.0)
    async with ApiClient(Token(server.url)) as client:
        recorder = Recorder(client, instance="pod-1", clock=time.clock())
        running = asyncio.create_task(recorder.run())
        try:
            yield recorder, time
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def written(server: FakeApiServer, method: str, times: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await server.written_times(method, EVENTS, times)


def events(server: FakeApiServer, namespace: str) -> list[dict[str, Any]]:
    return [one for (where, _), one in server.objects["events"].items() if where == namespace]


async def test_an_event_has_the_object_the_reason_and_the_replica() -> None:
    """The Event of a cluster-scoped object is in `default`."""
    async with api_server(further=(EVENTS,)) as server, recording(server) as (recorder, _):
        recorder.record(CONFIGURATION, "Undone", "another client undoes it")
        recorder.record(INSTANCE, "Broken", "cut off", level="Normal")
        await written(server, "POST", 2)
        recorder.record(INSTANCE, "Broken", "so the one before is answered")
        await written(server, "POST", 3)

        (one,) = events(server, "default")
        other = events(server, "eem")[0]

        assert one["regarding"] == {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "name": "eem-guardrail",
            "uid": "u-1",
        }
        assert (one["reason"], one["note"], one["type"], one["action"]) == (
            "Undone",
            "another client undoes it",
            "Warning",
            "Register",
        )
        assert (one["reportingController"], one["reportingInstance"]) == ("eem-guardrail", "pod-1")
        assert (one["eventTime"], "series" in one) == ("1970-01-01T00:00:00.000000Z", False)
        assert (other["regarding"]["namespace"], other["type"]) == ("eem", "Normal")


async def test_a_repeated_event_is_counted() -> None:
    """Within a minute nothing is written; after it, the same Event gets the whole count."""
    async with api_server(further=(EVENTS,)) as server, recording(server) as (recorder, time):
        recorder.record(CONFIGURATION, "Undone", "again")
        await written(server, "POST", 1)
        for _ in range(10):
            recorder.record(CONFIGURATION, "Undone", "again")
        time.now += REPEAT_SECONDS
        recorder.record(CONFIGURATION, "Undone", "again")
        await written(server, "PATCH", 1)

        assert server.bodies[-1][2] == {"series": {"count": 12, "lastObservedTime": "1970-01-01T00:01:00.000000Z"}}
        assert len(server.asked("POST", "events")) == 1


async def test_an_existing_event_is_counted_up() -> None:
    """An Event of another replica is counted up, and an expired one is created again."""
    async with api_server(further=(EVENTS,)) as server, recording(server) as (recorder, time):
        server.faults["POST", "events"].append(answer(409, "AlreadyExists"))
        recorder.record(CONFIGURATION, "Undone", "again")
        await written(server, "PATCH", 1)
        time.now += REPEAT_SECONDS
        server.objects["events"].clear()
        recorder.record(CONFIGURATION, "Undone", "again")
        await written(server, "POST", 2)

        assert server.bodies[-1][2]["series"]["count"] == 2


async def test_an_event_that_cannot_be_written_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The next Event is written nevertheless."""
    caplog.set_level(logging.WARNING)
    async with api_server(further=(EVENTS,)) as server, recording(server) as (recorder, time):
        server.faults["POST", "events"].append(answer(403, "Forbidden", "events are not for you"))
        recorder.record(CONFIGURATION, "Undone", "one")
        await written(server, "POST", 1)
        recorder.record(CONFIGURATION, "Undone", "two")
        await written(server, "POST", 2)
        time.now += REPEAT_SECONDS
        server.faults["PATCH", "events"].append(answer(500))
        recorder.record(CONFIGURATION, "Undone", "two")
        await written(server, "PATCH", 1)
        recorder.record(CONFIGURATION, "Undone", "three")
        await written(server, "POST", 3)

    assert "events are not for you" in caplog.text


async def test_a_bug_does_not_end_the_recorder(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It costs one Event and not the service."""
    write = Recorder._write  # noqa: SLF001 - whatever goes wrong in it

    async def stumble(*_: Any) -> None:
        monkeypatch.setattr(Recorder, "_write", write)
        raise ValueError("a bug")

    monkeypatch.setattr(Recorder, "_write", stumble)
    async with api_server(further=(EVENTS,)) as server, recording(server) as (recorder, _):
        recorder.record(CONFIGURATION, "Undone", "one")
        recorder.record(CONFIGURATION, "Undone", "two")
        await written(server, "POST", 1)

        assert [one["note"] for one in events(server, "default")] == ["two"]
    assert "a bug" in caplog.text


async def test_a_flood_of_events_is_limited(caplog: pytest.LogCaptureFixture) -> None:
    """Events beyond the limit are logged instead, and the number of remembered Events is bounded."""
    caplog.set_level(logging.WARNING)
    async with api_server(further=(EVENTS,)) as server, ApiClient(Token(server.url)) as client:
        recorder = Recorder(client, instance="pod-1", clock=FakeTime().clock())
        for number in range(300):
            recorder.record(CONFIGURATION, "Undone", f"number {number}")
        running = asyncio.create_task(recorder.run())
        await written(server, "POST", 25)
        recorder.record(INSTANCE, "Broken", "not lost")
        await written(server, "POST", 26)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert caplog.text.count("too many Events at once") == 275


async def test_a_note_is_cut_to_what_the_api_server_accepts() -> None:
    """It counts bytes, and half a character is none."""
    async with api_server(further=(EVENTS,)) as server, recording(server) as (recorder, _):
        recorder.record(CONFIGURATION, "Undone", "a" + "\u00e9" * 1000)
        await written(server, "POST", 1)
        recorder.record(CONFIGURATION, "Undone", "so the one before is answered")
        await written(server, "POST", 2)
        notes = sorted(len(one["note"].encode()) for one in events(server, "default"))

    assert notes == [29, LONGEST_NOTE - 1]
