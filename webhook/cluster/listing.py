"""Read whole collections: in pages for the reflectors, at once for who needs the truth of this moment."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import msgspec

from webhook.cluster.client import REQUEST_TIMEOUT_SECONDS, ApiClient
from webhook.cluster.errors import AnswerTooLargeError, ApiError, ForbiddenError, UnreachableError
from webhook.cluster.timing import Turn
from webhook.eem import OPTIONAL_KINDS, WATCHED, EemSnapshot, ResourceType

# Objects in one page: what client-go and kubectl ask for.
PAGE_SIZE: Final = 500
# What a page shrinks by when its answer is too large: 500, 100, 20, 4, 1 (the largest object is 1.5 MiB in etcd).
_SHRINK: Final = 5


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _List(msgspec.Struct):
    """
    One page; its items stay undecoded.

    Whoever takes them decodes one after another and lets the event loop breathe in between. Go writes an empty list
    as null.
    """

    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Some objects of a collection, still as JSON, and the resourceVersion of the whole list."""

    items: tuple[msgspec.Raw, ...]
    resource_version: str


async def pages(
    client: ApiClient,
    path: str,
    *,
    query: Mapping[str, str] | None = None,
    page_size: int = PAGE_SIZE,
    timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
) -> AsyncIterator[Page]:
    """
    Read a collection page by page.

    Without a resourceVersion, so that it is the latest state, never a lagging cache's (and so that `limit` is heeded).

    Args:
        query: what is asked besides, a fieldSelector.

    Raises:
        ApiError: status 410 when the list took so long that its `continue` token expired: begin again.
        ClusterError: as for any request.
    """
    token, size = "", page_size
    while True:
        asked = {**(query or {}), "limit": str(size)} | ({"continue": token} if token else {})
        try:
            body = await client.get_bytes(path, asked, timeout_seconds)
        except AnswerTooLargeError:
            if size == 1:
                raise
            size = max(size // _SHRINK, 1)
            continue
        try:
            page = msgspec.json.decode(body, type=_List)
        except msgspec.MsgspecError as error:
            raise UnreachableError(f"GET {path}: the answer is not a list: {error}") from error
        yield Page(items=tuple(page.items or ()), resource_version=page.metadata.resource_version)
        token = page.metadata.continue_
        if not token:
            return


def decode_items(resource: ResourceType, items: Iterable[msgspec.Raw]) -> Iterator[dict[str, Any]]:
    """Decode the items of pages one by one; UnreachableError for one that is not an object."""
    for item in items:
        try:
            mapping = msgspec.json.decode(item, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise UnreachableError(f"{resource.plural}: an item of the list is not an object: {error}") from error
        yield complete(resource, mapping)


def complete(resource: ResourceType, mapping: dict[str, Any]) -> dict[str, Any]:
    """
    Give an object its kind back, which the items of lists do not have, and leave out who manages which field.

    managedFields are half of many objects and nothing is decided by them.
    """
    mapping["kind"] = resource.kind
    mapping["apiVersion"] = resource.api_version
    metadata = mapping.get("metadata")
    if isinstance(metadata, dict):
        metadata.pop("managedFields", None)
    return mapping


async def read_all(
    client: ApiClient,
    resource: ResourceType,
    *,
    namespace: str | None = None,
    timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
) -> list[Mapping[str, Any]]:
    """
    Read every object of one kind, in one namespace or in all, as it is now.

    A kind whose definition may be missing and is, has no objects.

    Args:
        timeout_seconds: for each page.

    Raises:
        ForbiddenError: names the right that is missing.
        ClusterError: as for any request.
    """
    found: list[Mapping[str, Any]] = []
    turn = Turn()
    try:
        async for page in pages(client, resource.path(namespace), timeout_seconds=timeout_seconds):
            for mapping in decode_items(resource, page.items):
                found.append(mapping)
                await turn.share()
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND and resource.kind in OPTIONAL_KINDS:
            return []
        if error.status == HTTPStatus.FORBIDDEN:
            raise ForbiddenError("list", resource, error.message) from error
        raise
    return found


async def read_cluster(client: ApiClient, resources: Iterable[ResourceType] = WATCHED) -> EemSnapshot:
    """Read everything that decisions rest on, once; `read_all` says how it fails."""
    snapshot = EemSnapshot.empty()
    turn = Turn()
    for resource in resources:
        for mapping in await read_all(client, resource):
            snapshot = snapshot.with_object(mapping)
            await turn.share()
    return snapshot
