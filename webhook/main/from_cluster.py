"""Make the service that watches an API server."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from webhook.admission import Options
from webhook.cluster import ApiClient, CredentialSource, Kubeconfig, Reflector, ServiceAccount, Store, read_all
from webhook.cluster.surroundings import Surroundings, Survey
from webhook.collecting import Lists
from webhook.eem import WATCHED
from webhook.eem.resources import NETWORK_POLICIES
from webhook.main.assembly import assemble, judges_of
from webhook.main.own_pair import load_certificate
from webhook.main.service import Service
from webhook.server.judging import PolicyJudge
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
        return await read_all(client, NETWORK_POLICIES, namespace=namespace)

    options = replace(settings.options(), storage_classes_known=True)
    found = Surroundings(platform=options.platform)

    def now() -> Options:
        return replace(options, platform=found.platform, installed_version=found.version)

    judges = judges_of(store, PolicyJudge(store, options, live), now)
    service = assemble(settings, store, judges, {})
    service.client = client
    service.background.append(Lists(store).keep_aside)
    service.background.append(Survey(client, found).run)
    service.background.extend(Reflector(resource, client, store).run for resource in WATCHED)
    await load_certificate(service, settings)
    return service


def credentials(settings: Settings) -> CredentialSource:
    """
    Give what proves who we are: a kubeconfig where one is named, else the pod's service account.

    Raises:
        CredentialsError: neither is there.
    """
    if settings.kubeconfig is not None or settings.context is not None:
        return Kubeconfig(settings.kubeconfig, settings.context)
    return ServiceAccount.from_environment(os.environ, settings.service_account_dir)
