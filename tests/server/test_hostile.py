"""A served replica answers its probes, and keeps its memory bounded, while hostile bodies are posted."""

import http.client
import json
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import pytest
from builders import GATEWAY_KIND, body, instance, namespace, policy, review

from benchmarks.service import Pair, Service, make_pair, served
from webhook.server import VALIDATE_EEM, VALIDATE_NETWORK_POLICY

LIVE_SECONDS = 0.25  # within which /livez answers, whatever is posted
MOST_MIB = 200  # of memory for all requests in progress
ATTEMPTS = 4  # at the latency: a busy machine can delay an answer once, a hostile body delays it each time
AT_ONCE = 8


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("hostile") / "tls")


@pytest.fixture
def replica(pair: Pair, tmp_path: Path) -> Iterator[Service]:
    """Serve a cluster with one manager and one gateway, in a process of its own."""
    state = tmp_path / "state.json"
    items = [namespace("eem"), instance("mgr"), instance("gw", kind=GATEWAY_KIND)]
    state.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    with served(["--state", str(state)], pair, tmp_path / "log") as service:
        yield service


def with_list(content: bytes, unit: str, size: int) -> bytes:
    """Replace the word LIST by a list of *unit*, so that the body has about *size* bytes."""
    items = ",".join([unit] * (size // (len(unit) + 1)))
    return content.replace(b'"LIST"', f"[{items}]".encode())


def of_instance(unit: str, size: int, *path: str) -> bytes:
    """Return a review of a manager with a long list at *path* of its spec."""
    spec: Any = "LIST"
    for key in reversed(path):
        spec = {key: spec}
    return with_list(body(review(instance("mgr2", spec=spec))), unit, size)


def of_policy(unit: str, size: int) -> bytes:
    return with_list(body(review(policy("wide", ingress="LIST"))), unit, size)


HOSTILE = {
    "row 1, 0.3 MiB": (VALIDATE_EEM, of_instance("1", 300_000, "manager", "tls", "trustedCertificates")),
    "row 1, 1 MiB": (VALIDATE_EEM, of_instance("1", 2**20, "manager", "tls", "trustedCertificates")),
    "row 1, 7.6 MiB": (VALIDATE_EEM, of_instance("1", 7_900_000, "manager", "tls", "trustedCertificates")),
    "row 2, numbers": (VALIDATE_NETWORK_POLICY, of_policy("1", 6_000_000)),
    "row 2, empty rules": (VALIDATE_NETWORK_POLICY, of_policy("{}", 7_700_000)),
    "row 2, a quarter of it": (VALIDATE_NETWORK_POLICY, of_policy("{}", 440_000)),
    "row 7, scopes": (
        VALIDATE_EEM,
        of_instance('"scope"', 170_000 * 8, "manager", "authConfig", "oidcConfig", "additionalScopes"),
    ),
    "row 7, metrics": (VALIDATE_EEM, of_instance('{"name":"x"}', 70_000 * 13, "manager", "metricsEnablement")),
    "row 7, endpoints": (VALIDATE_EEM, of_instance('{"name":"ui","host":"a.b"}', 25_000 * 27, "manager", "endpoints")),
    "a small body of many values": (VALIDATE_EEM, of_instance("1", 30_000, "manager", "tls", "trustedCertificates")),
    "deep": (VALIDATE_NETWORK_POLICY, body(review(policy("deep", ingress="LIST"))).replace(b'"LIST"', b"[" * 10**6)),
}


def post(service: Service, path: str, content: bytes) -> dict[str, Any] | int:
    """Post a body; return the response of its verdict, or the HTTP status if there is no verdict."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", service.https_port, context=context, timeout=60)
    try:
        connection.request("POST", f"{path}?timeout=10s", content, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        found = answer.read()
    finally:
        connection.close()
    return json.loads(found)["response"] if answer.status == 200 else answer.status


class Probe(threading.Thread):
    """Asks /livez again and again, and keeps the longest time that an answer took."""

    def __init__(self, service: Service) -> None:
        super().__init__(daemon=True)
        self._url = f"http://127.0.0.1:{service.http_port}/livez"
        self._over = threading.Event()
        self.longest = 0.0
        self.answers = 0

    def run(self) -> None:
        while not self._over.wait(0.01):
            began = time.perf_counter()
            with urllib.request.urlopen(self._url, timeout=60) as answer:  # noqa: S310  the replica
                assert answer.read() == b"ok\n"
            self.longest = max(self.longest, time.perf_counter() - began)
            self.answers += 1

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


@pytest.mark.parametrize("name", HOSTILE)
def test_livez_answers_while_a_hostile_body_is_posted(name: str, replica: Service) -> None:
    """Nothing large is decoded or read on the event loop, and nothing hostile is allowed."""
    path, content = HOSTILE[name]
    longest = []
    for _ in range(ATTEMPTS):
        with Probe(replica) as probe:
            answer = post(replica, path, content)
            time.sleep(0.05)
        longest.append(probe.longest)
        if probe.longest <= LIVE_SECONDS:
            break

    assert answer in {400, 503} if isinstance(answer, int) else not answer["allowed"]
    assert min(longest) <= LIVE_SECONDS


def test_memory_is_bounded_while_all_hostile_bodies_are_posted_at_once(replica: Service) -> None:
    """Eight clients post every hostile body; together the requests take at most 200 MiB."""
    post(replica, *HOSTILE["a small body of many values"])
    before = replica.resident_mib()
    with ThreadPoolExecutor(AT_ONCE) as clients:
        answers = list(clients.map(lambda one: post(replica, *one), [*HOSTILE.values()] * 4))

    assert replica.resident_mib("VmHWM") - before <= MOST_MIB
    assert all(isinstance(answer, int) or "uid" in answer for answer in answers)
    assert post(replica, VALIDATE_NETWORK_POLICY, body(review(policy("small", "other"))))["allowed"]  # type: ignore[index]
