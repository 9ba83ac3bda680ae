"""Construct the service that watches an API server."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from webhook.admission import AdmissionRequest, Options
from webhook.admission.bypass import access_review
from webhook.admission.options import is_egress_judged
from webhook.cluster.api_groups import ApiGroups, ServedKind
from webhook.cluster.client import ApiClient
from webhook.cluster.consistency import Comparison, History, older_than_known
from webhook.cluster.credentials import CredentialSource, Kubeconfig, ServiceAccount
from webhook.cluster.definitions import DEFINITIONS, Definition, definition_name, without_schemas
from webhook.cluster.destination_reads import DestinationReads
from webhook.cluster.discovery import Discovery
from webhook.cluster.errors import ClusterError
from webhook.cluster.garbage_collection import freeze_lists
from webhook.cluster.lists import read_all
from webhook.cluster.observed import Observed
from webhook.cluster.probe import Reachability
from webhook.cluster.reflector import Reflector
from webhook.cluster.store import Store
from webhook.eem import WATCHED, PolicyKind
from webhook.eem.policy_kinds import NAME_OF
from webhook.eem.resources import INSTANCE_KINDS, NETWORK_POLICIES, TIERED, ResourceType
from webhook.guard.bypassing import AskAccess, Bypasses
from webhook.guard.judging import PolicyJudge
from webhook.guard.last_resort import LastResort
from webhook.guard.live_lists import ListPolicies
from webhook.guard.outcomes import ListError
from webhook.main.assembly import judges_of, load_certificate, make_foundation, make_service
from webhook.main.service import Service, Work
from webhook.main.writers import NO_WRITERS, make_writers
from webhook.settings import Settings

ACCESS_REVIEWS: Final = ResourceType(
    group="authorization.k8s.io", version="v1", plural="subjectaccessreviews", kind="SubjectAccessReview"
)


async def from_cluster(settings: Settings) -> Service:
    """
    Return the service that watches an API server.

    Raises:
        CredentialsError: the API server's address or the credentials cannot be found.
    """
    client = ApiClient(credentials(settings))
    store, history, reach = Store((*WATCHED, *TIERED)), History(), Reachability(client)
    options = replace(settings.options(), storage_classes_known=True)
    discovery = Discovery(client, platform=options.platform)

    def current_options() -> Options:
        return replace(options, platform=discovery.facts.platform, installed_version=discovery.facts.version)

    foundation = make_foundation(settings, store)
    bypasses = Bypasses(_ask_access(client), foundation.metrics.audit.bypasses.inc)
    policies = PolicyJudge(store, options, _live_list(client, store, history), reconsider=bypasses.reconsider)
    judges = {
        path: LastResort(judge, lambda: store.silence(settings.stale_seconds))
        for path, judge in judges_of(store, policies, current_options).items()
    }
    groups = _follow_groups(client, store)
    destinations = DestinationReads(client, store, partial(is_egress_judged, options=options))
    background: list[Work] = [
        partial(freeze_lists, store),
        discovery.run,
        groups.run,
        destinations.run,
        Comparison(client, store, history).run,
    ]
    background.extend(_watches(client, store, reach, history, groups))
    if settings.tls_dir is not None:
        background.extend(await load_certificate(foundation))
    writers = make_writers(foundation, client, reach, history) if is_inside(settings) else NO_WRITERS
    return make_service(
        foundation,
        judges,
        background=(*background, *writers.background),
        notes={
            "api-server": lambda: reach.problem or None,
            "api-groups": lambda: groups.problem or None,
            "eem-versions": store.notes,
            "egress-destinations": lambda: destinations.problem or None,
            **writers.notes,
        },
        client=client,
    )


def _follow_groups(client: ApiClient, store: Store) -> ApiGroups:
    """Return what finds out which policy kinds the cluster has; no verdict is given before."""
    groups = ApiGroups(client)
    told: list[tuple[PolicyKind, ...]] = []

    def tell() -> None:
        read = tuple(
            known
            for known, kind in NAME_OF.items()
            if known in groups.served and store.status[kind].served and store.status[kind].synced
        )
        found = [read, groups.others(read)]
        if groups.is_known and told != found:
            told[:] = found
            store.set_policy_kinds(*found)

    store.await_policy_kinds()
    groups.subscribe(tell)
    store.subscribe(tell)
    return groups


def _ask_access(client: ApiClient) -> AskAccess:
    """Return what asks the API server whether a user may bypass the guard."""

    async def ask(request: AdmissionRequest) -> object:
        try:
            return await client.request("POST", ACCESS_REVIEWS.path(None), body=access_review(request))
        except ClusterError as error:
            raise ListError(str(error)) from error

    return ask


def _live_list(client: ApiClient, store: Store, history: History) -> ListPolicies:
    """Return what lists the policies of a namespace for a review; it also shows whether the cluster went back."""
    kind = NETWORK_POLICIES.kind

    async def list_policies(namespace: str) -> Iterable[Mapping[str, Any]]:
        newest = store.newest(kind)
        try:
            listed = await read_all(client, NETWORK_POLICIES, namespace=namespace)
        except ClusterError as error:
            raise ListError(str(error)) from error
        reason = older_than_known(store.known(kind), newest, listed)
        if reason:
            history.went_back(f"{NETWORK_POLICIES.plural}: {reason}")
            raise ListError("the cluster went back to an older state")
        return listed.objects

    return list_policies


def _watches(client: ApiClient, store: Store, reach: Reachability, history: History, groups: ApiGroups) -> list[Work]:
    """Return the work that keeps the store up to date, with the definitions of the kinds that may be missing."""
    found: list[Work] = []
    for resource in WATCHED:
        definition = None
        if resource.kind in INSTANCE_KINDS:
            one = Observed(DEFINITIONS, definition_name(resource), keep=without_schemas)
            definition = Definition(resource, one)
            definition.subscribe(partial(_note_operators, definition, resource.kind, store))
            found.append(Reflector(DEFINITIONS, client, one, selection=one.selection, reach=reach, history=history).run)
        found.append(Reflector(resource, client, store, reach=reach, history=history, definition=definition).run)
    for resource in TIERED:
        served = ServedKind(resource, groups)
        found.append(Reflector(resource, client, store, reach=reach, history=history, definition=served).run)
    return found


def _note_operators(definition: Definition, kind: str, store: Store, _is_new: bool) -> None:  # noqa: FBT001
    """Note in the store for which operators a kind was installed."""
    if definition.installation is not None:
        store.set_operator_namespaces(kind, definition.installation.operator_namespaces)


def is_inside(settings: Settings) -> bool:
    """Whether the service runs in the cluster that it guards: only then can the API server reach it as a Service."""
    return settings.kubeconfig is None and settings.context is None


def credentials(settings: Settings) -> CredentialSource:
    """
    Return the credentials of the kubeconfig if one is named, else those of the pod's service account.

    Raises:
        CredentialsError: they cannot be found.
    """
    if is_inside(settings):
        return ServiceAccount.from_environment(os.environ, settings.service_account_dir)
    return Kubeconfig(settings.kubeconfig, settings.context)
