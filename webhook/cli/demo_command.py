"""
`eem-guardrail demo`: the whole way of a change, on one machine and without a cluster.

It serves the built-in example with a certificate of its own, sends reviews over TLS as an API server does, and shows
what kubectl would print: one refusal, and the repair that it names. Then it goes on serving.
"""

import argparse
import logging
import os
import ssl
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from webhook import main
from webhook.admission import Options
from webhook.cli.example_cluster import CLUSTER, GATEWAY_POLICY, NAMESPACE
from webhook.cli.output import ALLOWED, show
from webhook.cli.rehearsal import Rehearsal
from webhook.cli.serve_command import run_loop, start_logging
from webhook.cli.state import State
from webhook.cluster.store import Store
from webhook.eem import EemSnapshot, read
from webhook.server import VALIDATE_NETWORK_POLICY, WEBHOOKS, stop_signals
from webhook.server.logs import DECISIONS
from webhook.settings import LOGGING, Settings, add_flags, settings_from

EPILOG: Final = """\
examples:
  eem-guardrail demo
  eem-guardrail demo --once --https-port 0 --http-port 0 --local-port 0

exit status:
  0  demonstration finished (--once), or stopped by SIGTERM
  2  wrong usage, or a port that cannot be used
  130  stopped by Ctrl-C"""
WEBHOOK: Final = WEBHOOKS[VALIDATE_NETWORK_POLICY]
REQUEST_SECONDS: Final = 10  # a review takes milliseconds; this is for a busy machine
PRINT_ANSWER: Final = "import json,sys; print(json.load(sys.stdin)['response']['status']['message'])"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the ports."""
    serving = parser.add_argument_group("serving")
    serving.add_argument("--once", action="store_true", help="exit after the demonstration instead of serving")
    add_flags(serving, ("https_port", "http_port", "local_port"))
    add_flags(parser.add_argument_group("log"), LOGGING)


def run(arguments: argparse.Namespace) -> int:
    """Show a refusal and a repair, then serve until a signal."""
    settings = settings_from(arguments, os.environ)
    quiet = Settings(
        bind="127.0.0.1",
        https_port=settings.https_port,
        http_port=settings.http_port,
        local_port=settings.local_port,
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
                return ALLOWED
            review.write_bytes(_review(_remedy(), "DELETE"))
            DECISIONS.setLevel(logging.INFO)  # from here on, each review has its line in the log
            show(
                f"\nServing until Ctrl-C; probes and metrics are on http://127.0.0.1:{service.servers.http_port}. "
                "Try it: jane deletes her policy again.\n\n"
                f"curl -s --cacert {ca} -H 'Content-Type: application/json' --data @{review} {url} "
                f'| {sys.executable} -c "{PRINT_ANSWER}"\n',
                now=True,
            )
            return await service.run_until(told)
        finally:
            await service.servers.stop()


async def _show(store: Store, url: str, ca: Path) -> None:
    """Send the reviews of the story: a deletion is refused, its remedy is applied, the deletion is allowed."""
    trust = ssl.create_default_context(cafile=str(ca))
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust), timeout=timeout) as session:
        show(
            f"An EEM manager and a gateway run in namespace {NAMESPACE}. It has a default deny, and the operator made "
            "a policy\nfor each instance that opens its ports. User jane deletes the gateway's policy:\n"
        )
        await _ask(session, url, GATEWAY_POLICY, "DELETE")
        show("\nShe first applies the policy that the refusal names, then deletes the operator's:\n")
        remedy = _remedy()
        await _ask(session, url, remedy, "CREATE")
        store.reset(EemSnapshot.from_objects([*CLUSTER, remedy]))
        await _ask(session, url, GATEWAY_POLICY, "DELETE")
        kept = [api_object for api_object in CLUSTER if api_object is not GATEWAY_POLICY]
        store.reset(EemSnapshot.from_objects([*kept, remedy]))


async def _ask(session: aiohttp.ClientSession, url: str, policy: Mapping[str, Any], operation: str) -> None:
    """Send the review that the API server sends, and print what kubectl prints."""
    name = policy["metadata"]["name"]
    creates = operation == "CREATE"
    command = f"apply -f {name}.yaml" if creates else f"delete networkpolicy {name} -n {NAMESPACE}"
    show(f"$ kubectl {command}")
    headers = {"Content-Type": "application/json"}
    async with session.post(url, data=_review(policy, operation), headers=headers) as reply:
        answer = msgspec.json.decode(await reply.read())["response"]
    for warning in answer.get("warnings", ()):
        show(f"Warning: {warning}")
    if not answer["allowed"]:
        message = f'admission webhook "{WEBHOOK}" denied the request: {answer["status"]["message"]}'
        show(f"Error from server (Forbidden): {message}")
    elif creates:
        show(f"networkpolicy.networking.k8s.io/{name} created")
    else:
        show(f'networkpolicy.networking.k8s.io "{name}" deleted from {NAMESPACE} namespace')


def _remedy() -> Mapping[str, Any]:
    """Return the policy that the verdict on the deletion names."""
    state = State(objects=tuple((api_object, read(api_object)[0]) for api_object in CLUSTER))
    verdict = Rehearsal(state, Options()).judge(None, GATEWAY_POLICY)
    return next(lost.remedy for lost in verdict.lost if lost.remedy)


def _review(policy: Mapping[str, Any], operation: str) -> bytes:
    """Return the review that an API server sends when user jane creates or deletes *policy*."""
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
