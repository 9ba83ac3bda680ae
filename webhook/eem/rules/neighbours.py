"""
What the other instances of the cluster use already: hosts, gateway ids, managers, licences.

Built once for a set of instances and looked up by key, so that judging one object costs the same among two instances
and two hundred.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from webhook.eem.rules.formats import url_of
from webhook.eem.rules.nodes import Tree, child, entries, items, mapping, text
from webhook.eem.rules.paths import Path

MANAGER_LABEL = "events.ibm.com/manager"
LICENCE_ID = re.compile(r"L-[A-Z0-9]{4}-[A-Z0-9]{6}", re.ASCII)
_MANAGER_KIND = "EventEndpointManagement"
_GATEWAY_KIND = "EventGateway"
# The class of an Ingress where the instance names none (EEM 11.8, "Configuring endpoints").
_DEFAULT_CLASS = "nginx"
# The endpoints of a manager at which gateways register: `gateway`, and `server` from 11.5.0.
_REGISTRATION_ENDPOINTS = ("gateway", "server")


@dataclass(frozen=True, kw_only=True, slots=True)
class Manager:
    """What others want to know of one EventEndpointManagement."""

    namespace: str
    name: str
    licence: str
    ca_secret: str


class HostUse(NamedTuple):
    """One endpoint with a host of its own."""

    host: str
    ingress_class: str
    path: Path


class Owner(NamedTuple):
    """Which instance an entry of the index belongs to."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ManagerReference:
    """How a gateway names its manager: by host, by label, or both."""

    namespace: str
    host: str
    label: str

    @classmethod
    def of(cls, namespace: str, labels: Tree, spec: Tree) -> "ManagerReference":
        """Read the reference from a gateway's labels and spec; the current field counts before the deprecated one."""
        url = text(spec, "manager", "endpoint") or text(spec, "managerEndpoint")
        parts = url_of(url)
        host = (parts.hostname or "") if parts else ""
        return cls(namespace=namespace, host=host.lower(), label=text(labels, MANAGER_LABEL))


@dataclass(frozen=True, kw_only=True, slots=True)
class Neighbourhood:
    """The index over all instances."""

    managers: Mapping[tuple[str, str], Manager]
    managers_by_host: Mapping[str, Manager]
    gateways: Mapping[tuple[str, str], tuple[tuple[Owner, ManagerReference], ...]]
    hosts: Mapping[tuple[str, str], tuple[Owner, ...]]
    licences: frozenset[str]

    @classmethod
    def from_objects(cls, objects: Iterable[Tree]) -> "Neighbourhood":
        """Index the instances among *objects*; other kinds are passed over, terminating ones hold nothing."""
        managers: dict[tuple[str, str], Manager] = {}
        by_host: dict[str, Manager] = {}
        gateways: dict[tuple[str, str], list[tuple[Owner, ManagerReference]]] = {}
        hosts: dict[tuple[str, str], list[Owner]] = {}
        licences: set[str] = set()
        for document in objects:
            kind = text(document, "kind")
            if kind not in (_MANAGER_KIND, _GATEWAY_KIND):
                continue
            metadata, spec = mapping(document, "metadata"), mapping(document, "spec")
            owner = Owner(kind=kind, namespace=text(metadata, "namespace"), name=text(metadata, "name"))
            licences.update(offered_licences(document))
            if metadata.get("deletionTimestamp") is not None:
                continue
            for use in hosts_of(kind, spec):
                hosts.setdefault((use.host, use.ingress_class), []).append(owner)
            if kind == _MANAGER_KIND:
                manager = _manager(owner, spec)
                managers[owner.namespace, owner.name] = manager
                by_host.update(dict.fromkeys(_registration_hosts(owner, document), manager))
            else:
                identity = text(spec, "gatewayGroupName"), text(spec, "gatewayID")
                reference = ManagerReference.of(owner.namespace, mapping(metadata, "labels"), spec)
                gateways.setdefault(identity, []).append((owner, reference))
        return cls(
            managers=MappingProxyType(managers),
            managers_by_host=MappingProxyType(by_host),
            gateways=MappingProxyType({key: tuple(found) for key, found in gateways.items()}),
            hosts=MappingProxyType({key: tuple(found) for key, found in hosts.items()}),
            licences=frozenset(licences),
        )

    def manager_of(self, reference: ManagerReference) -> Manager | None:
        """Find the manager that a gateway refers to; None where it is not among the instances."""
        if reference.label:
            named = self.managers.get((reference.namespace, reference.label))
            if named is not None:
                return named
        return self._manager_at(reference.host) if reference.host else None

    def _manager_at(self, host: str) -> Manager | None:
        """Find the manager that answers at *host*: by a host that it states, else by OpenShift's default names."""
        stated = self.managers_by_host.get(host)
        return stated or self.managers_by_host.get(_first_label(host))

    def same_manager(self, one: ManagerReference, other: ManagerReference) -> bool:
        """Say whether two gateways certainly register at the same manager."""
        first, second = self.manager_of(one), self.manager_of(other)
        if first is not None or second is not None:
            return first is second
        if one.host or other.host:
            return one.host == other.host
        return bool(one.label) and (one.namespace, one.label) == (other.namespace, other.label)


