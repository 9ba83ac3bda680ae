"""Reports of OpenReports: by the leader, on change, owned by the instances, and few if a requirement turns often."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from admission.egress_scene import limits
from admission.reviews import allow, default_deny, gateway, gateway_pod, instance, world
from builders import ApiObject, namespace, operator_deployment
from cluster_builders import FakeTime, Token
from fake_api_server import FakeApiServer, answer, api_server

from webhook.admission import Options
from webhook.admission.audit import NOTHING_AUDITED, Audit, audit
from webhook.cluster.client import ApiClient
from webhook.controllers.audit_events import LOOK_SECONDS
from webhook.controllers.events import REPEAT_SECONDS
from webhook.controllers.open_reports import MOST_RESULTS, REPORTS, OpenReports
from webhook.eem import EemSnapshot

DENY = default_deny()
WITHOUT_UID = {**gateway(), "metadata": {"name": "gw", "namespace": "eem"}}
HERE = (gateway(uid="u-1"), gateway_pod())


@dataclass
class Reported:
    """A cluster, its audit, and the Reports about it."""

    server: FakeApiServer
    client: ApiClient
    options: Options
    snapshot: EemSnapshot
    leads: bool = True
    time: FakeTime = field(default_factory=FakeTime)
    found: Audit = NOTHING_AUDITED
    reports: OpenReports = field(init=False)

    def __post_init__(self) -> None:
        self.reports = OpenReports(
            self.client,
            self.options,
            audited=lambda: None if self.found is NOTHING_AUDITED else (self.found, self.snapshot, self.time.now),
            leads=lambda: self.leads,
            clock=self.time.clock(),
        )

    async def becomes(self, snapshot: EemSnapshot) -> None:
        """Audit the cluster in its new state, and write what is due."""
        before, self.snapshot = self.found, snapshot
        self.found = audit(snapshot, self.options, at=self.time.now, known=before)
        self.reports.look(before, self.found)
        await self.reports.write_due()

    async def put(self, *objects: ApiObject) -> None:
        for one in objects:
            await self.becomes(self.snapshot.with_object(one))

    async def drop(self, kind: str, name: str) -> None:
        await self.becomes(self.snapshot.without_object(kind, "eem", name))

    async def later(self, seconds: float = REPEAT_SECONDS) -> None:
        self.time.now += seconds
        await self.reports.write_due()

    def written(self) -> list[dict[str, Any]]:
        """Return every Report that the API server was asked to store, in order."""
        return [body for method, plural, body in self.server.bodies if (method, plural) == ("PATCH", REPORTS.plural)]


@asynccontextmanager
async def reporting(*objects: ApiObject, leads: bool = True, **options: Any) -> AsyncIterator[Reported]:
    async with api_server(further=(REPORTS,)) as server, ApiClient(Token(server.url)) as client:
        reported = Reported(server=server, client=client, options=Options(**options), snapshot=world(), leads=leads)
        await reported.becomes(world(*objects))
        yield reported


async def test_a_report_has_a_result_for_each_requirement_and_need() -> None:
    """It is owned by the instance, and says of what is broken what a refusal would say."""
    async with reporting(*HERE, DENY, egress="off") as reported:
        (report,) = reported.written()
        query = reported.server.asked("PATCH", REPORTS.plural)

    (result,) = report["results"]
    assert query == [{"fieldManager": "eem-guardrail", "force": "true"}]
    assert report["metadata"] == {
        "name": "eem-guardrail",
        "namespace": "eem",
        "labels": {"app.kubernetes.io/managed-by": "eem-guardrail"},
        "ownerReferences": [
            {"apiVersion": "events.ibm.com/v1beta1", "kind": "EventGateway", "name": "gw", "uid": "u-1"}
        ],
    }
    assert (report["source"], report["scope"]["name"]) == ("eem-guardrail", "eem")
    assert report["summary"] == {"pass": 0, "fail": 1, "warn": 0, "skip": 0, "error": 0}
    assert {key: result[key] for key in ("policy", "rule", "result", "scored", "severity", "timestamp")} == {
        "policy": "required-ingress",
        "rule": "gateway TCP/8092",
        "result": "fail",
        "scored": True,
        "severity": "critical",
        "timestamp": {"seconds": 1000, "nanos": 0},
    }
    assert "isolated by eem/default-deny" in result["message"]
    assert result["properties"]["policies"] == "eem/default-deny"
    assert (result["resources"][0]["name"], result["resources"][0]["namespace"]) == ("gw", "eem")


@pytest.mark.parametrize(
    ("mode", "expected"), [("warn", "warn"), ("enforce", "fail")], ids=["only warned of", "enforced"]
)
async def test_a_need_that_is_cut_off_fails_only_where_egress_is_enforced(mode: str, expected: str) -> None:
    """As the command `audit` counts it."""
    async with reporting(*HERE, limits(), egress=mode) as reported:
        (report,) = reported.written()

    needs = {one["rule"]: one for one in report["results"] if one["policy"] == "needed-egress"}
    assert [one["result"] for one in report["results"] if one["policy"] == "required-ingress"] == ["pass"]
    assert needs["gateway E4"]["result"] == expected
    assert "cannot reach" in needs["gateway E4"]["message"]


async def test_an_exempt_instance_is_a_skipped_result() -> None:
    """With the word for its exemption."""
    exempt = gateway(uid="u-1", spec={"deployNetworkPolicies": False})
    async with reporting(exempt, operator_deployment()) as reported:
        (report,) = reported.written()

    skipped = [one for one in report["results"] if one["result"] == "skip"]
    assert [one["message"] for one in skipped] == ["exempt: deployNetworkPolicies"]
    assert {one["kind"] for one in report["metadata"]["ownerReferences"]} == {"Deployment", "EventGateway"}


async def test_a_requirement_that_turns_a_thousand_times_in_a_minute_costs_two_writes() -> None:
    """The second one says what it is after the minute."""
    async with reporting(*HERE, egress="off") as reported:
        for number in range(1000):
            await reported.put(default_deny(f"deny-{number}"))
            await reported.drop("NetworkPolicy", f"deny-{number}")
            reported.time.now += REPEAT_SECONDS / 1001
        await reported.put(DENY)
        within = len(reported.written())
        await reported.later()
        await reported.later()
        await reported.put(allow())
        written = reported.written()

    assert within == 1
    assert [one["summary"]["fail"] for one in written] == [0, 1, 0]


async def test_only_what_has_changed_is_written() -> None:
    """An event that changes no result costs nothing; a namespace is written without waiting for another one."""
    elsewhere = (gateway("other", namespace="eem-2", uid="u-2"), default_deny(namespace="eem-2"))
    async with reporting(*HERE, *elsewhere, egress="off") as reported:
        before = len(reported.written())
        reported.time.now += REPEAT_SECONDS
        await reported.put(gateway_pod(phase="Pending"))
        unchanged = len(reported.written())
        await reported.put(DENY)

    assert (before, unchanged) == (2, 2)
    assert [one["metadata"]["namespace"] for one in reported.written()][2:] == ["eem"]


async def test_only_the_leader_writes_and_a_new_one_writes_everything() -> None:
    """What the last leader wrote may be old."""
    async with reporting(*HERE, egress="off", leads=False) as reported:
        before = len(reported.written())
        reported.leads = True
        await reported.later()
        first = len(reported.written())
        reported.leads = False
        await reported.put(DENY)
        reported.leads = True
        await reported.later()

    assert (before, first, len(reported.written())) == (0, 1, 2)


async def test_nothing_is_written_before_the_first_audit() -> None:
    """A leader that knows nothing says nothing."""
    async with reporting(*HERE, egress="off", leads=False) as reported:
        reported.leads, reported.found = True, NOTHING_AUDITED
        await reported.reports.write_due()

    assert reported.written() == []


@pytest.mark.parametrize(
    "gone",
    [
        pytest.param((), id="the instance is gone"),
        pytest.param((namespace("eem", terminating=True), *HERE, DENY), id="the namespace is terminating"),
        pytest.param((WITHOUT_UID, gateway_pod(), DENY), id="the instance has no uid, as in files"),
    ],
)
async def test_a_namespace_without_a_living_owner_gets_no_report(gone: tuple[ApiObject, ...]) -> None:
    """Kubernetes deletes the Report of the last instance, and the next write would create it again."""
    async with reporting(*HERE, egress="off") as reported:
        reported.time.now += REPEAT_SECONDS
        await reported.becomes(world(*gone))

    assert len(reported.written()) == 1


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (404, "is OpenReports installed?"),
        (403, "is the component `reports` applied?"),
        (500, "no"),
    ],
)
async def test_a_failure_is_shown_and_tried_again_after_a_minute(
    status: int, hint: str, caplog: pytest.LogCaptureFixture
) -> None:
    """For all namespaces, so that a cluster without the kind costs one request a minute."""
    elsewhere = (gateway("other", namespace="eem-2", uid="u-2"), default_deny(namespace="eem-2"))
    async with reporting(*HERE, *elsewhere, egress="off", leads=False) as reported:
        reported.leads = True
        reported.server.always["PATCH", REPORTS.plural] = answer(status, "Failed", "no")
        for _ in range(30):
            await reported.later(LOOK_SECONDS)
        failed, problem = len(reported.written()), reported.reports.problem()
        del reported.server.always["PATCH", REPORTS.plural]
        await reported.later()
        mended = reported.reports.problem()

    assert failed == 1
    assert problem is not None
    assert hint in problem
    assert [one["metadata"]["namespace"] for one in reported.written()] == ["eem", "eem-2", "eem"]
    assert mended is None
    assert caplog.text.count("no Report was written") == 1


async def test_a_report_has_a_limited_number_of_results_the_worst_first() -> None:
    """The summary counts all of them."""
    many = [instance(f"gw-{number}", kind="EventGateway", uid=f"u-{number}") for number in range(MOST_RESULTS)]
    async with reporting(*HERE, *many, default_deny(), egress="off") as reported:
        (report,) = reported.written()

    assert report["configuration"] == {"limits": {"maxResults": MOST_RESULTS}}
    assert len(report["results"]) == MOST_RESULTS
    assert sum(report["summary"].values()) == MOST_RESULTS + 1
    assert report["results"][0]["result"] == "fail"


async def test_what_is_due_is_written_without_a_change() -> None:
    """The loop looks each second."""
    async with reporting(*HERE, egress="off") as reported:
        await reported.put(DENY)
        running = asyncio.create_task(reported.reports.run())
        await reported.server.written_times("PATCH", REPORTS, 2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert sum(reported.time.slept) >= REPEAT_SECONDS


async def test_a_bug_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the next look writes everything."""
    async with reporting(*HERE, egress="off", leads=False) as reported:
        found, reported.found, reported.leads = reported.found, None, True  # type: ignore[assignment]
        running = asyncio.create_task(reported.reports.run())
        await asyncio.sleep(0)
        reported.found = found
        await reported.server.written_times("PATCH", REPORTS, 1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert caplog.text.count("a Report was not written") == 1
