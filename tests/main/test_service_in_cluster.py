"""The whole service in a cluster: it becomes ready, registers itself, and shows what is wrong with the cluster."""

import asyncio
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import builders as b
import pytest
from authorities import Authority
from cluster_builders import GATEWAYS, service_account
from fake_api_server import FakeApiServer, answer, api_server
from registration_builders import applied, refuse, shipped

from webhook.admission.exemptions import CANARY_NAMESPACE, HEARTBEAT_REFUSAL
from webhook.cluster import api_groups
from webhook.cluster.client import ApiClient
from webhook.cluster.consistency import History
from webhook.cluster.credentials import ServiceAccount
from webhook.cluster.definitions import definition_name
from webhook.cluster.probe import Reachability
from webhook.cluster.store import Store
from webhook.controllers.entries import (
    MUTATING,
    NAME,
    POLICIES,
    VALIDATING,
)
from webhook.controllers.events import EVENTS
from webhook.controllers.lease import LEASES
from webhook.controllers.open_reports import REPORTS
from webhook.controllers.secret_store import SECRETS
from webhook.eem.resources import CLUSTER_POLICIES, NETWORK_POLICIES
from webhook.main import Service, from_cluster
from webhook.main.assembly import make_foundation
from webhook.main.writers import make_writers
from webhook.server import VALIDATE_NETWORK_POLICY, stop_signals
from webhook.settings import Settings

HOST = "127.0.0.1"
SECONDS = 20
FURTHER = (VALIDATING, MUTATING, SECRETS, LEASES, EVENTS, REPORTS, NETWORK_POLICIES, *CLUSTER_POLICIES)
DENY = b.policy("deny", "eem", policy_types=["Ingress"])
ROOT = Path(__file__).resolve().parents[2]
STARTING = """\
import asyncio, os, sys
from webhook.cli import parser_with
from webhook.main import from_cluster
from webhook.settings import settings_from

asyncio.run(from_cluster(settings_from(parser_with(["serve"]).parse_args(sys.argv[1:]), os.environ)))
print("webhook.controllers.open_reports" in sys.modules)
"""
"""A process that constructs the service as `serve` does, and prints whether that loaded what writes Reports."""


