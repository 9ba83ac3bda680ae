"""Tokens and certificates change during watches over TLS, as in a cluster, and no event is missed."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from authorities import Authority
from cluster_builders import NAMESPACES, PODS, Harness, reflecting, service_account, until
from fake_api_server import FakeApiServer, api_server

from webhook.cluster.credentials import ServiceAccount
from webhook.cluster.probe import Probing
from webhook.cluster.timing import Delays, ReflectorTiming

HOST = "127.0.0.1"
TIMING = ReflectorTiming(retry=Delays(first_seconds=0.02, longest_seconds=0.1), list_interval_seconds=0.05)
PROBING = Probing(interval_seconds=0.05, timeout_seconds=2.0, starting_seconds=0.2, spread_seconds=0.02)


@dataclass
class Pod:
    """A replica in its pod: its mounted files, its store, and its API server."""

    mounted: Path
    authority: Authority
    server: FakeApiServer
    harness: Harness

    async def follows(self, name: str) -> None:
        """Change objects, and wait until the store has them."""
        self.server.put(PODS, name, "ns")
        self.server.put(NAMESPACES, name)
        await self.harness.same(PODS)
        await self.harness.same(NAMESPACES)

    def cut(self) -> None:
        """Break each watch, so that new requests are sent."""
        for stream in list(self.server.streams):
            stream.cut()

    def tokens(self) -> list[str]:
        """Return the tokens of all watches so far, without repetitions."""
        sent = [token.removeprefix("Bearer ") for verb, _, _, token in self.server.requests if verb == "watch"]
        return list(dict.fromkeys(sent))


@asynccontextmanager
async def watching(mounted: Path) -> AsyncIterator[Pod]:
    """Watch over TLS with the files that the kubelet mounts into a pod."""
    authority = Authority()
    service_account(mounted, "first", authority.pem)
    async with api_server(authority.serving(HOST)) as server:
        server.tokens = {"first"}
        account = ServiceAccount(HOST, str(server.port), mounted)
        async with reflecting(server, PODS, NAMESPACES, timing=TIMING, credentials=account, probing=PROBING) as harness:
            pod = Pod(mounted=mounted, authority=authority, server=server, harness=harness)
            await server.stream_of(PODS)
            await server.stream_of(NAMESPACES)
            await pod.follows("before")
            yield pod


def replace(path: Path, text: str) -> None:
    """Change a mounted file as the kubelet does: in one step."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)


async def test_a_replaced_token_is_used_within_a_minute(tmp_path: Path) -> None:
    """While the old token is still valid, the new one is used after a minute and no request fails."""
    async with watching(tmp_path) as pod:
        pod.server.tokens = {"first", "second"}
        replace(tmp_path / "token", "second")
        pod.harness.time.now += 61
        pod.cut()
        await pod.follows("after")

        assert pod.tokens() == ["first", "second"]


async def test_a_refused_token_is_replaced_at_once(tmp_path: Path) -> None:
    """If the old token expires within the minute, the refused request is sent again with the new one."""
    async with watching(tmp_path) as pod:
        pod.server.tokens = {"second"}
        replace(tmp_path / "token", "second")
        pod.cut()
        await pod.follows("after")

        assert pod.tokens() == ["first", "second"]
        assert pod.harness.store.has_synced


async def test_a_token_that_is_mounted_late_is_waited_for(tmp_path: Path) -> None:
    """A refused token without a replacement leaves the store as it is; the new token is used once it is mounted."""
    async with watching(tmp_path) as pod:
        pod.server.tokens = {"second"}
        pod.cut()
        await pod.harness.until(lambda: all("401" in status.problem for status in pod.harness.store.status.values()))
        known = pod.harness.store.has_synced
        replace(tmp_path / "token", "second")
        await pod.follows("after")

        assert known


async def test_a_replica_without_a_token_reports_it_and_waits(tmp_path: Path) -> None:
    """A replica that starts before its token is mounted reports the problem, and begins once the file is there."""
    authority = Authority()
    service_account(tmp_path, "first", authority.pem)
    (tmp_path / "token").unlink()
    async with api_server(authority.serving(HOST)) as server:
        server.put(PODS, "one", "ns")
        account = ServiceAccount(HOST, str(server.port), tmp_path)
        async with reflecting(server, PODS, timing=TIMING, credentials=account, probing=PROBING) as harness:
            await harness.until(lambda: bool(harness.store.status["Pod"].problem))
            await until(lambda: bool(harness.reach.problem))
            assert "token cannot be read" in harness.reach.problem
            replace(tmp_path / "token", "first")
            await harness.same(PODS)


async def test_a_new_certificate_of_the_same_authority_is_trusted(tmp_path: Path) -> None:
    """The API server returns with a new certificate, and the next connection trusts it."""
    async with watching(tmp_path) as pod:
        await pod.server.stop()
        pod.server.put(PODS, "meanwhile", "ns")
        await pod.server.start(pod.authority.serving(HOST))
        await pod.follows("after")

        assert len(pod.server.asked("list", "pods")) == 1


@pytest.mark.parametrize("bundled", [True, False], ids=["beside the old one", "in its place"])
async def test_a_new_authority_is_trusted_as_soon_as_it_is_mounted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, bundled: bool
) -> None:
    """Until the kubelet mounts the new authority no connection is trusted; then the watches resume without a list."""
    caplog.set_level(logging.INFO)
    async with watching(tmp_path) as pod:
        caplog.clear()
        new = Authority()
        await pod.server.stop()
        pod.server.put(PODS, "meanwhile", "ns")
        await pod.server.start(new.serving(HOST))
        await until(lambda: "certificate verify failed" in pod.harness.reach.problem)
        known = pod.harness.store.has_synced
        replace(tmp_path / "ca.crt", (pod.authority.pem if bundled else "") + new.pem)
        await pod.follows("after")

        assert known
        assert len(pod.server.asked("list", "pods")) == 1
        told = [record.message for record in caplog.records if "does not answer" in record.message]
        assert 1 <= len(told) == len(set(told)) <= 2


async def test_an_authority_that_is_mounted_ahead_needs_no_outage(tmp_path: Path) -> None:
    """Mounted a minute before its use, the new authority is trusted at the first connection."""
    async with watching(tmp_path) as pod:
        new = Authority()
        replace(tmp_path / "ca.crt", pod.authority.pem + new.pem)
        pod.harness.time.now += 61
        pod.cut()
        await pod.follows("between")
        await pod.server.stop()
        await pod.server.start(new.serving(HOST))
        await pod.follows("after")

        assert pod.harness.store.has_synced
