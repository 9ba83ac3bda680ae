"""Construct the service that watches an API server."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from webhook.admission import Options
from webhook.cluster.client import ApiClient
from webhook.cluster.consistency import Comparison, History, older_than_known
from webhook.cluster.credentials import CredentialSource, Kubeconfig, ServiceAccount
from webhook.cluster.definitions import DEFINITIONS, Definition, definition_name, without_schemas
from webhook.cluster.discovery import Discovery
from webhook.cluster.errors import ClusterError
from webhook.cluster.garbage_collection import freeze_lists
from webhook.cluster.lists import read_all
from webhook.cluster.observed import Observed
from webhook.cluster.probe import Reachability
from webhook.cluster.reflector import Reflector
from webhook.cluster.store import Store
from webhook.eem import OPTIONAL_KINDS, WATCHED
from webhook.eem.resources import NETWORK_POLICIES
from webhook.guard.judging import PolicyJudge
from webhook.guard.last_resort import LastResort
from webhook.guard.live_lists import ListPolicies
from webhook.guard.outcomes import ListError
from webhook.main.assembly import judges_of, load_certificate, make_foundation, make_service
from webhook.main.service import Service, Work
from webhook.main.writers import NO_WRITERS, make_writers
from webhook.settings import Settings


async def from_cluster(settings: Settings) -> Service:
    """
    Return the service that watches an API server.

    Raises:
        CredentialsError: the API server's address or the credentials cannot be found.
    """
    client = ApiClient(credentials(settings))
    store, history, reach = Store(), History(), Reachability(client)
    options = replace(settings.options(), storage_classes_known=True)
    discovery = Discovery(client, platform=options.platform)

    def current_options() -> Options:
        return replace(options, platform=discovery.facts.platform, installed_version=discovery.facts.version)

    policies = PolicyJudge(store, options, _live_list(client, store, history))
    judges = {
        path: LastResort(judge, lambda: store.silence(settings.stale_seconds))
        for path, judge in judges_of(store, policies, current_options).items()
    }
    foundation = make_foundation(settings, store)
    background: list[Work] = [partial(freeze_lists, store), discovery.run, Comparison(client, store, history).run]
    background.extend(_watches(client, store, reach, history))
    if settings.tls_dir is not None:
        background.extend(await load_certificate(foundation))
    writers = make_writers(foundation, client, reach, history) if is_inside(settings) else NO_WRITERS
    return make_service(
        foundation,
        judges,
        background=(*background, *writers.background),
        notes={"api-server": lambda: reach.problem or None, "eem-versions": store.notes, **writers.notes},
        client=client,
    )


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


def _watches(client: ApiClient, store: Store, reach: Reachability, history: History) -> list[Work]:
    """Return the work that keeps the store up to date, with the definitions of the kinds that may be missing."""
    found: list[Work] = []
    for resource in WATCHED:
        definition = None
        if resource.kind in OPTIONAL_KINDS:
            one = Observed(DEFINITIONS, definition_name(resource), keep=without_schemas)
            definition = Definition(resource, one)
            found.append(Reflector(DEFINITIONS, client, one, selection=one.selection, reach=reach, history=history).run)
        found.append(Reflector(resource, client, store, reach=reach, history=history, definition=definition).run)
    return found


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
