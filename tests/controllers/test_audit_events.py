"""Events about requirements and needs: on the instance, by the leader, and few however often one turns."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from admission.egress_scene import CLUSTER, TO_DNS, TO_KAFKA, TO_MANAGER, limits
from admission.reviews import allow, default_deny, gateway, gateway_pod, world
from builders import ApiObject, operator_deployment
from cluster_builders import PATIENCE_SECONDS, FakeTime, Token
from fake_api_server import FakeApiServer, api_server

from webhook.admission import Options
from webhook.admission.audit import NOTHING_AUDITED, Audit, audit
from webhook.cluster.client import ApiClient
from webhook.controllers.audit_events import AuditEvents
from webhook.controllers.events import EVENTS, REPEAT_SECONDS, Recorder
from webhook.eem import EemSnapshot

DENY = default_deny()
WITHOUT_KAFKA = limits(TO_MANAGER, TO_DNS)
HERE = (gateway(uid="u-1"), gateway_pod())


@dataclass
class Told:
    """A cluster, its audit, and the Events about it."""

    server: FakeApiServer
    time: FakeTime
    recorder: Recorder
    snapshot: EemSnapshot
    leads: bool = True
    found: Audit = NOTHING_AUDITED
    events: AuditEvents = field(init=False)

    def __post_init__(self) -> None:
        self.events = AuditEvents(
            self.recorder,
            audit=lambda: self.found,
            snapshot=lambda: self.snapshot,
            leads=lambda: self.leads,
            clock=self.time.clock(),
        )

    def becomes(self, snapshot: EemSnapshot) -> None:
        """Audit the cluster in its new state."""
        before, self.snapshot = self.found, snapshot
        self.found = audit(snapshot, Options(), known=before)
        self.events.look(before, self.found)

    def put(self, api_object: ApiObject) -> None:
        self.becomes(self.snapshot.with_object(api_object))

    def drop(self, name: str) -> None:
        self.becomes(self.snapshot.without_object("NetworkPolicy", "eem", name))

    async def written(self, method: str, times: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.server.written_times(method, EVENTS, times)

    def all(self) -> list[dict[str, Any]]:
        return list(self.server.objects["events"].values())


@asynccontextmanager
async def telling(*objects: ApiObject, leads: bool = True) -> AsyncIterator[Told]:
    time = FakeTime()
    async with api_server(further=(EVENTS,)) as server, ApiClient(Token(server.url)) as client:
        recorder = Recorder(client, instance="pod-1", clock=time.clock())
        told = Told(server=server, time=time, recorder=recorder, snapshot=world(), leads=leads)
        running = asyncio.create_task(recorder.run())
        told.becomes(world(*objects))
        try:
            yield told
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_break_is_told_on_the_instance_with_its_evidence() -> None:
    """`kubectl describe` finds it by the uid of the instance."""
    async with telling(*HERE) as told:
        told.put(DENY)
        await told.written("POST", 1)
        told.put(allow())
        told.time.now += REPEAT_SECONDS
        told.events.write_due()
        await told.written("POST", 2)
        told.recorder.record({"kind": "x"}, "Last", "so the one before is answered")
        await told.written("POST", 3)
        by_reason = {event["reason"]: event for event in told.all()}
        broken, restored = by_reason["RequiredIngressBroken"], by_reason["RequiredIngressRestored"]

    assert broken["regarding"] == {
        "apiVersion": "events.ibm.com/v1beta1",
        "kind": "EventGateway",
        "name": "gw",
        "namespace": "eem",
        "uid": "u-1",
    }
    assert (broken["metadata"]["namespace"], broken["type"], broken["action"]) == ("eem", "Warning", "Audit")
    assert "gateway TCP/8092" in broken["note"]
    assert "isolated by eem/default-deny" in broken["note"]
    assert (restored["reason"], restored["type"]) == ("RequiredIngressRestored", "Normal")


async def test_a_requirement_that_turns_a_thousand_times_in_a_minute_costs_two_events() -> None:
    """Each turn names another policy; the second Event says what it is after the minute."""
    async with telling(*HERE) as told:
        for number in range(1000):
            told.put(default_deny(f"deny-{number}"))
            told.drop(f"deny-{number}")
            told.time.now += REPEAT_SECONDS / 1001
        told.put(DENY)
        await told.written("POST", 1)
        told.time.now += REPEAT_SECONDS
        told.events.write_due()
        told.put(allow())
        told.time.now += REPEAT_SECONDS
        told.events.write_due()
        await told.written("POST", 2)

    assert len(told.server.asked("POST", "events")) == 2
    assert told.server.asked("PATCH", "events") == []


async def test_only_the_leader_writes_and_a_new_one_tells_what_is_broken() -> None:
    """What the last leader wrote is the same Event, so it is counted up."""
    async with telling(*HERE, leads=False) as told:
        told.put(DENY)
        told.put(allow())
        told.drop("allow-clients")
        told.events.write_due()
        before = len(told.server.asked("POST", "events"))
        told.leads = True
        told.events.write_due()
        await told.written("POST", 1)

    assert before == 0


async def test_what_is_no_longer_required_is_not_told() -> None:
    """The instance went before its Event was due."""
    async with telling(*HERE) as told:
        told.put(DENY)
        await told.written("POST", 1)
        told.drop("default-deny")
        told.becomes(told.snapshot.without_object("EventGateway", "eem", "gw"))
        told.time.now += REPEAT_SECONDS
        told.events.write_due()
        told.recorder.record({"kind": "x"}, "Last", "so everything before is written")
        await told.written("POST", 2)

    assert len(told.server.asked("POST", "events")) == 2


async def test_many_breaks_at_once_are_told_as_the_writer_gets_to_them() -> None:
    """No Event is lost because too many wait."""
    instances = [gateway(f"gw-{number}") for number in range(60)]
    async with telling(*instances, DENY) as told:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(told.all()) < 60:
                told.events.write_due()
                await asyncio.sleep(0.001)

    assert {event["regarding"]["name"] for event in told.all()} == {f"gw-{number}" for number in range(60)}


async def test_the_operator_is_named_by_its_deployment() -> None:
    """It is what users know."""
    async with telling(operator_deployment(), DENY) as told:
        await told.written("POST", 1)
        told.recorder.record({"kind": "x"}, "Last", "so the one before is answered")
        await told.written("POST", 2)
        event = next(event for event in told.all() if event["reason"] == "RequiredIngressBroken")

    assert (event["regarding"]["apiVersion"], event["regarding"]["kind"]) == ("apps/v1", "Deployment")
    assert event["regarding"]["uid"]


async def test_a_need_that_is_cut_off_is_told_on_the_instance_with_its_evidence() -> None:
    """As a requirement is, with the row of the need and what isolates the pods."""
    async with telling(*CLUSTER) as told:
        told.put(WITHOUT_KAFKA)
        await told.written("POST", 1)
        told.put(limits(TO_MANAGER, TO_DNS, TO_KAFKA))
        told.time.now += REPEAT_SECONDS
        told.events.write_due()
        await told.written("POST", 2)
        told.recorder.record({"kind": "x"}, "Last", "so the one before is answered")
        await told.written("POST", 3)
        by_reason = {event["reason"]: event for event in told.all()}
        broken, restored = by_reason["RequiredEgressBroken"], by_reason["RequiredEgressRestored"]

    assert (broken["regarding"]["kind"], broken["regarding"]["name"]) == ("EventGateway", "gw")
    assert (broken["metadata"]["namespace"], broken["type"], broken["action"]) == ("eem", "Warning", "Audit")
    assert "cannot reach Kafka" in broken["note"]
    assert "(E4), isolated by eem/limits" in broken["note"]
    assert (restored["regarding"], restored["type"]) == (broken["regarding"], "Normal")
    assert restored["note"] == "gateway can reach Kafka at TCP/any again (E4)"


async def test_a_need_that_turns_often_costs_two_events_a_minute() -> None:
    """It waits as a requirement does, and what it is after the minute is told."""
    async with telling(*CLUSTER) as told:
        for _ in range(10):
            told.put(WITHOUT_KAFKA)
            told.drop("limits")
            told.time.now += REPEAT_SECONDS / 11
        told.put(WITHOUT_KAFKA)
        told.drop("limits")
        told.time.now += REPEAT_SECONDS
        told.events.write_due()
        await told.written("POST", 2)
        reasons = sorted(event["reason"] for event in told.all())

    assert len(told.server.asked("POST", "events")) == 2
    assert reasons == ["RequiredEgressBroken", "RequiredEgressRestored"]


async def test_a_new_leader_tells_the_needs_that_are_cut_off() -> None:
    """Only those that EEM surely has: of the others, the audit shows what is left."""
    async with telling(*CLUSTER, limits(), leads=False) as told:
        told.leads = True
        told.events.write_due()
        cut_off = {one.need.id: one.need.level for one in told.found.need_states() if not one.met}
        certain = [need for need, level in cut_off.items() if level == "certain"]
        await told.written("POST", len(certain))
        told.recorder.record({"kind": "x"}, "Last", "so everything before is written")
        await told.written("POST", len(certain) + 1)
        notes = [event["note"] for event in told.all() if event["reason"] == "RequiredEgressBroken"]

    assert set(cut_off.values()) == {"certain", "warning"}
    assert sorted(need for need in cut_off if any(f"({need})" in note for note in notes)) == sorted(certain)


async def test_a_need_that_is_gone_is_not_told() -> None:
    """The instance went, or the egress of its namespace is no longer judged, before its Event was due."""
    async with telling(*CLUSTER) as told:
        told.put(WITHOUT_KAFKA)
        await told.written("POST", 1)
        told.drop("limits")
        told.becomes(told.snapshot.without_object("EventGateway", "eem", "gw"))
        told.time.now += REPEAT_SECONDS
        told.events.write_due()
        told.recorder.record({"kind": "x"}, "Last", "so everything before is written")
        await told.written("POST", 2)

    assert len(told.server.asked("POST", "events")) == 2


async def test_what_is_due_is_written_without_a_change() -> None:
    """The loop looks each second."""
    async with telling(*HERE) as told:
        told.put(DENY)
        told.drop("default-deny")
        looking = asyncio.create_task(told.events.run())
        await told.written("POST", 2)
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)

    assert sum(told.time.slept) >= REPEAT_SECONDS - 1
