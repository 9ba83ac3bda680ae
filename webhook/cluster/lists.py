"""
Read collections of the API server page by page.

Source: Kubernetes API concepts, "Retrieving large results sets in chunks" and "Metadata-only fetches".
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final

import msgspec

from webhook.cluster.client import REQUEST_TIMEOUT_SECONDS, ApiClient
from webhook.cluster.errors import AnswerTooLargeError, ApiError, ForbiddenError, UnreachableError
from webhook.cluster.ordering import Name, ObjectVersion, version_number
from webhook.cluster.timing import TimeSlice
from webhook.eem import OPTIONAL_KINDS, ResourceType

# Objects in one page: the figure of client-go and kubectl.
PAGE_SIZE: Final = 500
# Each reflector holds one page at a time, and a dozen of them may list together.
MAX_PAGE_BYTES: Final = 8 * 1024 * 1024
# A page whose answer is too large is asked for again with a fifth of the objects: 500, 100, 20, 4, 1. A page of one
# object may be as large as any answer: an object has 1.5 MiB in etcd, and JSON may need six bytes for one.
_SHRINK: Final = 5
# For one object: a watch waits for it.
_VERSION_TIMEOUT_SECONDS: Final = 10.0
_METADATA_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _List(msgspec.Struct):
    """
    One page of a list. The items stay undecoded, so that the caller can decode them one at a time.

    Go writes an empty list as null.
    """

    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Some objects of a collection as JSON, and the resourceVersion of the whole list."""

    items: tuple[msgspec.Raw, ...]
    resource_version: str


async def pages(  # noqa: PLR0913 - one argument for each part of a list request
    client: ApiClient,
    path: str,
    *,
    query: Mapping[str, str] | None = None,
    page_size: int = PAGE_SIZE,
    timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
    accept: str = "application/json",
) -> AsyncIterator[Page]:
    """
    Read a collection page by page.

    The requests have no resourceVersion: the answer is the latest state, never that of a cache that lags, and the API
    server respects `limit`.

    Args:
        query: further parameters, such as a fieldSelector.
        timeout_seconds: for each page.
        accept: the value of the Accept header.

    Raises:
        ApiError: with status 410 if the `continue` token expired: begin again.
        ClusterError: the errors of any request.
    """
    token, size = "", page_size
    while True:
        parameters = {**(query or {}), "limit": str(size)} | ({"continue": token} if token else {})
        try:
            body = await client.get_bytes(
                path,
                parameters,
                timeout_seconds=timeout_seconds,
                max_bytes=MAX_PAGE_BYTES if size > 1 else None,
                accept=accept,
            )
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


class _Metadata(msgspec.Struct, rename="camel"):
    """The identity of an object."""

    name: str
    uid: str = ""
    namespace: str = ""
    resource_version: str = ""


class _PartialObject(msgspec.Struct):
    """A metav1.PartialObjectMetadata."""

    metadata: _Metadata


@dataclass(frozen=True, kw_only=True, slots=True)
class MetadataPage:
    """The names and versions of some objects of a collection, and the resourceVersion of the whole list."""

    versions: tuple[tuple[Name, ObjectVersion], ...]
    resource_version: str


async def metadata_pages(client: ApiClient, resource: ResourceType) -> AsyncIterator[MetadataPage]:
    """Read the metadata of a collection page by page; the errors are those of `pages`."""
    async for page in pages(client, resource.path(), accept=_METADATA_ONLY):
        yield MetadataPage(
            versions=tuple(_named_version(resource, item) for item in page.items),
            resource_version=page.resource_version,
        )


def _named_version(resource: ResourceType, item: msgspec.Raw) -> tuple[Name, ObjectVersion]:
    try:
        found = msgspec.json.decode(item, type=_PartialObject).metadata
    except msgspec.MsgspecError as error:
        raise UnreachableError(f"{resource.plural}: an item of the list has no metadata: {error}") from error
    version = ObjectVersion(uid=found.uid, number=version_number(found.resource_version))
    return (found.namespace, found.name), version


