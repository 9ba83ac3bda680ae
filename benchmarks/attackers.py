"""
Attack a service as one pod can that reaches its port: `python -m benchmarks.attackers`, in its own process.

It reads an Attack as JSON from standard input and writes the number of answers by status as JSON to standard output.
Bodies of up to 8 MiB are sent at a steady rate: wide, deep and slow ones, and forged reviews. Beside them it holds
connections that say nothing, or half of a request, and opens each of them again when the service closes it.
"""

import asyncio
import json
import logging
import resource
import ssl
import sys
import time
from collections import Counter
from dataclasses import dataclass
from itertools import count, cycle
from typing import Any

import msgspec
import uvloop

from benchmarks.cluster import EDITED, NAMESPACE, SMALL, ApiObject, policies, policy, review_of

MOST_BYTES = 8 * 2**20 - 4096  # with the rest of the review: the limit is 8 MiB
POLICIES, INSTANCES = "/validate-networkpolicy", "/validate-eem"
SLOW_CHUNK_BYTES, SLOW_PAUSE_SECONDS = 2**16, 0.2
OPENED_PER_SECOND = 100  # of the connections that are held
LONGEST_SECONDS = 60.0  # for one body, and its answer
LIST = "LIST"
POD, API_SERVER = "127.0.0.2", "127.0.0.1"
"""The addresses of the attacker and of the honest reviews."""

GROUP = {"group": "events.ibm.com", "version": "v1beta1"}
COLLECTOR = b"system:serviceaccount:kube-system:generic-garbage-collector"
UNIQUE = b"forged-00000000"
FILES = 8192


@dataclass(frozen=True, kw_only=True)
class Attack:
    """
    What to send.

    Args:
        seconds: the duration.
        port: of the service.
        address: from which everything is sent.
        rate: bodies a second.
        connections: the connections that are held.
    """

    seconds: float
    port: int = 0
    address: str = POD
    rate: float = 20.0
    connections: int = 2_000


def bodies() -> list[tuple[str, bytes]]:
    """Return the path and the body of every kind of attack; UNIQUE in it becomes another name each time."""
    allow = next(one for one in policies(SMALL.policies) if one["metadata"]["name"] == EDITED[0])
    late = {**allow, "metadata": {**allow["metadata"], "resourceVersion": "9" * 18}}
    blocks = [{"ipBlock": {"cidr": f"10.{at // 250 % 250}.{at % 250}.{at // 62_500}/32"}} for at in range(30_000)]
    labels = {f"key-{at}": "value" for at in range(50_000)}
    wide = policy(UNIQUE.decode(), {"podSelector": {}, "ingress": [{"from": blocks}]})
    by_collector = review_of(allow, None).replace(b"jane@example.com", COLLECTOR)
    return [
        (POLICIES, of_policy({"ingress": LIST}, "1", MOST_BYTES)),
        (POLICIES, of_policy({"ingress": LIST}, "{}", 800_000)),
        (POLICIES, review_of(None, wide)),
        (POLICIES, review_of(allow, wide)),
        (POLICIES, review_of(None, policy(UNIQUE.decode(), {"podSelector": {"matchLabels": labels}}))),
        (POLICIES, review_of(None, wide)[:500_000]),
        (POLICIES, of_policy({"podSelector": LIST}, "[" * 2**20, 2**21)),
        (POLICIES, review_of(None, policy(UNIQUE.decode(), {"podSelector": {}}))),
        (POLICIES, review_of(None, policy(UNIQUE.decode(), {"podSelector": {"matchLabels": {"app": "x"}}}))),
        (POLICIES, review_of(allow, None)),
        (POLICIES, by_collector),
        (POLICIES, review_of(allow, late)),
        (INSTANCES, of_instance("1", MOST_BYTES)),
        (INSTANCES, of_instance("1", 30_000)),
        (INSTANCES, of_instance('"x"', 76_000)),
        (INSTANCES, b"[" * MOST_BYTES),
    ]


def of_policy(spec: ApiObject, unit: str, size: int) -> bytes:
    """Return the review of a CREATE in which a list of *unit*, of about *size* bytes, takes the place of LIST."""
    return _filled(review_of(None, policy(UNIQUE.decode(), spec)), unit, size)


