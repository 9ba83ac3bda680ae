"""The page of the last audit: when it is made, and when it counts as another one."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from admission.reviews import allow, default_deny, gateway, gateway_pod
from builders import ApiObject, namespace, pod

from webhook.admission import Options
from webhook.cluster.store import Store
from webhook.eem import EemSnapshot
from webhook.guard.auditing import Auditor, AuditTiming
from webhook.guard.outcomes import NotReady
from webhook.guard.reporting import IN_PART, LiveReport

WORLD = (namespace(), gateway(), gateway_pod(), default_deny(), allow())
AT = "1970-01-01T00:01:40.000Z"


class Reported:
    """A cluster, and the pages of its audits."""

    def __init__(self, *objects: ApiObject) -> None:
        self.store = Store()
        self.store.reset(EemSnapshot.from_objects(objects))
        self.made: list[tuple[Mapping[str, Any], str]] = []
        self.is_complete = True
        timing = AuditTiming(breathe=lambda: asyncio.sleep(0), wall=lambda: 100.0, monotonic=lambda: 0.0)
        self.auditor = Auditor(self.store, Options(), timing, observe=lambda _: None)
        self.live = LiveReport(self.auditor, Options(), self._render, is_complete=lambda: self.is_complete)

    def _render(self, found: Mapping[str, Any], at: str) -> bytes:
        self.made.append((found, at))
        return f"{found['summary']['broken']} broken".encode()

    async def change(self, api_object: ApiObject) -> None:
        self.store.apply(api_object["kind"], "MODIFIED", api_object)
        await self.auditor.audit_once()


async def test_before_the_first_audit_there_is_no_page() -> None:
    """Nothing is known then."""
    with pytest.raises(NotReady):
        await Reported(*WORLD).live.page()


async def test_a_page_is_made_once_for_each_audit() -> None:
    """Those who ask at the same moment share it."""
    reported = Reported(*WORLD)
    await reported.auditor.audit_once()
    pages = await asyncio.gather(reported.live.page(), reported.live.page())

    assert (pages, [at for _, at in reported.made]) == ([b"0 broken", b"0 broken"], [AT])
    await reported.change(allow(ports=(1,)))
    assert await reported.live.page() == b"1 broken"
    assert len(reported.made) == 2


async def test_the_page_says_where_the_lists_are_not_complete() -> None:
    """The audit is older than the cluster then."""
    reported = Reported(*WORLD)
    await reported.auditor.audit_once()
    reported.is_complete = False
    await reported.live.page()

    assert [at for _, at in reported.made] == [AT + IN_PART]


async def test_the_version_grows_with_what_a_report_may_rest_on() -> None:
    """An audit that finds everything as it was is no news."""
    reported = Reported(*WORLD)
    versions = [reported.live.version]
    await reported.auditor.audit_once()
    versions.append(reported.live.version)
    await reported.auditor.audit_once()
    versions.append(reported.live.version)
    await reported.change(allow(ports=(1,)))
    versions.append(reported.live.version)
    await reported.change(pod("other", "shop", ips=["10.0.0.9"]))
    versions.append(reported.live.version)

    assert versions == [0, 1, 1, 2, 3]
