"""
Find out which policy kinds the API server serves, and notice when a CustomResourceDefinition comes or goes.

Every account may read the discovery document. It is asked for every few seconds; while it has not changed, the answer
has no body.

Source: Kubernetes documentation, "Aggregated discovery"; APIGroupDiscoveryList of apidiscovery.k8s.io.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Container, Mapping
from dataclasses import replace
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

import msgspec

from webhook.cluster.client import ApiClient
from webhook.cluster.definitions import Definition, Installation
from webhook.cluster.errors import ApiError, ClusterError, UnreachableError
from webhook.eem import ResourceType
from webhook.eem.policy_kinds import CALICO_KIND_OF, POLICY_KIND_OF, POLICY_KINDS, PolicyKind, without_copies
from webhook.eem.resources import CALICO_VERSIONS, CLUSTER_POLICY_VERSIONS

_log: Final = logging.getLogger(__name__)

PATH: Final = "/apis"
INTERVAL_SECONDS: Final = 10.0
# After a failure; at the start every verdict waits for this document.
RETRY_SECONDS: Final = 2.0
_FORM: Final = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"
# v2 since Kubernetes 1.30, v2beta1 since 1.27.
_ACCEPT: Final = f"{_FORM.format('v2')},{_FORM.format('v2beta1')}"
_STALE: Final = "Stale"
# The account may not read the document, or the API server has none: then the guard works without, and tells it.
_REFUSED: Final = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.NOT_ACCEPTABLE})

Served = Mapping[PolicyKind, tuple[str, ...]]
"""The policy kinds that the API server serves, each with its versions, the preferred one first."""


class _Resource(msgspec.Struct):
    resource: str = ""


class _Version(msgspec.Struct):
    version: str = ""
    freshness: str = ""
    resources: list[_Resource] = []


class _Metadata(msgspec.Struct):
    name: str = ""


class _Group(msgspec.Struct):
    metadata: _Metadata
    versions: list[_Version] = []


class _Groups(msgspec.Struct):
    kind: str
    items: list[_Group] = []


class ApiGroups:
    """
    The policy kinds that the API server serves, read again at an interval.

    Args:
        sleep: waits for some seconds.
    """

    def __init__(self, client: ApiClient, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._client = client
        self._sleep = sleep
        self._etag = ""
        self._listeners: list[Callable[[], None]] = []
        self.served: Served = MappingProxyType({})
        self.is_known = False
        self.problem = ""

    def others(self, read: Container[PolicyKind]) -> tuple[PolicyKind, ...]:
        """Return the kinds that exist, except those that are *read*."""
        return without_copies(known for known in self.served if known not in read)

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call *listener* when it becomes known which kinds are served, and when that changes."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Read the document again and again, until cancelled; no answer of the API server ends it."""
        while True:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001  what is known stays, and the problem is shown
                self._note(error)
                await self._sleep(RETRY_SECONDS)
            else:
                await self._sleep(INTERVAL_SECONDS)

    def _note(self, error: Exception) -> None:
        if not isinstance(error, ClusterError):
            _log.exception("unexpected error while discovering policy kinds")
        elif str(error) != self.problem:
            _log.warning("the policy kinds of the cluster cannot be read: %s", error)
        self.problem = str(error) or type(error).__name__

    async def look(self) -> None:
        """
        Read the document once; if the API server refuses it, no kind is known, and `problem` tells why.

        Raises:
            ClusterError: the API server did not answer, or with another document.
        """
        try:
            answer = await self._client.get_changed(PATH, accept=_ACCEPT, etag=self._etag)
        except ApiError as error:
            if error.status not in _REFUSED:
                raise
            self._note(error)
            self._take(self.served)
            return
        self.problem = ""
        if answer is None:
            return
        body, etag = answer
        try:
            groups = msgspec.json.decode(body, type=_Groups)
        except msgspec.MsgspecError as error:
            raise UnreachableError(f"GET {PATH}: the answer is not a discovery document: {error}") from error
        if groups.kind != "APIGroupDiscoveryList":
            raise UnreachableError(f"GET {PATH}: the answer is {groups.kind[:80]}, not APIGroupDiscoveryList")
        served = {known: found for known in POLICY_KINDS if (found := self._versions(known, groups))}
        self._etag = etag
        self._take(served)

    def _take(self, served: Served) -> None:
        is_new = served != self.served or not self.is_known
        self.served, self.is_known = MappingProxyType(dict(served)), True
        if is_new:
            _log.info("policy kinds other than NetworkPolicy: %s", ", ".join(known.name for known in served) or "none")
            for listener in self._listeners:
                listener()

    def _versions(self, known: PolicyKind, groups: _Groups) -> tuple[str, ...]:
        """Return the versions of a kind; while its own server does not answer, those that were known."""
        versions = [one for group in groups.items if group.metadata.name == known.group for one in group.versions]
        found = tuple(one.version for one in versions if any(item.resource == known.plural for item in one.resources))
        if found or not any(one.freshness == _STALE for one in versions):
            return found
        return self.served.get(known, ())


class ServedKind(Definition):
    """
    A policy kind as the discovery document shows it: it is asked for only while the API server serves it.

    Of the versions that are served, the first one that can be read is read. Without any, the kind counts as absent.
    """

    def __init__(self, resource: ResourceType, groups: ApiGroups) -> None:
        super().__init__(resource)
        self._groups = groups
        groups.subscribe(self._see)

    @property
    def note(self) -> str:
        """Return nothing: every version that is read is known."""
        return ""

    @property
    def is_absent(self) -> bool:
        """Whether the API server does not serve the kind, or it is not known yet whether it does."""
        return self.installation is None or not self.installation.is_installed

    def _see(self) -> None:
        served = readable(self._resource, self._groups.served)
        self._take(Installation() if served is None else Installation(uid="served", served=served))


def readable(resource: ResourceType, served: Served) -> ResourceType | None:
    """Return a policy kind in the version to read; None if the API server serves none that is known."""
    if resource.kind in CALICO_KIND_OF:
        return _readable_of_calico(resource, served)
    versions = served.get(POLICY_KIND_OF[resource.kind], ())
    known = (version for version in CLUSTER_POLICY_VERSIONS[resource.kind] if version in versions)
    return next((replace(resource, version=version) for version in known), None)


def _readable_of_calico(resource: ResourceType, served: Served) -> ResourceType | None:
    """Return one of Calico's kinds in the group and version to read."""
    groups = {known.group: served[known] for known in CALICO_KIND_OF[resource.kind] if known in served}
    found = (group for group, version in CALICO_VERSIONS.items() if version in groups.get(group, ()))
    return next((replace(resource, group=group, version=CALICO_VERSIONS[group]) for group in found), None)
