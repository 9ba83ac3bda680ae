"""
Stand in for an API server that the service lists from and watches: `python -m benchmarks.apiserver`, its own process.

It knows two states of one cluster; in the second every pod has changed. `POST /expire` goes from the first to the
second and tells who watches pods that their resourceVersion is too old, so that they list all pods again.
"""

import argparse
import asyncio
from pathlib import Path

import msgspec
from aiohttp import web

from benchmarks.cluster import Size, as_listed, objects
from benchmarks.service import Pair
from webhook.eem import WATCHED, ResourceType

EXPIRED = {
    "type": "ERROR",
    "object": {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired"},
}
"""What the API server says to a watch whose resourceVersion it has forgotten."""

PAGE_SIZE = 500
FIRST, SECOND = "100000", "200000"
"""The resourceVersions of the two states."""


class ApiServer:
    """The two states, encoded once: what it costs to answer must not count."""

    def __init__(self, size: Size) -> None:
        found: dict[str, list[dict[str, object]]] = {resource.kind: [] for resource in WATCHED}
        for api_object in objects(size):
            found[api_object["kind"]].append(as_listed(api_object) if api_object["kind"] == "Pod" else api_object)
        self._pages = {
            (resource.kind, version): _pages(resource, found[resource.kind], version)
            for resource in WATCHED
            for version in ((FIRST, SECOND) if resource.kind == "Pod" else (FIRST,))
        }
        self._pods = FIRST
        self._expired = asyncio.Event()

    def app(self) -> web.Application:
        """Give the application."""
        app = web.Application()
        for resource in WATCHED:
            app.router.add_get(resource.path(), self._handler(resource))
        app.router.add_post("/expire", self._expire)
        return app

    def _handler(self, resource: ResourceType):  # noqa: ANN202  aiohttp's own type of handler
        async def handle(request: web.Request) -> web.StreamResponse:
            if "watch" in request.query:
                return await self._watch(request, resource)
            version = self._pods if resource.kind == "Pod" else FIRST
            page = int(request.query.get("continue", "0"))
            return web.Response(body=self._pages[resource.kind, version][page], content_type="application/json")

        return handle

    async def _watch(self, request: web.Request, resource: ResourceType) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        if resource.kind != "Pod" or self._pods == SECOND:
            await asyncio.Event().wait()  # nothing ever happens; who watches goes away
        await self._expired.wait()
        await response.write(msgspec.json.encode(EXPIRED) + b"\n")
        return response

    async def _expire(self, _: web.Request) -> web.Response:
        self._pods = SECOND
        self._expired.set()
        return web.Response()


def _pages(resource: ResourceType, found: list[dict[str, object]], version: str) -> list[bytes]:
    pages = [found[first : first + PAGE_SIZE] for first in range(0, len(found), PAGE_SIZE)] or [[]]
    written = []
    for number, page in enumerate(pages):
        metadata = {"resourceVersion": version}
        if number + 1 < len(pages):
            metadata["continue"] = str(number + 1)
        items = [_item(api_object, version) for api_object in page]
        content = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": metadata}
        written.append(msgspec.json.encode({**content, "items": items}))
    return written


def _item(api_object: dict[str, object], version: str) -> dict[str, object]:
    """Give an object as it stands in a list: without its kind, at the list's version."""
    metadata = api_object["metadata"]
    bare = {key: value for key, value in api_object.items() if key not in {"kind", "apiVersion"}}
    return {**bare, "metadata": {**metadata, "resourceVersion": version}}  # type: ignore[dict-item]


async def _main(arguments: argparse.Namespace) -> None:
    server = ApiServer(Size(policies=arguments.policies, pods=arguments.pods))
    runner = web.AppRunner(server.app(), shutdown_timeout=0, access_log=None)
    await runner.setup()
    pair = Pair(folder=arguments.tls_dir)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=pair.server_context()).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policies", type=int, required=True)
    parser.add_argument("--pods", type=int, required=True)
    parser.add_argument("--tls-dir", type=Path, required=True)
    asyncio.run(_main(parser.parse_args()))
