"""The webhooks of the arena: replicas of the service at separate addresses, and another webhook that objects."""

import asyncio
import base64
import json
import os
import ssl
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
from aiohttp import web

from certs.authority import KeyPair, issue_serving_pair, make_authority
from harness.decisions import POLICIES, complete_lines
from harness.objects import Json
from harness.process import ADDRESS_SPACE_BYTES, HTTP_OK

PROXY = "10.99.2.9"  # and who objects
OBJECTOR_PORT = 9443
READY_SECONDS = 60
STOP_SECONDS = 30
PAUSE_SECONDS = 0.1
UNWANTED, KEPT = "unwanted", "kept"  # what names of policies begin with to whose creation or deletion is objected


class Replica:
    """One process of the service, as `eem-guardrail serve` starts it outside a cluster."""

    ADDRESSES: ClassVar[Mapping[str, str]] = {
        "one": "10.99.2.1",
        "two": "10.99.2.2",
        "three": "10.99.2.3",
        "four": "10.99.2.4",
    }

    def __init__(self, name: str, folder: Path, tls: Path, environment: Mapping[str, str]) -> None:
        self._address = self.ADDRESSES[name]
        self._log = folder / f"{name}.log"
        self._environment = environment
        options = {
            "--kubeconfig": folder / f"{name}.kubeconfig",
            "--tls-dir": tls,
            "--bind": self._address,
            "--register": "off",
            "--local-port": "0",  # the replicas of an arena share one loopback address
            "--log-format": "json",
            "--drain-seconds": "0",
        }
        self._arguments = [text for option, value in options.items() for text in (option, str(value))]
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where it takes reviews of NetworkPolicies."""
        return f"https://{self._address}:8443/validate-networkpolicy"

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        command = [sys.executable, "-m", "webhook", "serve", *self._arguments]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                "prlimit",
                f"--as={ADDRESS_SPACE_BYTES}",
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **self._environment},
            )
        async with asyncio.timeout(READY_SECONDS), aiohttp.ClientSession() as session:
            while not await self._is_ready(session):
                if self._process.returncode is not None:
                    raise RuntimeError(f"a replica ended: {self._log.read_text()[-2000:]}")
                await asyncio.sleep(PAUSE_SECONDS)

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"http://{self._address}:8080/readyz") as answer:
                return answer.status == HTTP_OK
        except aiohttp.ClientError:
            return False

    async def stop(self) -> None:
        """End it as a kubelet does."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)

    def decisions(self) -> Iterator[dict[str, Any]]:
        """Yield its decisions so far."""
        for line in complete_lines(self._log):
            fields: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
            if fields.get("event") == "decision":
                yield fields


class Objector:
    """Another webhook, which is asked beside the service and turns down what the service admits."""

    def __init__(self) -> None:
        app = web.Application()
        app.router.add_post("/object", self._answer)
        self._runner = web.AppRunner(app)
        self.url = f"https://{PROXY}:{OBJECTOR_PORT}/object"

    async def start(self, tls: Path) -> None:
        """Listen."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tls / "tls.crt", tls / "tls.key")
        await self._runner.setup()
        await web.TCPSite(self._runner, PROXY, OBJECTOR_PORT, ssl_context=context).start()

    async def stop(self) -> None:
        """Listen no more."""
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        review = await request.json()
        asked = review["request"]
        unwanted = asked["operation"] == "CREATE" and asked["name"].startswith(UNWANTED)
        kept = asked["operation"] == "DELETE" and asked["name"].startswith(KEPT)
        response = {"uid": asked["uid"], "allowed": not (unwanted or kept)}
        return web.json_response({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response})


def make_pair() -> tuple[KeyPair, str]:
    """Make a serving pair for every address here, and give the authority as a caBundle."""
    now = datetime.now(UTC)
    authority = make_authority(now=now)
    pair = issue_serving_pair(authority, names=[*Replica.ADDRESSES.values(), PROXY], now=now)
    return pair, base64.b64encode(authority.certificate_pem()).decode()


def write_pair(folder: Path, pair: KeyPair) -> Path:
    """Write a pair where `--tls-dir` finds it, below *folder*; give where."""
    there = folder / "tls"
    there.mkdir(parents=True)
    (there / "tls.crt").write_bytes(pair.certificate_pem())
    (there / "tls.key").write_bytes(pair.key_pem())
    return there


def registration(  # noqa: PLR0913, PLR0917 - one argument for each field
    configuration: str, namespaces: Sequence[str], url: str, ca: str, name: str = POLICIES, user: str | None = None
) -> Json:
    """Register one address for the policies of some namespaces; otherwise like the service's own entry."""
    webhook = {
        "name": name,
        "clientConfig": {"url": url, "caBundle": ca},
        "rules": [
            {
                "apiGroups": ["networking.k8s.io"],
                "apiVersions": ["v1"],
                "resources": ["networkpolicies"],
                "operations": ["CREATE", "UPDATE", "DELETE"],
                "scope": "Namespaced",
            }
        ],
        "namespaceSelector": {
            "matchExpressions": [
                {"key": "kubernetes.io/metadata.name", "operator": "In", "values": list(namespaces)},
            ]
        },
        "failurePolicy": "Fail",
        "timeoutSeconds": 5,
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    if user is not None:
        webhook["matchConditions"] = [{"name": "user", "expression": f'request.userInfo.username == "{user}"'}]
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": configuration},
        "webhooks": [webhook],
    }
