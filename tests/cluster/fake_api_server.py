"""A fake API server on a real socket: lists, watches, and every failure."""

import asyncio
import copy
import json
import ssl
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from webhook.cluster.definitions import DEFINITIONS, definition_name
from webhook.eem import WATCHED, ResourceType
from webhook.eem.resources import EEM_GROUP, GATEWAYS, MANAGERS

EEM_KINDS = (MANAGERS, GATEWAYS)
OTHER_VERSIONS = ("v1", "v1beta2")
EVERY_EEM_KIND = {replace(one, version=version) for one in EEM_KINDS for version in (*OTHER_VERSIONS, one.version)}
WAKE = web.RequestKey("wake", asyncio.Event)
PLURAL = web.RequestKey("plural", str)
Mode = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


def status_body(code: int, reason: str, message: str) -> dict[str, Any]:
    """Return a metav1.Status of a failure."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }


def answer(code: int, reason: str = "", message: str = "", **headers: str) -> Mode:
    """Return the fault that answers with a Status."""

    async def respond(_: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response(status_body(code, reason, message), status=code, headers=named)

    return respond


async def hang_up(request: web.Request) -> web.StreamResponse | None:
    """Be the fault that closes the connection without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@dataclass
class Stream:
    """One open watch; a test may write anything to it."""

    response: web.StreamResponse
    request: web.Request
    position: int
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    paused: bool = False

    async def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        await self.response.write(data)

    async def event(self, event_type: str, mapping: Mapping[str, Any]) -> None:
        """Send one event."""
        await self.write(json.dumps({"type": event_type, "object": mapping}).encode() + b"\n")

    def cut(self) -> None:
        """Break the connection."""
        if self.request.transport is not None:
            self.request.transport.abort()
        self.ended.set()


@dataclass(frozen=True)
class Backup:
    """The objects of a fake API server at one revision."""

    revision: int
    objects: dict[str, dict[tuple[str, str], dict[str, Any]]]


