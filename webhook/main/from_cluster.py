"""Make the service that watches an API server."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from webhook.admission import Options
from webhook.cluster.client import ApiClient
from webhook.cluster.credentials import CredentialSource, Kubeconfig, ServiceAccount
from webhook.cluster.discovery import Discovery
from webhook.cluster.errors import ClusterError
from webhook.cluster.garbage_collection import freeze_lists
from webhook.cluster.list_watch import read_all
from webhook.cluster.probe import Reachability
from webhook.cluster.reflector import Reflector
from webhook.cluster.store import Store
from webhook.eem import WATCHED
from webhook.eem.resources import NETWORK_POLICIES
from webhook.guard.judging import PolicyJudge
from webhook.guard.last_resort import LastResort
from webhook.guard.outcomes import ListError
from webhook.main.assembly import Looks, assemble, judges_of
from webhook.main.own_pair import load_certificate
from webhook.main.service import Service
from webhook.main.upkeep import keep_up
from webhook.settings import Settings


async def from_cluster(settings: Settings) -> Service:
    """
    Make the service that watches an API server.

    Raises:
        CredentialsError: there is no API server to ask, or nothing to ask it with.
    """
    client = ApiClient(credentials(settings))
    store = Store()

    async def live(namespace: str) -> Iterable[Mapping[str, Any]]:
        try:
            return await read_all(client, NETWORK_POLICIES, namespace=namespace)
        except ClusterError as error:
            raise ListError(str(error)) from error

    options = replace(settings.options(), storage_classes_known=True)
    discovery = Discovery(client, platform=options.platform)

    def now() -> Options:
        return replace(options, platform=discovery.facts.platform, installed_version=discovery.facts.version)

    judges = {
        path: LastResort(judge, lambda: store.silence(settings.stale_seconds))
        for path, judge in judges_of(store, PolicyJudge(store, options, live), now).items()
    }
    reach = Reachability(client)
    looks = Looks(notes={"api-server": lambda: reach.problem or None})
    service = assemble(settings, store, judges, looks)
    service.client = client
    service.background.append(partial(freeze_lists, store))
    service.background.append(discovery.run)
    service.background.extend(Reflector(resource, client, store, reach=reach).run for resource in WATCHED)
    if settings.tls_dir is not None:
        await load_certificate(service, settings)
    if is_inside(settings):
        looks.notes.update(keep_up(service, settings, reach))
    return service


def is_inside(settings: Settings) -> bool:
    """Say whether the service runs in the cluster that it guards: only then can the API server call it as a Service."""
    return settings.kubeconfig is None and settings.context is None


def credentials(settings: Settings) -> CredentialSource:
    """
    Give what proves who we are: a kubeconfig where one is named, else the pod's service account.

    Raises:
        CredentialsError: neither is there.
    """
    if is_inside(settings):
        return ServiceAccount.from_environment(os.environ, settings.service_account_dir)
    return Kubeconfig(settings.kubeconfig, settings.context)