@dataclass
class Running:
    """The service, and the API server that it watches."""

    server: FakeApiServer
    service: Service
    http: aiohttp.ClientSession

    async def ready(self) -> tuple[int, str]:
        """Return the answer of the readiness probe."""
        async with self.http.get(f"http://{HOST}:{self.service.servers.http_port}/readyz?verbose") as answer:
            return answer.status, await answer.text()

    async def metric(self, name: str) -> str:
        """Return the value of one metric."""
        async with self.http.get(f"http://{HOST}:{self.service.servers.http_port}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        (found,) = [line.rpartition(" ")[2] for line in lines if line.startswith(f"{name} ")]
        return found

    async def review(self, policy: b.Node) -> tuple[int, dict[str, Any]]:
        """Ask for a verdict as the API server does."""
        url = f"https://{HOST}:{self.service.servers.https_port}{VALIDATE_NETWORK_POLICY}"
        headers = {"Content-Type": "application/json"}
        async with self.http.post(url, data=b.body(b.review(policy)), headers=headers, ssl=_trusting()) as answer:
            return answer.status, await answer.json(content_type=None)

    async def until(self, condition: Callable[[tuple[int, str]], object]) -> str:
        """Wait until the answer of the readiness probe meets a condition, and return its text."""
        async with asyncio.timeout(SECONDS):
            while not condition(found := await self.ready()):
                await pause()
        return found[1]

    def registered(self) -> list[str]:
        """Return the namespaces in the entry for NetworkPolicies."""
        entries = self.server.objects[VALIDATING.plural]["", NAME]["webhooks"]
        found = [
            one["namespaceSelector"]["matchExpressions"][0]["values"] for one in entries if one["name"] == POLICIES
        ]
        return found[0] if found else []


async def pause() -> None:
    """Wait, so that the service runs before the next check."""
    await asyncio.sleep(0.05)


def free_port() -> int:
    """Return a port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@asynccontextmanager
async def running(folder: Path, monkeypatch: pytest.MonkeyPatch, *, reports: bool = False) -> AsyncIterator[Running]:
    """Run the service with a service account, beside an API server with the manifests and one gateway."""
    authority = Authority()
    service_account(folder, "token", authority.pem)
    async with api_server(authority.serving(HOST), further=FURTHER) as server, aiohttp.ClientSession() as http:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", HOST)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
        server.patched = applied
        server.always["POST", NETWORK_POLICIES.plural] = refuse(HEARTBEAT_REFUSAL)
        for resource in (VALIDATING, MUTATING):
            server.put(resource, NAME, webhooks=shipped(resource))
        server.define(GATEWAYS, "v1beta1")
        server.put(GATEWAYS, "gw", "eem", spec={})
        ports = {"https_port": free_port(), "http_port": 0, "local_port": 0}
        settings = Settings(bind=HOST, **ports, drain_seconds=0.0, service_account_dir=folder, reports=reports)
        service = await from_cluster(settings)
        with stop_signals() as told:
            await service.servers.start()
            task = asyncio.create_task(service.run_until(told))
            try:
                yield Running(server=server, service=service, http=http)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


async def test_the_service_becomes_ready_and_judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every check and note is well, and a default deny over the gateway is refused."""
    async with running(tmp_path, monkeypatch) as run:
        text = await run.until(lambda found: found[0] == 200)
        status, answer = await run.review(DENY)

        assert "[+]cache-eventgateways ok" in text
        assert (status, answer["response"]["allowed"]) == (200, False)
        assert "gateway" in answer["response"]["status"]["message"]


async def test_an_unknown_version_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The instances are read in it; a note, a metric and an Event tell, and the replica stays ready."""
    async with running(tmp_path, monkeypatch) as run:
        await run.until(lambda found: found[0] == 200)
        before = await run.metric('eem_guardrail_cache_version_unknown{resource="eventgateways"}')
        run.server.define(GATEWAYS, "v1")
        for stream in run.server.open_streams(GATEWAYS.plural):
            stream.cut()
        text = await run.until(lambda found: "[!]eem-versions" in found[1])
        async with asyncio.timeout(SECONDS):
            while not run.server.objects[EVENTS.plural]:
                await pause()
        (event,) = run.server.objects[EVENTS.plural].values()
        _, answer = await run.review(DENY)

        assert (before, await run.metric('eem_guardrail_cache_version_unknown{resource="eventgateways"}')) == (
            "0.0",
            "1.0",
        )
        assert "eventgateways: read as events.ibm.com/v1" in text
        assert (event["reason"], event["regarding"]["name"]) == ("UnknownVersion", definition_name(GATEWAYS))
        assert answer["response"]["allowed"] is False


async def test_a_live_list_that_goes_back_makes_the_replica_list_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal stands and says that it could not be confirmed; then the state of the backup is judged."""
    async with running(tmp_path, monkeypatch) as run:
        await run.until(lambda found: found[0] == 200)
        backup = run.server.backup()
        run.server.put(GATEWAYS, "second", "young", spec={})
        run.server.put(NETWORK_POLICIES, "later", "shop", spec={"podSelector": {}})
        store = run.service.store
        async with asyncio.timeout(SECONDS):
            await store.wait_until(lambda: store.newest("NetworkPolicy") == run.server.revision)
        run.server.restore(backup)
        status, answer = await run.review(DENY)
        async with asyncio.timeout(SECONDS):
            await store.wait_until(lambda: store.has_synced and set(store.snapshot.eem) == {"eem"})

        assert (status, answer["response"]["allowed"]) == (200, False)
        assert "older state" in answer["response"]["status"]["message"]
        assert store.newest("NetworkPolicy") <= run.server.revision


async def test_the_namespaces_of_eem_are_registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its own certificates, once the port answers and a heartbeat was refused."""
    async with running(tmp_path, monkeypatch) as run:
        async with asyncio.timeout(SECONDS):
            while run.registered() != ["eem", CANARY_NAMESPACE]:
                await pause()
        text = await run.until(lambda found: "[+]registration ok" in found[1])

        assert "[+]certificates ok" in text


async def test_policy_kinds_that_are_not_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A note, a metric and the verdict name a kind that was installed after the service."""
    monkeypatch.setattr(api_groups, "INTERVAL_SECONDS", 0.05)
    async with running(tmp_path, monkeypatch) as run:
        text = await run.until(lambda found: found[0] == 200)
        assert "[+]policy-kinds ok" in text
        assert await run.metric("eem_guardrail_unread_policy_kinds") == "0.0"

        run.server.serve_kind("cilium.io", "ciliumnetworkpolicies", "v2")
        text = await run.until(lambda found: "[!]policy-kinds" in found[1])
        _, refused = await run.review(DENY)

        assert "[!]policy-kinds: not read, and may override a verdict: CiliumNetworkPolicy.cilium.io" in text
        assert await run.metric("eem_guardrail_unread_policy_kinds") == "1.0"
        message = refused["response"]["status"]["message"]
        assert message.endswith("(Cilium policies are not read and may override this verdict.)")


async def test_a_kind_that_may_not_be_read_is_named_with_the_missing_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replica is ready without cluster-wide policies, and the note tells which rule would let it read them."""
    monkeypatch.setattr(api_groups, "INTERVAL_SECONDS", 0.05)
    async with running(tmp_path, monkeypatch) as run:
        admin = CLUSTER_POLICIES[0]
        run.server.always["list", admin.plural] = answer(403, "Forbidden", "no")
        run.server.serve_kind(admin.group, admin.plural, admin.version)
        text = await run.until(lambda found: found[0] == 200 and "the account may not list" in found[1])

        assert "[+]cache-adminnetworkpolicies ok" in text
        assert "may override a verdict: AdminNetworkPolicy.policy.networking.k8s.io (the account may not list" in text


async def test_cluster_wide_policies_are_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind that is installed after the service is listed; the replica is ready with its objects."""
    monkeypatch.setattr(api_groups, "INTERVAL_SECONDS", 0.05)
    async with running(tmp_path, monkeypatch) as run:
        admin = CLUSTER_POLICIES[0]
        await run.until(lambda found: found[0] == 200)
        run.server.put(admin, "admin", spec=b.admin_policy()["spec"])
        run.server.serve_kind(admin.group, admin.plural, admin.version)
        store = run.service.store
        async with asyncio.timeout(SECONDS):
            await store.wait_until(lambda: store.has_synced and store.snapshot.count(admin.kind) == 1)

        assert [known.kind for known in store.snapshot.read_kinds] == [admin.kind]
        assert await run.metric('eem_guardrail_cache_objects{resource="adminnetworkpolicies"}') == "1.0"


@pytest.mark.parametrize("reports", [True, False], ids=["on", "off"])
async def test_reports_are_written_where_they_are_turned_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, reports: bool
) -> None:
    """Without the setting, no request is sent and no note is shown."""
    async with running(tmp_path, monkeypatch, reports=reports) as run:
        text = await run.until(lambda found: found[0] == 200)
        if reports:
            await run.server.written_times("PATCH", REPORTS, 1)
        else:
            await run.until(lambda _: run.registered())

        asked = [plural for _, plural, _, _ in run.server.requests if plural == REPORTS.plural]
        assert (bool(asked), "[+]reports ok" in text) == (reports, reports)


