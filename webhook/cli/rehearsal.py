"""A cluster in which changes are tried, one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from webhook.admission import Options, Verdict
from webhook.admission.instance import context_of
from webhook.admission.trial import JUDGES, ObjectChange, verdict_on
from webhook.cli.state import State
from webhook.eem import WATCHED, ResourceType
from webhook.eem.resources import CLUSTER_POLICIES, INSTANCE_KINDS
from webhook.eem.rules import stored_form
from webhook.eem.unmanaged_gateways import unmanaged_gateways
from webhook.files.applying import ApplyMode, applied, kept_fields
from webhook.files.change_set import identity_of

if TYPE_CHECKING:
    from webhook.admission.least_fix import Fix

_SHORT: Final = {
    "NetworkPolicy": ("netpol",),
    "EventEndpointManagement": ("eem",),
    "EventGateway": ("egw",),
    "Namespace": ("ns",),
    "Pod": ("po",),
    "Deployment": ("deploy",),
    "StatefulSet": ("sts",),
    "ReplicaSet": ("rs",),
    "DaemonSet": ("ds",),
    "CronJob": ("cj",),
    "StorageClass": ("sc",),
    "AdminNetworkPolicy": ("anp",),
    "BaselineAdminNetworkPolicy": ("banp",),
    "ClusterNetworkPolicy": ("cnp",),
}

MOST_KEPT: Final = 3
"""Fields or pods that a note names."""


def resource_named(spelling: str) -> ResourceType | None:
    """
    Return the resource that kubectl finds by a name: kind, plural or short name, with or without version and group.

    `netpol`, `NetworkPolicy`, `networkpolicies.networking.k8s.io` and `networkpolicies.v1.networking.k8s.io` are one.
    """
    name, _, group = spelling.lower().partition(".")
    for resource in (*WATCHED, *CLUSTER_POLICIES):
        if name in {resource.kind.lower(), resource.plural, *_SHORT.get(resource.kind, ())} and group in {
            "",
            resource.group,
            f"{resource.version}.{resource.group}",
        }:
            return resource
    return None


class Rehearsal:
    """
    A cluster in which changes are tried.

    Args:
        state: the cluster before the changes.
        options: how decisions are made.
        mode: the command of kubectl by which objects are applied.
    """

    def __init__(self, state: State, options: Options, mode: ApplyMode = "replace") -> None:
        self._options = replace(options, offline=True)
        self._mode = mode
        self._snapshot = self._first = state.snapshot()
        self._changes: list[ObjectChange] = []
        self._objects = {identity_of(api_object): api_object for api_object, _ in state.objects}

    @property
    def has_eem(self) -> bool:
        """Whether the cluster has an EEM instance or operator."""
        return bool(self._snapshot.eem)

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what a user should know about the cluster before a verdict on it."""
        names = unmanaged_gateways(self._snapshot)
        if not names:
            return ()
        more = f" and {len(names) - MOST_KEPT} more" if len(names) > MOST_KEPT else ""
        what = ", ".join(names[:MOST_KEPT]) + more
        return (f"not guarded: {what}: the labels gatewayGroup and gatewayId of a gateway, and no EventGateway",)

    def fix(self) -> Fix:
        """Return the least that makes the changes acceptable which were judged and refused."""
        from webhook.admission.least_fix import fix_of_changes  # noqa: PLC0415  only --fix needs the search

        return fix_of_changes(self._changes, self._first, self._options)

    def find(self, kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        """Return one object as it is now; None if it does not exist."""
        return self._objects.get((kind, namespace, name))

    def judge(self, new: Mapping[str, Any] | None, gone: Mapping[str, Any] | None = None) -> Verdict:
        """
        Judge one change, and make it if it is allowed: apply *new*, or delete *gone*.

        Raises:
            ApplyError: kubectl would report an error instead of making the change.
        """
        changed = new if new is not None else gone or {}
        kind, namespace, name = identity_of(changed)
        old = self._objects.get((kind, namespace, name))
        made = None if new is None else applied(new, old, self._mode)
        change = ObjectChange(old=old, new=made)
        self._changes.append(change)
        verdict = verdict_on(change, self._snapshot, self._options)
        if new is not None and made is not None and kind in JUDGES:
            verdict = replace(verdict, warnings=(*verdict.warnings, *_notes(kept_fields(new, made))))
        if verdict.allowed and made is not None:
            stored = self._stored(made, kind, namespace)
            self._snapshot = self._snapshot.with_object(stored)
            self._objects[kind, namespace, name] = stored
        elif verdict.allowed:
            self._snapshot = self._snapshot.without_object(kind, namespace, name)
            del self._objects[kind, namespace, name]
        return verdict

    def _stored(self, made: Mapping[str, Any], kind: str, namespace: str) -> Mapping[str, Any]:
        """Return an object as the API server stores it: an instance without the fields that its definition lacks."""
        if kind not in INSTANCE_KINDS:
            return made
        return stored_form(made, context_of(namespace, self._snapshot, self._options))


def _notes(kept: Sequence[str]) -> tuple[str, ...]:
    """Return what a user should know who expects that the file is the whole object."""
    if not kept:
        return ()
    more = f" and {len(kept) - MOST_KEPT} more" if len(kept) > MOST_KEPT else ""
    return (f"the file does not have {', '.join(kept[:MOST_KEPT])}{more}, so kubectl apply keeps what is there",)