def _manager(owner: Owner, spec: Tree) -> Manager:
    return Manager(
        namespace=owner.namespace,
        name=owner.name,
        licence=text(spec, "license", "license"),
        ca_secret=text(spec, "manager", "tls", "caSecretName") or f"{owner.name}-ibm-eem-manager-ca",
    )


def _first_label(host: str) -> str:
    """Return what a default route's host has before the cluster's own domain."""
    return host.removeprefix("eem.").partition(".")[0]


def _registration_hosts(owner: Owner, document: Tree) -> tuple[str, ...]:
    """
    Return the hosts at which gateways may reach a manager.

    Source: EEM 11.8, EventGateway reference (managerEndpoint); the names of the manager's routes.
    """
    stated = tuple(
        text(entry, "host").lower()
        for _, entry in entries(document, "spec", "manager", "endpoints")
        if text(entry, "name") in _REGISTRATION_ENDPOINTS and text(entry, "host")
    )
    seen = tuple(
        parts.hostname
        for _, entry in entries(document, "status", "endpoints")
        if text(entry, "name") in _REGISTRATION_ENDPOINTS and (parts := url_of(text(entry, "uri"))) and parts.hostname
    )
    routes = tuple(f"{owner.name}-ibm-eem-{end}-{owner.namespace}" for end in _REGISTRATION_ENDPOINTS)
    return stated + seen + routes


def hosts_of(kind: str, spec: Tree) -> tuple[HostUse, ...]:
    """
    Return the hosts that an instance asks for, with the class of the Ingress that would carry them.

    A gateway that has listeners no longer uses the deprecated `endpoints`.
    """
    if kind == _MANAGER_KIND:
        return _listed_hosts(mapping(spec, "manager"), ("spec", "manager"))
    if spec.get("listeners") is None:
        return _listed_hosts(spec, ("spec",))
    return tuple(
        _host_use(mapping(group, "endpoint"), ("spec", "listeners", at, "groups", nth, "endpoint"))
        for at, listener in entries(spec, "listeners")
        for nth, group in entries(listener, "groups")
        if text(group, "endpoint", "host")
    )


def _listed_hosts(parent: Tree, path: Path) -> tuple[HostUse, ...]:
    return tuple(
        _host_use(entry, (*path, "endpoints", position))
        for position, entry in entries(parent, "endpoints")
        if text(entry, "host")
    )


def _host_use(endpoint: Tree, path: Path) -> HostUse:
    return HostUse(
        host=text(endpoint, "host").lower(),
        ingress_class=text(endpoint, "class") or _DEFAULT_CLASS,
        path=(*path, "host"),
    )


def offered_licences(document: Tree) -> tuple[str, ...]:
    """
    Return the licence ids that the operator says it accepts, from an instance's status.

    Source: status.versions.available of EventEndpointManagement and EventGateway; the entries' shape is not
    documented, so every text in them that looks like an id counts.
    """
    available = child(document, "status", "versions", "available")
    if available is None:
        return ()
    return tuple(
        word
        for part in ("versions", "channels")
        for _, entry in entries(available, part)
        for licence in items(entry, "licenses")
        for word in (licence, *(licence.values() if isinstance(licence, Mapping) else ()))
        if isinstance(word, str) and LICENCE_ID.fullmatch(word)
    )


EMPTY = Neighbourhood.from_objects(())
