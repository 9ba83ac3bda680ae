"""
`eem-guardrail demo`: the whole way on one machine, without a cluster.

It serves the built-in example with a certificate of its own, sends real reviews over TLS as an API server would, and
shows what kubectl would print: one refusal, and the repair that it names. Then it goes on serving.
"""

import argparse
import os
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from webhook import main
from webhook.admission import Options
from webhook.cli.check import Rehearsal
from webhook.cli.example import CLUSTER, DEFAULT_DENY, NAMESPACE
from webhook.cli.running import run_loop, start_logging
from webhook.cluster.store import Store
from webhook.eem import EemSnapshot, read
from webhook.server import VALIDATE_NETWORK_POLICY, WEBHOOKS, stop_signals
from webhook.settings import LOGGING, Settings, add_flags, settings_from

WEBHOOK = WEBHOOKS[VALIDATE_NETWORK_POLICY]
REQUEST_SECONDS = 10  # a review takes milliseconds; this is for a machine that does other things


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take where to serve."""
    parser.add_argument("--once", action="store_true", help="end after the show instead of serving on")
    add_flags(parser, ("https_port", "http_port", *LOGGING))


def run(arguments: argparse.Namespace) -> int:
    """Show a refusal and a repair, then serve until a signal."""
    settings = settings_from(arguments, os.environ)
    quiet = Settings(
        bind="127.0.0.1",
        https_port=settings.https_port,
        http_port=settings.http_port,
        drain_seconds=0.0,
        log_format=settings.log_format,
        log_level="warning" if arguments.log_level is None else settings.log_level,
    )
    start_logging(quiet)
    return run_loop("demo", _demo(quiet, once=arguments.once))


async def _demo(settings: Settings, *, once: bool) -> int:
    service = main.from_objects(settings, CLUSTER)
    with stop_signals() as told, tempfile.TemporaryDirectory(prefix="eem-guardrail-demo-") as folder:
        await service.servers.start()
        try:
            ca, review = Path(folder) / "ca.crt", Path(folder) / "review.json"
            ca.write_bytes(service.certificate.ca_bundle)
            url = f"https://127.0.0.1:{service.servers.https_port}{VALIDATE_NETWORK_POLICY}"
            await _show(service.store, url, ca)
            if once:
                return 0
            review.write_bytes(_review(_remedies()[0], "DELETE"))
            print(
                f"\nServing until Ctrl-C; probes and metrics are on http://127.0.0.1:{service.servers.http_port}. "
                "Ask it yourself, as if somebody deleted a repair again:\n\n"
                f"curl --cacert {ca} -H 'Content-Type: application/json' --data @{review} {url}\n",
                flush=True,
            )
            return await service.run_until(told)
        finally:
            await service.servers.stop()


async def _show(store: Store, url: str, ca: Path) -> None:
    """Walk through the story: refused, then the remedies applied, then allowed."""
    trust = ssl.create_default_context(cafile=str(ca))
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust), timeout=timeout) as session:
        print(f"An EEM manager and a gateway run in namespace {NAMESPACE}, and nothing isolates them.")
        print("Somebody locks the namespace down:\n")
        await _apply(session, url, DEFAULT_DENY)
        print("\nThe repair that the refusal names comes first, then the same again:\n")
        remedies = _remedies()
        for remedy in remedies:
            await _apply(session, url, remedy)
        store.reset(EemSnapshot.from_objects([*CLUSTER, *remedies]))
        await _apply(session, url, DEFAULT_DENY)
        store.reset(EemSnapshot.from_objects([*CLUSTER, *remedies, DEFAULT_DENY]))


async def _apply(session: aiohttp.ClientSession, url: str, policy: Mapping[str, Any]) -> None:
    """Ask as the API server does, and print what kubectl prints."""
    name = policy["metadata"]["name"]
    print(f"$ kubectl apply -f {name}.yaml")
    headers = {"Content-Type": "application/json"}
    async with session.post(url, data=_review(policy, "CREATE"), headers=headers) as reply:
        answer = msgspec.json.decode(await reply.read())["response"]
    for warning in answer.get("warnings", ()):
        print(f"Warning: {warning}")
    if answer["allowed"]:
        print(f"networkpolicy.networking.k8s.io/{name} created")
    else:
        message = f'admission webhook "{WEBHOOK}" denied the request: {answer["status"]["message"]}'
        print(f'Error from server (Forbidden): error when creating "{name}.yaml": {message}')


def _remedies() -> list[Mapping[str, Any]]:
    """Give the policies that the verdict about the lock-down names."""
    objects = [(api_object, read(api_object)[0]) for api_object in CLUSTER]
    verdict = Rehearsal(objects, Options()).judge(DEFAULT_DENY)
    return list({lost.remedy["metadata"]["name"]: lost.remedy for lost in verdict.lost if lost.remedy}.values())


def _review(policy: Mapping[str, Any], operation: str) -> bytes:
    """Give the review that an API server sends when somebody creates or deletes *policy*."""
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "networking.k8s.io", "version": "v1", "kind": "NetworkPolicy"},
        "resource": {"group": "networking.k8s.io", "version": "v1", "resource": "networkpolicies"},
        "name": policy["metadata"]["name"],
        "namespace": NAMESPACE,
        "operation": operation,
        "userInfo": {"username": "jane", "groups": ["system:authenticated"]},
        "object": policy if operation == "CREATE" else None,
        "oldObject": policy if operation == "DELETE" else None,
        "dryRun": False,
    }
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return msgspec.json.format(msgspec.json.encode(review))
