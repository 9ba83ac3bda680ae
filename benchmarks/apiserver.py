"""
Run a stand-in for the API server, which the service lists and watches: `python -m benchmarks.apiserver`.

`POST /expire` changes every pod and ends each watch of pods with "resourceVersion too old", so that clients list all
pods again.
"""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from benchmarks.cluster import Size, as_listed, objects
from benchmarks.service import Pair
from webhook.eem import WATCHED, ResourceType
from webhook.eem.resources import NETWORK_POLICIES

EXPIRED = {
    "type": "ERROR",
    "object": {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired"},
}
"""The event that ends a watch whose resourceVersion the API server no longer has."""

PAGE_SIZE = 500
FIRST = 100_000
"""The resourceVersion of every object at the start."""


class ApiServer:
    """The server. It encodes every page of every list at the start, so that answers cost nothing later."""

    def __init__(self, size: Size) -> None:
        found: dict[str, list[dict[str, object]]] = {resource.kind: [] for resource in WATCHED}
        for api_object in objects(size):
            found[api_object["kind"]].append(as_listed(api_object) if api_object["kind"] == "Pod" else api_object)
        self._pages = {resource.kind: _pages(resource, found[resource.kind]) for resource in WATCHED}
        self._version = FIRST
        self._expired = asyncio.Event()

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application()
        for resource in WATCHED:
            app.router.add_get(resource.path(), self._handler(resource))
        app.router.add_get(NETWORK_POLICIES.path("{namespace}"), self._policies_of)
        app.router.add_post("/expire", self._expire)
        return app

    def _handler(self, resource: ResourceType) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            if "watch" in request.query:
                return await self._watch(request, resource)
            page = int(request.query.get("continue", "0"))
            return web.Response(body=self._pages[resource.kind][page], content_type="application/json")

        return handle

    async def _policies_of(self, request: web.Request) -> web.Response:
        """List the policies of one namespace, as the guard does before it refuses."""
        pages = [msgspec.json.decode(page) for page in self._pages[NETWORK_POLICIES.kind]]
        namespace = request.match_info["namespace"]
        items = [one for page in pages for one in page["items"] if one["metadata"]["namespace"] == namespace]
        return web.Response(body=msgspec.json.encode({**pages[-1], "items": items}), content_type="application/json")

    async def _watch(self, request: web.Request, resource: ResourceType) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        expired = self._expired if resource.kind == "Pod" else asyncio.Event()  # the other kinds never change
        await expired.wait()
        await response.write(msgspec.json.encode(EXPIRED) + b"\n")
        return response

    async def _expire(self, _: web.Request) -> web.Response:
        before, self._version = self._version, self._version + 1
        old, new = _written(before), _written(self._version)
        self._pages["Pod"] = [page.replace(old, new) for page in self._pages["Pod"]]
        self._expired.set()
        self._expired = asyncio.Event()
        return web.Response()


def _written(version: int) -> bytes:
    return b'"resourceVersion":"%d"' % version


def _pages(resource: ResourceType, found: list[dict[str, object]]) -> list[bytes]:
    pages = [found[first : first + PAGE_SIZE] for first in range(0, len(found), PAGE_SIZE)] or [[]]
    written = []
    for number, page in enumerate(pages):
        metadata = {"resourceVersion": str(FIRST)}
        if number + 1 < len(pages):
            metadata["continue"] = str(number + 1)
        items = [_item(api_object) for api_object in page]
        content = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": metadata}
        written.append(msgspec.json.encode({**content, "items": items}))
    return written


def _item(api_object: dict[str, Any]) -> dict[str, object]:
    """Return an object as it is in a list: without its kind, with the version of the list."""
    metadata = api_object["metadata"]
    bare = {key: value for key, value in api_object.items() if key not in {"kind", "apiVersion"}}
    return {**bare, "metadata": {**metadata, "resourceVersion": str(FIRST)}}


async def _main(arguments: argparse.Namespace) -> None:
    server = ApiServer(Size(policies=arguments.policies, pods=arguments.pods))
    runner = web.AppRunner(server.app(), shutdown_timeout=0, access_log=None)
    await runner.setup()
    pair = Pair(folder=arguments.tls_dir)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=pair.server_context()).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policies", type=int, required=True)
    parser.add_argument("--pods", type=int, required=True)
    parser.add_argument("--tls-dir", type=Path, required=True)
    asyncio.run(_main(parser.parse_args()))