def of_instance(unit: str, size: int) -> bytes:
    """Return the review of a manager with a list of *unit* in the place of its trusted certificates."""
    metadata = {"name": UNIQUE.decode(), "namespace": NAMESPACE}
    spec = {"manager": {"tls": {"trustedCertificates": LIST}}}
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": GROUP | {"kind": "EventEndpointManagement"},
        "resource": GROUP | {"resource": "eventendpointmanagements"},
        "operation": "CREATE",
        "namespace": NAMESPACE,
        "object": {
            "apiVersion": "events.ibm.com/v1beta1",
            "kind": "EventEndpointManagement",
            "metadata": metadata,
            "spec": spec,
        },
    }
    content = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
    return _filled(content.encode(), unit, size)


def _filled(content: bytes, unit: str, size: int) -> bytes:
    """Put a list of *unit* in the place of the first LIST, so that the body has about *size* bytes."""
    listed = f"[{','.join([unit] * max((size - len(content)) // (len(unit) + 1), 1))}]".encode()
    return content.replace(f'"{LIST}"'.encode(), listed, 1)


class _Pod:
    """All that one pod sends."""

    def __init__(self, attack: Attack) -> None:
        self._attack = attack
        self._context = ssl.create_default_context()
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE
        self._numbers = count()
        self._ends = time.monotonic() + attack.seconds
        self.answers: Counter[str] = Counter()

    async def run(self) -> None:
        """Attack until the time is over."""
        holding = [asyncio.create_task(self._hold(number)) for number in range(self._attack.connections)]
        sending: set[asyncio.Task[None]] = set()
        kinds = cycle(bodies())
        due = time.monotonic()
        while due < self._ends:
            await asyncio.sleep(max(due - time.monotonic(), 0.0))
            path, content = next(kinds)
            number = next(self._numbers)
            sent = content.replace(UNIQUE, b"forged-%08d" % number)
            task = asyncio.create_task(self._send(path, sent, slowly=number % 5 == 0))
            sending.add(task)
            task.add_done_callback(sending.discard)
            due += 1 / self._attack.rate
        for task in (*holding, *sending):
            task.cancel()
        await asyncio.gather(*holding, *sending, return_exceptions=True)

    async def _send(self, path: str, content: bytes, *, slowly: bool) -> None:
        """Send one body, all at once or little by little, and count the status of the answer."""
        status = "none"
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                reader, writer = await self._connect()
                try:
                    writer.write(_head(path, len(content)))
                    for first in range(0, len(content), SLOW_CHUNK_BYTES):
                        writer.write(content[first : first + SLOW_CHUNK_BYTES])
                        await writer.drain()
                        if slowly:
                            await asyncio.sleep(SLOW_PAUSE_SECONDS)
                    status = (await reader.readline())[9:12].decode() or "closed"
                finally:
                    writer.transport.abort()
        except (OSError, TimeoutError, EOFError):
            status = "closed"
        self.answers[status] += 1

    async def _hold(self, number: int) -> None:
        """Hold a connection that says nothing, one without a handshake, or one that begins a request."""
        await asyncio.sleep(number / OPENED_PER_SECOND)
        while True:
            try:
                reader, writer = await self._connect(encrypted=number % 3 != 0)
                try:
                    if number % 3 == 1:
                        writer.write(_head(POLICIES, MOST_BYTES)[:-20])
                    await reader.read()
                finally:
                    writer.transport.abort()
            except OSError:
                pass
            self.answers["held connections that were closed"] += 1
            await asyncio.sleep(self._attack.connections / OPENED_PER_SECOND)

    async def _connect(self, *, encrypted: bool = True) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = self._context if encrypted else None
        return await asyncio.open_connection(
            "127.0.0.1", self._attack.port, ssl=context, local_addr=(self._attack.address, 0)
        )


def _head(path: str, length: int) -> bytes:
    return (
        f"POST {path}?timeout=30s HTTP/1.1\r\nHost: guard\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


async def _main() -> Counter[str]:
    attack: Any = msgspec.json.decode(sys.stdin.buffer.read(), type=Attack)
    pod = _Pod(attack)
    await pod.run()
    return pod.answers


if __name__ == "__main__":
    logging.disable()  # uvloop logs every connection that the service closes
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    sys.stdout.write(json.dumps(uvloop.run(_main())))
