"""Make the service that takes files, or objects at hand, for the cluster."""

import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from webhook.cluster.garbage_collection import freeze_lists
from webhook.cluster.store import Store
from webhook.eem import EemSnapshot
from webhook.files.file_state import FileState
from webhook.guard.judging import PolicyJudge
from webhook.main.assembly import Looks, assemble, judges_of
from webhook.main.own_pair import install_own_pair, load_certificate
from webhook.main.service import Service
from webhook.settings import Settings

log = logging.getLogger(__name__)


async def from_files(settings: Settings, paths: Sequence[str]) -> Service:
    """
    Make the service that takes files for the cluster.

    Raises:
        FilesError: the files cannot be understood.
    """
    store = Store()
    state = FileState(paths, store, sys.stdin.buffer)
    found = await state.load()
    log.info("state read", extra={"fields": {"objects": len(found.objects), "skipped": sum(found.skipped.values())}})
    options = settings.options()
    judges = judges_of(store, PolicyJudge(store, options), lambda: options)
    service = assemble(settings, store, judges, Looks(checks={"files": lambda: state.problem or None}))
    service.background.append(state.run)
    service.background.append(partial(freeze_lists, store))
    await load_certificate(service, settings)
    return service


def from_objects(settings: Settings, objects: Iterable[Mapping[str, Any]]) -> Service:
    """
    Make the service that takes objects at hand for the cluster, with a pair of its own.

    Raises:
        SpecError: the objects cannot be understood.
    """
    store = Store()
    store.reset(EemSnapshot.from_objects(objects))
    options = settings.options()
    service = assemble(settings, store, judges_of(store, PolicyJudge(store, options), lambda: options), Looks())
    install_own_pair(service)
    return service
