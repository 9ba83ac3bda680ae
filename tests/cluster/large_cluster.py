"""
A program that serves the lists of a large cluster, made as they are read, and no watch event.

Its argument is a JSON object from plurals to pairs: the number of objects, and the size of each in bytes. It prints
its port.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from webhook.eem import WATCHED, ResourceType

PER_DEPLOYMENT = 11
"""ReplicaSets of each Deployment; one of them has replicas."""


def as_json(resource: ResourceType, size: int) -> Callable[[int], bytes]:
    """Return what makes the JSON of an object of *size* bytes from its number."""
    filler = "x" * max(size - 700, 0)
    containers = [{"name": "main", "ports": [{"name": "http", "containerPort": 8080}], "env": [env(filler)]}]
    labels = {"app": "app-@@", "pod-template-hash": "@@"}
    spec: dict[str, Any] = {"containers": containers, "nodeName": "node-1"}
    template: dict[str, Any] = {"metadata": {"labels": labels}, "spec": spec}
    bodies: dict[str, dict[str, Any]] = {
        "Pod": {"spec": spec, "status": {"podIP": "10.1.2.3", "hostIP": "192.168.0.1", "phase": "Running"}},
        "CronJob": {"spec": {"jobTemplate": {"spec": {"template": template}}}},
    }
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app-@@", "uid": "uid-@@", "controller": True}
    metadata = {"name": f"{resource.plural}-@@", "namespace": "ns", "uid": "uid-@@", "resourceVersion": "1@@"}
    body = bodies.get(resource.kind, {"spec": {"replicas": -1, "template": template}})
    text = json.dumps({"metadata": {**metadata, "labels": labels, "ownerReferences": [owner]}, **body}).encode()

    def made(number: int) -> bytes:
        replicas = b'"replicas": 0' if number % PER_DEPLOYMENT else b'"replicas": 1'
        return text.replace(b'"replicas": -1', replicas).replace(b"@@", b"%d" % number)

    return made


def env(filler: str) -> dict[str, str]:
    """Return one environment variable."""
    return {"name": "FILLER", "value": filler}


def lists(resource: ResourceType, count: int, size: int) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return the handler of one kind."""
    made = as_json(resource, size)

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        if "watch" in request.query:
            await asyncio.Event().wait()
        start = int(request.query.get("continue", "0"))
        end = min(start + int(request.query["limit"]), count)
        rest = {"continue": str(end)} if end < count else {}
        await response.write(b'{"metadata": %s, "items": [' % json.dumps({"resourceVersion": "9", **rest}).encode())
        for number in range(start, end):
            await response.write((b", " if number > start else b"") + made(number))
        await response.write(b"]}")
        await response.write_eof()
        return response

    return handle


async def main(sizes: dict[str, tuple[int, int]]) -> None:
    """Serve until the process is ended."""
    app = web.Application()
    for resource in WATCHED:
        app.router.add_get(resource.path(), lists(resource, *sizes.get(resource.plural, (0, 0))))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