async def current_version(client: ApiClient, path: str, query: Mapping[str, str]) -> int:
    """
    Return the present resourceVersion of a collection as a number, 0 if it is not a number.

    A list of one object without a resourceVersion shows the latest state of etcd.

    Raises:
        ClusterError: the errors of any request.
    """
    found = pages(
        client, path, query=query, page_size=1, timeout_seconds=_VERSION_TIMEOUT_SECONDS, accept=_METADATA_ONLY
    )
    async for page in found:
        return version_number(page.resource_version)
    return 0


def decode_items(resource: ResourceType, items: Iterable[msgspec.Raw]) -> Iterator[dict[str, Any]]:
    """
    Decode the items of pages one at a time.

    Raises:
        UnreachableError: an item is not an object.
    """
    for item in items:
        try:
            mapping = msgspec.json.decode(item, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise UnreachableError(f"{resource.plural}: an item of the list is not an object: {error}") from error
        yield complete(resource, mapping)


def complete(resource: ResourceType, mapping: dict[str, Any]) -> dict[str, Any]:
    """
    Set kind and apiVersion, which the items of a list lack, and drop managedFields; return *mapping*.

    managedFields are half of many objects, and no decision depends on them.
    """
    mapping["kind"] = resource.kind
    mapping["apiVersion"] = resource.api_version
    metadata = mapping.get("metadata")
    if isinstance(metadata, dict):
        metadata.pop("managedFields", None)
    return mapping


@dataclass(frozen=True, kw_only=True, slots=True)
class WholeList:
    """
    All objects of a collection.

    Args:
        number: the resourceVersion of the list as a number; 0 if the kind is not installed.
    """

    objects: list[Mapping[str, Any]]
    number: int = 0


async def read_all(
    client: ApiClient,
    resource: ResourceType,
    *,
    namespace: str | None = None,
    timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
) -> WholeList:
    """
    Return every object of one kind as it is now, in one namespace or in all.

    A kind whose CustomResourceDefinition is not installed has no objects. A kind that is served in another version
    only is read in that one.

    Args:
        timeout_seconds: for each page.

    Raises:
        ForbiddenError: the account may not list the kind.
        ClusterError: the errors of any request.
    """
    found: list[Mapping[str, Any]] = []
    number = 0
    time_slice = TimeSlice()
    try:
        async for page in pages(client, resource.path(namespace), timeout_seconds=timeout_seconds):
            number = version_number(page.resource_version)
            for mapping in decode_items(resource, page.items):
                found.append(mapping)
                await time_slice.check()
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND and resource.kind in OPTIONAL_KINDS:
            served = await _served_instead(client, resource)
            if served is None:
                return WholeList(objects=[])
            return await read_all(client, served, namespace=namespace, timeout_seconds=timeout_seconds)
        if error.status == HTTPStatus.FORBIDDEN:
            raise ForbiddenError("list", resource, error.message) from error
        raise
    return WholeList(objects=found, number=number)


async def _served_instead(client: ApiClient, resource: ResourceType) -> ResourceType | None:
    """
    Return a kind in the version in which the API server serves it; None if it serves none.

    Source: the discovery documents APIGroup, whose preferred version comes first here, and APIResourceList.
    """
    group = await _discover(client, f"/apis/{resource.group}")
    preferred = (group.get("preferredVersion") or {}).get("version")
    names = [one.get("version") for one in group.get("versions") or ()]
    for version in sorted((name for name in names if name != resource.version), key=lambda name: name != preferred):
        found = await _discover(client, f"/apis/{resource.group}/{version}")
        if any(one.get("name") == resource.plural for one in found.get("resources") or ()):
            return replace(resource, version=str(version))
    return None


async def _discover(client: ApiClient, path: str) -> Mapping[str, Any]:
    try:
        document = await client.request("GET", path)
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return {}
        raise
    return document if isinstance(document, dict) else {}
