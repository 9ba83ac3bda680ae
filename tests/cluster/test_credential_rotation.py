"""Tokens and certificates change while everything is watched, over TLS as in a cluster, and nothing is missed."""

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
    """A replica in its pod: what is mounted, what it watches, and the API server on the other side."""

    mounted: Path
    authority: Authority
    server: FakeApiServer
    harness: Harness

    async def follows(self, name: str) -> None:
        """Let things happen, and wait until they are known."""
        self.server.put(PODS, name, "ns")
        self.server.put(NAMESPACES, name)
        await self.harness.same(PODS)
        await self.harness.same(NAMESPACES)

    def cut(self) -> None:
        """Break every watch, so that new requests are made."""
        for stream in list(self.server.streams):
            stream.cut()

    def tokens(self) -> list[str]:
        """Give the tokens of all watches so far, each time that it changes."""
        sent = [token.removeprefix("Bearer ") for verb, _, _, token in self.server.requests if verb == "watch"]
        return list(dict.fromkeys(sent))


@asynccontextmanager
async def watching(mounted: Path) -> AsyncIterator[Pod]:
    """Watch over TLS with what Kubernetes mounts into a pod."""
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
    """Change a mounted file as the kubelet does: all of it at once."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)


async def test_a_token_that_was_replaced_is_used_within_a_minute(tmp_path: Path) -> None:
    """While the old token is still good, the new one is taken after a minute and no request fails."""
    async with watching(tmp_path) as pod:
        pod.server.tokens = {"first", "second"}
        replace(tmp_path / "token", "second")
        pod.harness.time.now += 61
        pod.cut()
        await pod.follows("after")

        assert pod.tokens() == ["first", "second"]


async def test_a_token_that_is_refused_is_replaced_at_once(tmp_path: Path) -> None:
    """Where the old token ends before the minute is over, the refused request is repeated with the new one."""
    async with watching(tmp_path) as pod:
        pod.server.tokens = {"second"}
        replace(tmp_path / "token", "second")
        pod.cut()
        await pod.follows("after")

        assert pod.tokens() == ["first", "second"]
        assert pod.harness.store.has_synced


async def test_a_token_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    """A token that is refused before there is another leaves what is known; the new one is taken as it comes."""
    async with watching(tmp_path) as pod:
        pod.server.tokens = {"second"}
        pod.cut()
        await pod.harness.until(lambda: all("401" in status.problem for status in pod.harness.store.status.values()))
        known = pod.harness.store.has_synced
        replace(tmp_path / "token", "second")
        await pod.follows("after")

        assert known


async def test_a_token_that_cannot_be_read_is_as_if_nobody_answered(tmp_path: Path) -> None:
    """A replica that starts before its token is mounted says so once and begins as soon as it is there."""
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


async def test_a_new_certificate_of_the_same_authority_needs_nothing(tmp_path: Path) -> None:
    """The API server comes back with a new certificate: the next connection believes it."""
    async with watching(tmp_path) as pod:
        await pod.server.stop()
        pod.server.put(PODS, "meanwhile", "ns")
        await pod.server.start(pod.authority.serving(HOST))
        await pod.follows("after")

        assert len(pod.server.asked("list", "pods")) == 1


@pytest.mark.parametrize("bundled", [True, False], ids=["beside the old one", "in its place"])
async def test_a_new_authority_is_believed_as_soon_as_it_is_mounted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, bundled: bool
) -> None:
    """Until the kubelet mounts the new authority nobody is believed; then all goes on, without a list."""
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


async def test_an_authority_that_is_mounted_before_it_is_used_needs_no_outage(tmp_path: Path) -> None:
    """Mounted a minute ahead, the new authority is believed at the first connection."""
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