@pytest.mark.parametrize(
    ("words", "loaded"),
    [
        pytest.param([], "False", id="by default"),
        pytest.param(["--reports", "off"], "False", id="off"),
        pytest.param(["--reports", "on"], "True", id="on"),
    ],
)
def test_what_writes_reports_is_loaded_only_where_it_is_turned_on(words: list[str], loaded: str) -> None:
    """A service without the option does without the module."""
    pod = {"KUBERNETES_SERVICE_HOST": HOST, "KUBERNETES_SERVICE_PORT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", STARTING, "serve", *words],
        cwd=ROOT,
        env=os.environ | pod,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.returncode) == (f"{loaded}\n", 0), done.stderr


async def test_reports_without_a_leader_are_told_to_be_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A service that writes nothing says so if Reports were asked for."""
    authority = Authority()
    service_account(tmp_path, "token", authority.pem)
    variables = {"KUBERNETES_SERVICE_HOST": HOST, "KUBERNETES_SERVICE_PORT": "1"}
    client = ApiClient(ServiceAccount.from_environment(variables, tmp_path))
    settings = Settings(tls_dir=tmp_path, register=False, reports=True)

    writers = make_writers(make_foundation(settings, Store()), client, Reachability(client), History())

    assert writers.background == ()
    assert "no Reports are written" in caplog.text
