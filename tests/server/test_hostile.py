"""A served replica keeps its event loop free and its memory bounded while hostile bodies are posted."""

import http.client
import json
import ssl
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any, Self

import pytest
from builders import GATEWAY_KIND, body, instance, namespace, policy, review
from server_builders import post as request_to
from server_builders import running

from benchmarks.service import Pair, Service, make_pair, served
from webhook.admission import Options, validate
from webhook.eem import EemSnapshot
from webhook.guard.judging import InstanceJudge, PolicyJudge
from webhook.server import VALIDATE_EEM, VALIDATE_NETWORK_POLICY

MOST_CALLS = 10_000  # of functions, the client's own among them: a few for each 16 KiB that TLS moves
MOST_MIB = 200  # of memory for all requests in progress
ITEMS = [namespace("eem"), instance("mgr"), instance("gw", kind=GATEWAY_KIND)]
AT_ONCE = 8


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("hostile") / "tls")


@pytest.fixture
def replica(pair: Pair, tmp_path: Path) -> Iterator[Service]:
    """Serve a cluster with one manager and one gateway, in a process of its own."""
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": ITEMS}))
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


class StaticCluster:
    """A cache of the same cluster that is complete and never changes."""

    has_synced = True
    follows_policies = True

    def __init__(self) -> None:
        self.snapshot = EemSnapshot.from_objects(ITEMS)

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Accept a listener that is never called."""

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Return at once."""


class Counting:
    """Counts the calls of functions in the thread of the event loop, Python's own among them."""

    def __init__(self) -> None:
        self.calls = 0

    def _note(self, _: FrameType, event: str, __: object) -> None:
        self.calls += event in {"call", "c_call"}

    def __enter__(self) -> Self:
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)


@pytest.mark.parametrize("name", HOSTILE)
async def test_the_event_loop_does_little_while_a_hostile_body_is_posted(name: str) -> None:
    """Nothing large is decoded or read on it, and nothing hostile is allowed."""
    path, content = HOSTILE[name]
    cluster = StaticCluster()
    judges = {
        VALIDATE_NETWORK_POLICY: PolicyJudge(cluster, Options()),
        VALIDATE_EEM: InstanceJudge(cluster, Options, validate),
    }
    async with running(judges=judges) as server:
        connected = await server.connect()
        with Counting() as counted:
            answer = await connected.ask(request_to(content, path=path))

    assert answer.status in {400, 503} or not answer.json()["response"]["allowed"]
    assert counted.calls <= MOST_CALLS


def test_memory_is_bounded_while_all_hostile_bodies_are_posted_at_once(replica: Service) -> None:
    """Eight clients post every hostile body; together the requests take at most 200 MiB."""
    post(replica, *HOSTILE["a small body of many values"])
    before = replica.resident_mib()
    with ThreadPoolExecutor(AT_ONCE) as clients:
        answers = list(clients.map(lambda one: post(replica, *one), [*HOSTILE.values()] * 4))

    assert replica.resident_mib("VmHWM") - before <= MOST_MIB
    assert all(isinstance(answer, int) or "uid" in answer for answer in answers)
    assert post(replica, VALIDATE_NETWORK_POLICY, body(review(policy("small", "other"))))["allowed"]  # type: ignore[index]
