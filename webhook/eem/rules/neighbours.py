"""
What the instances of a cluster use: hosts, gateway ids, names of managers, licences.

The index is a persistent value: adding or removing one instance costs what that instance uses, however many others
there are, and a rule looks up what it needs by key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple, TypeVar

from rpds import HashTrieMap

from webhook.eem.resources import GATEWAY_KIND, INSTANCE_KINDS, MANAGER_KIND
from webhook.eem.rules.formats import url_of
from webhook.netpol.reading import Path, Tree, is_object, list_at, object_at, objects_at, text_at

MANAGER_LABEL = "events.ibm.com/manager"
LICENCE_ID = re.compile(r"L-[A-Z0-9]{4}-[A-Z0-9]{6}", re.ASCII)
# The class of an Ingress where the instance names none (EEM 11.8, "Configuring endpoints").
_DEFAULT_CLASS = "nginx"
# The endpoints of a manager at which gateways register: `gateway`, and `server` from 11.5.0.
_REGISTRATION_ENDPOINTS = ("gateway", "server")
_NO_NAMESPACE = "default"
# Entries of a status that are read: many times what an operator writes.
_MOST_OFFERS = 1000

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisteredManager:
    """
    What the rules for gateways ask of an EventEndpointManagement.

    Args:
        hosts: the hosts at which gateways register, from its endpoints and its status; empty where they are not known.
    """

    namespace: str
    name: str
    licence: str
    ca_secret: str
    hosts: frozenset[str]


class HostUse(NamedTuple):
    """One endpoint with its host."""

    host: str
    ingress_class: str
    path: Path


class Owner(NamedTuple):
    """The instance that an entry of the index belongs to."""

    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, document: Tree) -> Owner:
        """Return the owner that an object is; where a file names no namespace, kubectl means `default`."""
        metadata = object_at(document, "metadata")
        return cls(
            kind=text_at(document, "kind"),
            namespace=text_at(metadata, "namespace") or _NO_NAMESPACE,
            name=text_at(metadata, "name"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ManagerReference:
    """How a gateway names its manager: by host, by label, or both."""

    namespace: str
    host: str
    label: str

    @classmethod
    def of(cls, namespace: str, labels: Tree, spec: Tree) -> ManagerReference:
        """Read the reference of a gateway; `manager.endpoint` counts before the deprecated `managerEndpoint`."""
        parts = url_of(text_at(spec, "manager", "endpoint") or text_at(spec, "managerEndpoint"))
        host = (parts.hostname or "") if parts else ""
        return cls(namespace=namespace or _NO_NAMESPACE, host=host, label=text_at(labels, MANAGER_LABEL))


@dataclass(frozen=True, kw_only=True, slots=True)
class Neighbourhood:
    """
    The index over all instances.

    Args:
        instances: the objects, by owner; a terminating instance is there, and uses nothing.
        managers: by namespace and name.
        managers_by_host: by the hosts at which gateways register.
        managers_by_route: by the first label of the default hosts that OpenShift would give their routes.
        gateways: by group and id.
        hosts: the instances that use a host, by host and class of Ingress.
        licences: the instances whose status offers a licence, by licence id.
    """

    instances: HashTrieMap[Owner, Tree] = HashTrieMap()
    managers: HashTrieMap[tuple[str, str], RegisteredManager] = HashTrieMap()
    managers_by_host: HashTrieMap[str, HashTrieMap[Owner, RegisteredManager]] = HashTrieMap()
    managers_by_route: HashTrieMap[str, HashTrieMap[Owner, RegisteredManager]] = HashTrieMap()
    gateways: HashTrieMap[tuple[str, str], HashTrieMap[Owner, ManagerReference]] = HashTrieMap()
    hosts: HashTrieMap[tuple[str, str], HashTrieMap[Owner, bool]] = HashTrieMap()
    licences: HashTrieMap[str, HashTrieMap[Owner, bool]] = HashTrieMap()

    @classmethod
    def from_objects(cls, objects: Iterable[Tree]) -> Neighbourhood:
        """Index the instances among *objects*; objects of other kinds are ignored."""
        index = cls()
        for document in objects:
            if text_at(document, "kind") in INSTANCE_KINDS:
                index = index.with_instance(document)
        return index

    def with_instance(self, document: Tree) -> Neighbourhood:
        """Add or replace one instance."""
        owner = Owner.of(document)
        index = self.without(owner)
        licences = index.licences
        for licence in offered_licences(document):
            licences = _added(licences, licence, owner, value=True)
        index = replace(index, instances=index.instances.insert(owner, document), licences=licences)
        if object_at(document, "metadata").get("deletionTimestamp") is not None:
            return index
        hosts = index.hosts
        for use in hosts_of(owner.kind, object_at(document, "spec")):
            hosts = _added(hosts, (use.host, use.ingress_class), owner, value=True)
        index = replace(index, hosts=hosts)
        add = _with_manager if owner.kind == MANAGER_KIND else _with_gateway
        return add(index, owner, document)

    def without(self, owner: Owner) -> Neighbourhood:
        """Remove one instance; one that is not there is no error."""
        document = self.instances.get(owner)
        if document is None:
            return self
        hosts, licences, gateways = self.hosts, self.licences, self.gateways
        managers, by_host, by_route = self.managers, self.managers_by_host, self.managers_by_route
        for licence in offered_licences(document):
            licences = _removed(licences, licence, owner)
        for use in hosts_of(owner.kind, object_at(document, "spec")):
            hosts = _removed(hosts, (use.host, use.ingress_class), owner)
        if owner.kind == GATEWAY_KIND:
            gateways = _removed(gateways, _identity(document), owner)
        else:
            managers = managers.discard((owner.namespace, owner.name))
            for host in _registration_hosts(document):
                by_host = _removed(by_host, host, owner)
            for route in _default_routes(owner):
                by_route = _removed(by_route, route, owner)
        return Neighbourhood(
            instances=self.instances.remove(owner),
            managers=managers,
            managers_by_host=by_host,
            managers_by_route=by_route,
            gateways=gateways,
            hosts=hosts,
            licences=licences,
        )

    def manager_of(self, reference: ManagerReference) -> RegisteredManager | None:
        """
        Return the manager that a gateway certainly registers at; None where no instance certainly is it.

        A manager is certain where one of its own hosts is named, or where only the label names a manager.
        """
        at_host = list((self.managers_by_host.get(reference.host) or HashTrieMap()).values())
        if at_host:
            return at_host[0] if len(at_host) == 1 else None
        if reference.host or not reference.label:
            return None
        return self.managers.get((reference.namespace, reference.label))

    def likely_manager_of(self, reference: ManagerReference) -> RegisteredManager | None:
        """
        Return the manager that a gateway certainly or probably registers at.

        A manager is probable where the host looks like the default host of its route, or where the label names it; but
        not where its own hosts are known and the gateway names another one. A cluster elsewhere may have a manager of
        the same name.
        """
        certain = self.manager_of(reference)
        if certain is not None:
            return certain
        route = reference.host.removeprefix("eem.").partition(".")[0]
        candidates = [*(self.managers_by_route.get(route) or HashTrieMap()).values()]
        named = self.managers.get((reference.namespace, reference.label))
        if named is not None:
            candidates = [named]
        return next((manager for manager in candidates if not manager.hosts), None)

    def same_manager(self, one: ManagerReference, other: ManagerReference) -> bool:
        """Whether two gateways certainly register at the same manager."""
        first, second = self.manager_of(one), self.manager_of(other)
        if first is not None or second is not None:
            return first is second
        if one.host or other.host:
            return one.host == other.host
        return bool(one.label) and (one.namespace, one.label) == (other.namespace, other.label)


def _with_manager(index: Neighbourhood, owner: Owner, document: Tree) -> Neighbourhood:
    spec = object_at(document, "spec")
    manager = RegisteredManager(
        namespace=owner.namespace,
        name=owner.name,
        licence=text_at(spec, "license", "license"),
        ca_secret=text_at(spec, "manager", "tls", "caSecretName") or f"{owner.name}-ibm-eem-manager-ca",
        hosts=frozenset(_registration_hosts(document)),
    )
    by_host, by_route = index.managers_by_host, index.managers_by_route
    for host in manager.hosts:
        by_host = _added(by_host, host, owner, value=manager)
    for route in _default_routes(owner):
        by_route = _added(by_route, route, owner, value=manager)
    managers = index.managers.insert((owner.namespace, owner.name), manager)
    return replace(index, managers=managers, managers_by_host=by_host, managers_by_route=by_route)


def _with_gateway(index: Neighbourhood, owner: Owner, document: Tree) -> Neighbourhood:
    labels = object_at(document, "metadata", "labels")
    reference = ManagerReference.of(owner.namespace, labels, object_at(document, "spec"))
    return replace(index, gateways=_added(index.gateways, _identity(document), owner, value=reference))


def _added(
    index: HashTrieMap[K, HashTrieMap[Owner, V]], key: K, owner: Owner, *, value: V
) -> HashTrieMap[K, HashTrieMap[Owner, V]]:
    return index.insert(key, (index.get(key) or HashTrieMap()).insert(owner, value))


def _removed(
    index: HashTrieMap[K, HashTrieMap[Owner, V]], key: K, owner: Owner
) -> HashTrieMap[K, HashTrieMap[Owner, V]]:
    left = (index.get(key) or HashTrieMap()).discard(owner)
    return index.insert(key, left) if left else index.discard(key)


def _identity(document: Tree) -> tuple[str, str]:
    spec = object_at(document, "spec")
    return text_at(spec, "gatewayGroupName"), text_at(spec, "gatewayID")


def _registration_hosts(document: Tree) -> tuple[str, ...]:
    """
    Return the hosts at which gateways reach a manager, as its endpoints and its status have them.

    Source: EEM 11.8, EventGateway reference (managerEndpoint).
    """
    stated = (
        text_at(entry, "host").lower()
        for _, entry in objects_at(document, "spec", "manager", "endpoints")
        if text_at(entry, "name") in _REGISTRATION_ENDPOINTS
    )
    seen = (
        parts.hostname or ""
        for _, entry in objects_at(document, "status", "endpoints")
        if text_at(entry, "name") in _REGISTRATION_ENDPOINTS and (parts := url_of(text_at(entry, "uri")))
    )
    return tuple(host for host in (*stated, *seen) if host)


def _default_routes(owner: Owner) -> tuple[str, ...]:
    """Return what comes before the cluster's domain in the default hosts of a manager's routes (OpenShift)."""
    return tuple(f"{owner.name}-ibm-eem-{end}-{owner.namespace}" for end in _REGISTRATION_ENDPOINTS)


def hosts_of(kind: str, spec: Tree) -> tuple[HostUse, ...]:
    """
    Return the hosts that an instance asks for, with the class of the Ingress that would carry them.

    A gateway that has listeners no longer uses the deprecated `endpoints`.
    """
    if kind == MANAGER_KIND:
        return tuple(_listed_hosts(object_at(spec, "manager"), ("spec", "manager")))
    if spec.get("listeners") is None:
        return tuple(_listed_hosts(spec, ("spec",)))
    return tuple(
        _host_use(object_at(group, "endpoint"), ("spec", "listeners", at, "groups", nth, "endpoint"))
        for at, listener in objects_at(spec, "listeners")
        for nth, group in objects_at(listener, "groups")
        if text_at(group, "endpoint", "host")
    )


def _listed_hosts(parent: Tree, path: Path) -> Iterator[HostUse]:
    for position, entry in objects_at(parent, "endpoints"):
        if text_at(entry, "host"):
            yield _host_use(entry, (*path, "endpoints", position))


def _host_use(endpoint: Tree, path: Path) -> HostUse:
    return HostUse(
        host=text_at(endpoint, "host").lower(),
        ingress_class=text_at(endpoint, "class") or _DEFAULT_CLASS,
        path=(*path, "host"),
    )


def offered_licences(document: Tree) -> tuple[str, ...]:
    """
    Return the licence ids that the operator accepts, as it writes them into the status of an instance.

    Source: status.versions.available of EventEndpointManagement and EventGateway; the entries' shape is not
    documented, so every string in them that looks like an id counts.
    """
    available = object_at(document, "status", "versions", "available")
    offers = (
        word
        for part in ("versions", "channels")
        for _, entry in objects_at(available, part)
        for licence in list_at(entry, "licenses")
        for word in (licence, *(licence.values() if is_object(licence) else ()))
    )
    return tuple(word for word in islice(offers, _MOST_OFFERS) if isinstance(word, str) and LICENCE_ID.fullmatch(word))
