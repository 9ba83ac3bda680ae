"""The audit while the cluster changes: when it runs, what it tells, and what it holds up."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from admission.reviews import allow, default_deny, gateway, gateway_pod, manager
from builders import ApiObject, namespace, pod
from json_outputs import compare

from webhook.admission import Options
from webhook.admission.audit import Audit
from webhook.cluster.store import Store
from webhook.eem import EemSnapshot
from webhook.guard.auditing import MOST_NAMES, Auditor, AuditTiming

WORLD = (namespace(annotations={"eem-guardrail.io/mode": "enforced"}), gateway(), gateway_pod())
DENY = default_deny()
ROOT = Path(__file__).resolve().parents[2]
SECONDS = 20


class Watched:
    """A cluster, and the audits of it."""

    def __init__(self, *objects: ApiObject, spacing_seconds: float = 0.0) -> None:
        self.store = Store()
        if objects:
            self.store.reset(EemSnapshot.from_objects(objects))
        self.now = 100.0
        self.durations: list[float] = []
        self.breaths = 0
        self.passes: list[tuple[Audit, Audit]] = []
        timing = AuditTiming(
            breathe=self._breathe,
            wall=lambda: self.now,
            monotonic=lambda: self.now,
            spacing_seconds=spacing_seconds,
        )
        self.auditor = Auditor(self.store, Options(), timing, observe=self.durations.append)
        self.auditor.subscribe(lambda before, after: self.passes.append((before, after)))

    async def _breathe(self) -> None:
        self.breaths += 1
        await asyncio.sleep(0)

    def put(self, *objects: ApiObject) -> None:
        """Change objects as the watch does."""
        for api_object in objects:
            self.store.apply(api_object["kind"], "MODIFIED", api_object)

    @property
    def met(self) -> list[bool]:
        return [state.met for state in self.auditor.states()]

    async def shown(self) -> Any:
        found = json.loads(await self.auditor.shown())
        compare("served-audit", found)
        return found


@asynccontextmanager
async def running(watched: Watched) -> AsyncIterator[Watched]:
    task = asyncio.create_task(watched.auditor.run())
    try:
        yield watched
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - the audit has no event of its own
            await asyncio.sleep(0)


async def test_nothing_is_audited_before_everything_is_known() -> None:
    """A cluster of which half is known looks as if much were open or closed."""
    watched = Watched()
    async with running(watched):
        watched.put(gateway(resource_version="1"))
        await asyncio.sleep(0)
        before = await watched.shown()
        watched.store.reset(EemSnapshot.from_objects(WORLD))
        await until(lambda: watched.met)
        after = await watched.shown()

    assert (before["complete"], before["auditedAt"], before["requirements"]) == (False, None, [])
    assert (after["complete"], after["auditedAt"]) == (True, "1970-01-01T00:01:40.000Z")


async def test_a_change_is_audited() -> None:
    """The page has a row for the requirement, and the annotation with an unknown value."""
    watched = Watched(*WORLD)
    async with running(watched):
        await until(lambda: watched.met == [True])
        watched.now = 200.0
        watched.put(DENY)
        await until(lambda: watched.met == [False])
        shown = await watched.shown()

    assert shown["schemaVersion"] == "1"
    assert shown["unknownAnnotations"] == [{"namespace": "eem", "annotation": "eem-guardrail.io/mode=enforced"}]
    (row,) = shown["requirements"]
    assert (row["met"], row["since"], row["policies"]) == (False, "1970-01-01T00:03:20.000Z", ["eem/default-deny"])


async def test_what_has_turned_is_logged_with_its_evidence(caplog: pytest.LogCaptureFixture) -> None:
    """A warning with the sentence of a refusal, and a line when it is mended; nothing for what stays as it was."""
    caplog.set_level(logging.INFO, logger="webhook.guard.auditing")
    watched = Watched(*WORLD, DENY)
    await watched.auditor.audit_once()
    watched.put(pod("web-0", "shop", labels={"app": "web"}))
    await watched.auditor.audit_once()
    watched.put(allow())
    await watched.auditor.audit_once()
    broken, restored = caplog.records

    assert (broken.levelname, broken.getMessage()) == ("WARNING", "requirement broken")
    assert broken.__dict__["fields"] == {
        "namespace": "eem",
        "kind": "EventGateway",
        "instance": "gw",
        "component": "gateway",
        "port": "TCP/8092",
        "pods": "gw-ibm-egw-gateway-7f9c-x2x",
        "policies": "eem/default-deny",
        "message": "EventGateway eem/gw: gateway TCP/8092 of pod gw-ibm-egw-gateway-7f9c-x2x cannot be reached from "
        "any pod, for example a pod without labels in namespace eem, isolated by eem/default-deny",
    }
    assert (restored.levelname, restored.getMessage()) == ("INFO", "requirement restored")
    assert "message" not in restored.__dict__["fields"]


async def test_a_log_line_names_few_pods(caplog: pytest.LogCaptureFixture) -> None:
    """The page has all of them."""
    pods = [gateway_pod(f"gw-ibm-egw-gateway-{number}") for number in range(MOST_NAMES + 3)]
    watched = Watched(*WORLD, *pods, DENY)
    await watched.auditor.audit_once()
    (row,) = (await watched.shown())["requirements"]

    assert len(caplog.records[0].__dict__["fields"]["pods"].split(",")) == MOST_NAMES
    assert len(row["pods"]["names"]) == MOST_NAMES + 4


async def test_a_need_of_egress_that_turns_is_shown_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A row for each need, and a line with the evidence where a certain one is cut off, restored or ended."""
    caplog.set_level(logging.INFO, logger="webhook.guard.auditing")
    watched = Watched(*WORLD)
    await watched.auditor.audit_once()
    watched.now = 200.0
    cut = {"podSelector": {}, "policyTypes": ["Egress"]}
    watched.put({**DENY, "spec": cut})
    await watched.auditor.audit_once()
    (row,) = (await watched.shown())["needs"]
    watched.store.apply("NetworkPolicy", "DELETED", DENY)
    await watched.auditor.audit_once()
    broken, restored = caplog.records

    assert (row["need"], row["met"], row["since"], row["level"]) == ("E4", False, "1970-01-01T00:03:20.000Z", "certain")
    assert (broken.levelname, broken.getMessage()) == ("WARNING", "egress need broken")
    assert broken.__dict__["fields"] == {
        "namespace": "eem",
        "kind": "EventGateway",
        "instance": "gw",
        "component": "gateway",
        "need": "E4",
        "port": "TCP/any",
        "pods": "gw-ibm-egw-gateway-7f9c-x2x",
        "policies": "eem/default-deny",
        "message": "EventGateway eem/gw: gateway pod gw-ibm-egw-gateway-7f9c-x2x cannot reach Kafka (no TCP "
        "destination other than DNS and the manager remains) (E4), isolated by eem/default-deny",
    }
    assert (restored.levelname, restored.getMessage()) == ("INFO", "egress need restored")


