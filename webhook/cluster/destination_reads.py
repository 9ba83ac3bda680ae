"""
Read the Services, EndpointSlices, Routes and Ingresses that tell where the egress of EEM goes.

They are few, so they are read by name or namespace at an interval, one request at a time, and not watched. No review
waits for them: what was not read makes a path unknown, and nothing is lost on an unknown path. For a kind that the
account may not read, no request is sent.
"""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from webhook.cluster.client import ApiClient
from webhook.cluster.errors import ApiError, ClusterError, UnreachableError
from webhook.cluster.lists import decode_items, pages
from webhook.cluster.ordering import name_of
from webhook.cluster.store import Store
from webhook.cluster.timing import Clock
from webhook.eem import EemSnapshot, ResourceType
from webhook.eem.destinations import NO_DESTINATIONS, SERVICE_LABEL, Destinations, read_destination
from webhook.eem.needs import namespaces_to_read, services_to_read
from webhook.eem.resources import DESTINATIONS, ENDPOINT_SLICES, INGRESSES, ROUTES, SERVICES

_log: Final = logging.getLogger(__name__)

INTERVAL_SECONDS: Final = 30.0
SPACING_SECONDS: Final = 0.1
"""The time between two requests, so that a thousand namespaces with EEM are no burst."""

ACCESS_SECONDS: Final = 300.0
"""How long an answer about a right counts."""

ACCESS_REVIEWS: Final = ResourceType(
    group="authorization.k8s.io", version="v1", plural="selfsubjectaccessreviews", kind="SelfSubjectAccessReview"
)
_VERBS: Final = {SERVICES.kind: "get", ENDPOINT_SLICES.kind: "list", ROUTES.kind: "list", INGRESSES.kind: "list"}


@dataclass(kw_only=True, slots=True)
class _Rights:
    """The kinds that the account may not read, and when that was asked."""

    denied: frozenset[str] = frozenset()
    asked_at: float = field(default=float("-inf"))


class DestinationReads:
    """
    Reads what is behind the names and addresses that EEM calls.

    Args:
        store: takes what was read.
        is_judged: whether egress is judged anywhere in a cluster; without it, nothing is read.
    """

    def __init__(
        self, client: ApiClient, store: Store, is_judged: Callable[[EemSnapshot], bool], *, clock: Clock | None = None
    ) -> None:
        self._client = client
        self._store = store
        self._is_judged = is_judged
        self._clock = clock or Clock()
        self._rights = _Rights()
        self.problem = ""

    async def run(self) -> None:
        """Read again and again, until cancelled; no answer of the API server ends it."""
        await self._store.wait_until(lambda: self._store.has_synced)
        while True:
            try:
                await self.look()
            except ClusterError as error:
                self._note(f"not read now: {error}")
            except Exception as error:  # noqa: BLE001  what is known stays, and the problem is shown
                _log.exception("unexpected error while reading Services")
                self._note(f"not read now: {type(error).__name__}")
            await self._clock.sleep(INTERVAL_SECONDS)

    def _note(self, problem: str) -> None:
        if problem and problem != self.problem:
            _log.info("where egress goes: %s", problem)
        self.problem = problem

    async def look(self) -> None:
        """
        Read everything once; until the end, what was known counts.

        Raises:
            ClusterError: the API server did not answer.
        """
        if not self._is_judged(self._store.snapshot):
            self._take(NO_DESTINATIONS)
            self._note("")
            return
        if self._clock.monotonic() - self._rights.asked_at >= ACCESS_SECONDS:
            await self._ask_rights()
        found = await self._with_hosts(NO_DESTINATIONS)
        self._take(await self._with_services(found))
        denied = [resource.plural for resource in DESTINATIONS if resource.kind in self._rights.denied]
        rest = "may not be read, so where egress goes is not known (component egress)"
        self._note(f"{', '.join(denied)} {rest}" if denied else "")

    async def _ask_rights(self) -> None:
        """Ask for the rights of the account: a request without a right would be an error in the API server's log."""
        denied = []
        for resource in DESTINATIONS:
            attributes = {"group": resource.group, "resource": resource.plural, "verb": _VERBS[resource.kind]}
            review = {
                "apiVersion": ACCESS_REVIEWS.api_version,
                "kind": ACCESS_REVIEWS.kind,
                "spec": {"resourceAttributes": attributes},
            }
            answer = await self._client.request("POST", ACCESS_REVIEWS.path(), body=review)
            if not isinstance(answer, dict) or (answer.get("status") or {}).get("allowed") is not True:
                denied.append(resource.kind)
        self._rights = _Rights(denied=frozenset(denied), asked_at=self._clock.monotonic())

    async def _with_hosts(self, found: Destinations) -> Destinations:
        """Add the Routes and Ingresses of the namespaces with a manager."""
        for namespace in namespaces_to_read(self._store.snapshot):
            for resource in (ROUTES, INGRESSES):
                async for api_object in self._objects(resource, resource.path(namespace), {}):
                    found = _with(found, api_object)
        return found

    async def _with_services(self, found: Destinations) -> Destinations:
        """Add the Services that are needed, and their EndpointSlices."""
        for namespace, name in services_to_read(self._store.snapshot, found):
            service = await self._service(f"{SERVICES.path(namespace)}/{name}")
            if service is not None:
                found = _with(found, {**service, "apiVersion": SERVICES.api_version, "kind": SERVICES.kind})
            query = {"labelSelector": f"{SERVICE_LABEL}={name}"}
            async for api_object in self._objects(ENDPOINT_SLICES, ENDPOINT_SLICES.path(namespace), query):
                found = _with(found, api_object)
        return found

    async def _service(self, path: str) -> Mapping[str, Any] | None:
        if SERVICES.kind in self._rights.denied:
            return None
        await self._clock.sleep(SPACING_SECONDS)
        try:
            answer = await self._client.request("GET", path)
        except ApiError as error:
            if error.status in {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN}:
                return None
            raise
        if not isinstance(answer, dict):
            raise UnreachableError(f"GET {path}: the answer is not an object")
        return answer

    async def _objects(
        self, resource: ResourceType, path: str, query: Mapping[str, str]
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the objects of a list; none where the kind is not served, or may not be read."""
        if resource.kind in self._rights.denied:
            return
        await self._clock.sleep(SPACING_SECONDS)
        try:
            async for page in pages(self._client, path, query=query):
                for api_object in decode_items(resource, page.items):
                    yield api_object
        except ApiError as error:
            if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN}:
                raise

    def _take(self, found: Destinations) -> None:
        if found.objects != self._store.snapshot.destinations.objects:
            self._store.set_destinations(found)


def _with(found: Destinations, api_object: Mapping[str, Any]) -> Destinations:
    return found.with_object((api_object["kind"], *name_of(api_object)), read_destination(api_object))