class FakeApiServer:
    """
    The objects, their history, and the faults that the next requests get.

    It numbers each change, as etcd does, and drops its history on request.
    """

    def __init__(self, *further: ResourceType) -> None:
        self.further = further
        self.revision = 100
        self.compacted = 0
        self.objects: dict[str, dict[tuple[str, str], dict[str, Any]]] = defaultdict(dict)
        self.history: list[tuple[int, str, str, dict[str, Any]]] = []
        self.missing: set[str] = set()
        self.groups: list[dict[str, Any]] = []
        self.versions: dict[str, tuple[str, ...]] = {one.plural: (one.version,) for one in EEM_KINDS}
        self.tokens: set[str] | None = None
        self.faults: dict[tuple[str, str], list[Mode]] = defaultdict(list)
        self.always: dict[tuple[str, str], Mode] = {}
        self.requests: list[tuple[str, str, dict[str, str], str]] = []
        self.streams: list[Stream] = []
        self.snapshots: dict[str, tuple[int, list[dict[str, Any]]]] = {}
        self.list_revision: Callable[[int], int] = lambda revision: revision
        self.bare_items = True
        self.bodies: list[tuple[str, str, dict[str, Any]]] = []
        self.patched: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]] = merged
        self.on_request: Callable[[str, str], object] = lambda *_: None
        self.changed = asyncio.Condition()
        self.url = ""
        self._uids = 0
        self._runner: web.AppRunner | None = None
        self._port = 0

    async def start(self, ssl_context: ssl.SSLContext | None = None) -> None:
        """Listen; again on the same port after a stop."""
        app = web.Application()
        others = [replace(one, version=version) for one in EEM_KINDS for version in OTHER_VERSIONS]
        for resource in (*WATCHED, DEFINITIONS, *others, *self.further):
            app.router.add_get(resource.path(), self._handler(resource))
            if resource.namespaced:
                app.router.add_get(resource.path("{namespace}"), self._handler(resource))
            if resource in self.further:
                place = resource.path("{namespace}") if resource.namespaced else resource.path()
                app.router.add_post(place, self._writer(resource))
                app.router.add_route("*", f"{place}/{{name}}", self._writer(resource))
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/apis", self._every_group)
        app.router.add_get(f"/apis/{EEM_GROUP}", self._discovery)
        app.router.add_get(f"/apis/{EEM_GROUP}/{{version}}", self._discovery)
        self._runner = web.AppRunner(app, shutdown_timeout=0, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=ssl_context, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.url = f"{'https' if ssl_context else 'http'}://127.0.0.1:{self._port}"

    @property
    def port(self) -> int:
        """Return the port; it stays the same after a stop and another start."""
        return self._port

    async def stop(self) -> None:
        """Stop listening and break every connection."""
        for stream in self.streams:
            stream.cut()
        if self._runner is not None:
            await self._runner.cleanup()

    def put(self, resource: ResourceType, name: str, namespace: str = "", **fields: Any) -> dict[str, Any]:
        """Create or replace an object, and send the event to its watches."""
        existing = self.objects[resource.plural].get((namespace, name))
        self.revision += 1
        if existing is None:
            self._uids += 1
        uid = existing["metadata"]["uid"] if existing else f"uid-{self._uids}"
        labels = fields.pop("labels", {}) | {"revision": str(self.revision)}
        metadata = {"name": name, "uid": uid, "resourceVersion": str(self.revision), "labels": labels}
        if namespace:
            metadata["namespace"] = namespace
        mapping = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **fields}
        self.objects[resource.plural][namespace, name] = mapping
        self._record(resource.plural, "MODIFIED" if existing else "ADDED", mapping)
        return mapping

    def delete(self, resource: ResourceType, name: str, namespace: str = "") -> dict[str, Any]:
        """Delete an object, and send the event to its watches."""
        mapping = dict(self.objects[resource.plural].pop((namespace, name)))
        self.revision += 1
        mapping["metadata"] = mapping["metadata"] | {"resourceVersion": str(self.revision)}
        self._record(resource.plural, "DELETED", mapping)
        return mapping

    def _record(self, plural: str, event_type: str, mapping: dict[str, Any]) -> None:
        self.history.append((self.revision, plural, event_type, mapping))
        self.wake()

    def wake(self) -> None:
        """Let each stream send the events that it has not sent yet."""
        for stream in self.streams:
            if not stream.paused:
                stream.request[WAKE].set()

    def compact(self) -> None:
        """Drop the history, and with it each `continue` token."""
        self.compacted = self.revision
        self.snapshots.clear()

    def compact_to(self, revision: int) -> None:
        """Drop the history up to a revision."""
        self.compacted = revision

    def asked(self, verb: str, plural: str) -> list[dict[str, str]]:
        """Return the queries of all lists or watches of a kind so far."""
        return [query for what, kind, query, _ in self.requests if (what, kind) == (verb, plural)]

    def open_streams(self, plural: str) -> list[Stream]:
        """Return the open watches of a kind."""
        return [stream for stream in self.streams if stream.request[PLURAL] == plural]

    async def stream_of(self, resource: ResourceType) -> Stream:
        """Wait until a kind is watched, and return the watch."""
        async with self.changed:
            await self.changed.wait_for(lambda: bool(self.open_streams(resource.plural)))
        return self.open_streams(resource.plural)[-1]

    async def asked_times(self, verb: str, resource: ResourceType, times: int) -> None:
        """Wait until a kind was listed or watched that many times."""
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.asked(verb, resource.plural)) >= times)

    async def bookmark(self, resource: ResourceType) -> None:
        """Send a bookmark to the watches of a kind."""
        mapping = {"kind": resource.kind, "metadata": {"resourceVersion": str(self.revision)}}
        for stream in self.open_streams(resource.plural):
            with suppress(ConnectionError):  # the client may have left it
                await stream.event("BOOKMARK", mapping)

    def backup(self) -> Backup:
        """Return the present state, as a backup of etcd has it."""
        return Backup(revision=self.revision, objects=copy.deepcopy(dict(self.objects)))

    def restore(self, backup: Backup) -> None:
        """
        Go back to the state of a backup.

        As in a real cluster, a watch from a larger resourceVersion stays open and gets no event up to that number.
        """
        self.revision = backup.revision
        self.objects = defaultdict(dict, copy.deepcopy(backup.objects))
        self.history = [entry for entry in self.history if entry[0] <= backup.revision]

    async def _readyz(self, request: web.Request) -> web.StreamResponse:
        self.on_request("probe", "readyz")
        self.requests.append(("probe", "readyz", {}, request.headers.get("Authorization", "")))
        fault = self.always.get(("probe", "readyz"))
        if fault is not None and (response := await fault(request)) is not None:
            return response
        return web.Response(text="ok")

    def _handler(self, resource: ResourceType) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            is_metadata = "PartialObjectMetadataList" in request.headers.get("Accept", "")
            verb = "watch" if "watch" in request.query else "metadata" if is_metadata else "list"
            token = request.headers.get("Authorization", "")
            self.on_request(verb, resource.plural)
            self.requests.append((verb, resource.plural, dict(request.query), token))
            async with self.changed:
                self.changed.notify_all()
            if self.tokens is not None and token.removeprefix("Bearer ") not in self.tokens:
                return web.json_response(status_body(401, "Unauthorized", "Unauthorized"), status=401)
            queue = self.faults[verb, resource.plural]
            fault = queue.pop(0) if queue else self.always.get((verb, resource.plural))
            if fault is not None and (response := await fault(request)) is not None:
                return response
            if resource.plural in self.missing or not self._serves(resource):
                return web.Response(status=404, text="404 page not found")
            if verb == "watch":
                return await self._watch(request, resource)
            return self._list(request, resource)

        return handle

    def _serves(self, resource: ResourceType) -> bool:
        return resource not in EVERY_EEM_KIND or resource.version in self.versions[resource.plural]

    def define(self, resource: ResourceType, *served: str) -> None:
        """Create or change the CustomResourceDefinition of a kind, which is then served in these versions."""
        versions = [{"name": name, "served": name in served} for name in (*OTHER_VERSIONS, resource.version)]
        self.put(DEFINITIONS, definition_name(resource), spec={"versions": versions})
        self.versions[resource.plural] = served

    def undefine(self, resource: ResourceType) -> None:
        """Delete the CustomResourceDefinition of a kind with all its objects."""
        for namespace, name in sorted(self.objects[resource.plural]):
            self.delete(resource, name, namespace)
        self.versions[resource.plural] = ()
        self.delete(DEFINITIONS, definition_name(resource))
        for stream in self.open_streams(resource.plural):
            stream.ended.set()

    def serve_kind(self, group: str, plural: str, *versions: str) -> None:
        """Add a kind to the discovery document."""
        served = [{"version": version, "resources": [{"resource": plural}]} for version in versions]
        self.groups.append({"metadata": {"name": group}, "versions": served})

    async def _every_group(self, request: web.Request) -> web.StreamResponse:
        body = json.dumps({"kind": "APIGroupDiscoveryList", "items": self.groups})
        etag = f'"{zlib.crc32(body.encode())}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304)
        return web.Response(text=body, headers={"ETag": etag})

    async def _discovery(self, request: web.Request) -> web.StreamResponse:
        """Answer with the discovery documents of EEM's group."""
        version = request.match_info.get("version")
        served = {one.plural: self.versions[one.plural] for one in EEM_KINDS if one.plural not in self.missing}
        names = sorted({name for versions in served.values() for name in versions}, key=len)
        if not names:
            return web.Response(status=404, text="404 page not found")
        if version is not None:
            resources = [{"name": plural} for plural, versions in served.items() if version in versions]
            return web.json_response({"kind": "APIResourceList", "resources": resources})
        versions = [{"groupVersion": f"{EEM_GROUP}/{name}", "version": name} for name in names]
        return web.json_response({"kind": "APIGroup", "versions": versions, "preferredVersion": versions[0]})

    async def written_times(self, method: str, resource: ResourceType, times: int) -> None:
        """Wait until that many writes of a kind were requested."""
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.asked(method, resource.plural)) >= times)

    def _writer(self, resource: ResourceType) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return the handler for one object: GET, POST, PUT with a comparison, and PATCH."""

        async def handle(request: web.Request) -> web.StreamResponse:
            self.requests.append((request.method, resource.plural, dict(request.query), ""))
            body = await request.json() if request.can_read_body else {}
            self.bodies.append((request.method, resource.plural, body))
            async with self.changed:
                self.changed.notify_all()
            queue = self.faults[request.method, resource.plural]
            fault = queue.pop(0) if queue else self.always.get((request.method, resource.plural))
            if fault is not None and (response := await fault(request)) is not None:
                return response
            namespace = request.match_info.get("namespace", "")
            name = request.match_info.get("name") or body["metadata"]["name"]
            existing = self.objects[resource.plural].get((namespace, name))
            return self._write(request, resource, existing, body)

        return handle

    def _write(  # noqa: PLR0911 - one return for each answer
        self, request: web.Request, resource: ResourceType, existing: dict[str, Any] | None, body: dict[str, Any]
    ) -> web.StreamResponse:
        namespace = request.match_info.get("namespace", "")
        if request.method == "POST" and existing is not None:
            return web.json_response(status_body(409, "AlreadyExists", "it exists"), status=409)
        is_apply = request.method == "PATCH" and request.content_type == "application/apply-patch+yaml"
        if request.method != "POST" and existing is None and not is_apply:
            return web.json_response(status_body(404, "NotFound", "it is not there"), status=404)
        if request.method == "GET":
            return web.json_response(existing)
        name = request.match_info.get("name") or body["metadata"]["name"]
        if isinstance(body, list) and existing is not None:
            return web.json_response(self.put(resource, name, namespace, **json_patched(existing, body)))
        wanted = body.get("metadata", {})
        for field_name in ("resourceVersion", "uid"):
            if (
                existing
                and wanted.get(field_name, existing["metadata"][field_name]) != existing["metadata"][field_name]
            ):
                return web.json_response(status_body(409, "Conflict", f"{field_name} differs"), status=409)
        if request.query.get("dryRun") == "All":
            return web.json_response(body)
        fields = {key: value for key, value in body.items() if key not in {"apiVersion", "kind", "metadata"}}
        if request.method == "PATCH" and existing is not None:
            fields = self.patched(existing, body)
        return web.json_response(self.put(resource, name, namespace, **fields))

    def _list(self, request: web.Request, resource: ResourceType) -> web.StreamResponse:
        limit = int(request.query.get("limit", "0"))
        token = request.query.get("continue", "")
        namespace = request.match_info.get("namespace")
        if token:
            snapshot_id, _, start_text = token.partition(":")
            if snapshot_id not in self.snapshots:
                body = status_body(410, "Expired", "The provided continue parameter is too old")
                return web.json_response(body, status=410)
            revision, items = self.snapshots[snapshot_id]
            start = int(start_text)
        else:
            revision, start = self.revision, 0
            found = self.objects[resource.plural].items()
            wanted = selected(request)
            items = [mapping for (where, name), mapping in sorted(found) if namespace in {None, where} and wanted(name)]
            snapshot_id = str(len(self.requests))
            self.snapshots[snapshot_id] = revision, items
        page = items[start : start + limit] if limit else items[start:]
        metadata = {"resourceVersion": str(self.list_revision(revision))}
        if limit and start + limit < len(items):
            metadata["continue"] = f"{snapshot_id}:{start + limit}"
        shown = [
            {key: value for key, value in item.items() if not self.bare_items or key not in {"kind", "apiVersion"}}
            for item in page
        ]
        if "PartialObjectMetadataList" in request.headers.get("Accept", ""):
            shown = [{"metadata": item["metadata"]} for item in page]
        kind = f"{resource.kind}List"
        body = {"kind": kind, "apiVersion": resource.api_version, "metadata": metadata, "items": shown or None}
        return web.json_response(body)

    async def _watch(self, request: web.Request, resource: ResourceType) -> web.StreamResponse:
        begin = int(request.query["resourceVersion"])
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        stream = Stream(response=response, request=request, position=begin)
        if begin < self.compacted:
            await stream.event("ERROR", status_body(410, "Expired", "too old resource version"))
            return response
        request[WAKE] = asyncio.Event()
        request[PLURAL] = resource.plural
        self.streams.append(stream)
        async with self.changed:
            self.changed.notify_all()
        try:
            await self._send(stream, resource)
        except ConnectionError:
            pass
        finally:
            self.streams.remove(stream)
        return response

    async def _send(self, stream: Stream, resource: ResourceType) -> None:
        ended = asyncio.ensure_future(stream.ended.wait())
        wake: asyncio.Event = stream.request[WAKE]
        wanted = selected(stream.request)
        try:
            while not stream.ended.is_set():
                for revision, plural, event_type, mapping in list(self.history):
                    if plural == resource.plural and revision > stream.position and not stream.paused:
                        stream.position = revision
                        if wanted(mapping["metadata"]["name"]):
                            await stream.event(event_type, mapping)
                woken = asyncio.ensure_future(wake.wait())
                await asyncio.wait({woken, ended}, return_when=asyncio.FIRST_COMPLETED)
                woken.cancel()
                wake.clear()
        finally:
            ended.cancel()


def json_patched(existing: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    """Apply a JSON patch that tests and removes, and return the fields other than the identity."""
    changed = copy.deepcopy(existing)
    for operation in operations:
        *parents, last = [int(part) if part.isdecimal() else part for part in operation["path"].split("/")[1:]]
        place: Any = changed
        for part in parents:
            place = place[part]
        if operation["op"] == "remove":
            del place[last]
        else:
            assert (operation["op"], place[last]) == ("test", operation["value"])
    return {key: value for key, value in changed.items() if key not in {"apiVersion", "kind", "metadata"}}


def merged(existing: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Apply the top-level fields of a patch, as a merge patch of flat objects does."""
    return {key: value for key, value in (existing | patch).items() if key not in {"apiVersion", "kind", "metadata"}}


def selected(request: web.Request) -> Callable[[str], bool]:
    """Return whether a list or a watch includes a name; the only known selector is one of a name."""
    selector = request.query.get("fieldSelector", "")
    field_name, _, wanted = selector.partition("=")
    assert field_name in {"", "metadata.name"}, selector
    return lambda name: not selector or name == wanted


@asynccontextmanager
async def api_server(
    ssl_context: ssl.SSLContext | None = None, *, further: Sequence[ResourceType] = ()
) -> AsyncIterator[FakeApiServer]:
    """Run a fake API server; *further* are kinds that it serves besides those that decisions depend on."""
    server = FakeApiServer(*further)
    await server.start(ssl_context)
    try:
        yield server
    finally:
        await server.stop()