async def test_many_changes_are_one_pass() -> None:
    """Changes that come while the audit waits are seen together."""
    watched = Watched(*WORLD, spacing_seconds=0.2)
    async with running(watched):
        await until(lambda: len(watched.passes) == 1)
        for number in range(1000):
            watched.put(pod(f"web-{number}", "shop", ips=[f"10.0.{number // 250}.{number % 250}"]))
            await asyncio.sleep(0)
        watched.put(DENY)
        await until(lambda: watched.met == [False])

    assert len(watched.passes) < 100


async def test_other_tasks_run_between_the_pieces() -> None:
    """An audit of a hundred instances gives way more than a hundred times, and so does the page of its 300 rows."""
    watched = Watched(*(manager(f"m-{number}", namespace=f"n-{number}") for number in range(100)))
    await watched.auditor.audit_once()
    audited = watched.breaths
    await watched.shown()

    assert audited > 200
    assert watched.breaths - audited == 300
    assert watched.durations == [0.0]


async def test_after_a_list_everything_is_evaluated_again() -> None:
    """The time of what has not turned remains."""
    watched = Watched(*WORLD, DENY)
    await watched.auditor.audit_once()
    await watched.auditor.audit_once()
    kept = watched.auditor.audit.evaluated
    watched.now = 200.0
    intake = watched.store.begin_list("NetworkPolicy")
    await intake.add([DENY])
    await intake.finish()
    await watched.auditor.audit_once()
    (state,) = watched.auditor.states()

    assert (kept, watched.auditor.audit.evaluated, state.since) == (0, 1, 100.0)


async def test_the_audit_that_is_served_is_that_of_its_file() -> None:
    """Of the state in docs/examples/alert. If the change is meant, write what is served into the file."""
    objects = list(yaml.safe_load_all((ROOT / "docs/examples/alert/state.yaml").read_text()))
    watched = Watched(*objects)
    await watched.auditor.audit_once()
    served = json.dumps(await watched.shown(), indent=2) + "\n"

    assert (ROOT / "tests/guard/served-audit.json").read_text() == served
