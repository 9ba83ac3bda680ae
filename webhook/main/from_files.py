"""Construct the service whose state comes from files, or from objects in memory."""

import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from webhook.admission import Options
from webhook.cluster.garbage_collection import freeze_lists
from webhook.cluster.store import Store
from webhook.eem import EemSnapshot
from webhook.files.file_state import FileState
from webhook.guard.bypassing import Bypasses
from webhook.guard.judging import PolicyJudge
from webhook.guard.outcomes import Judge
from webhook.main.assembly import (
    Foundation,
    install_pair_in_memory,
    judges_of,
    load_certificate,
    make_foundation,
    make_service,
)
from webhook.main.service import Service
from webhook.settings import Settings

_log: Final = logging.getLogger(__name__)


async def from_files(settings: Settings, paths: Sequence[str]) -> Service:
    """
    Return the service that reads the state of the cluster from files, again when they change.

    Raises:
        FilesError: the files cannot be understood.
    """
    store = Store()
    state = FileState(paths, store, sys.stdin.buffer)
    found = await state.load()
    _log.info("state read", extra={"fields": {"objects": len(found.objects), "skipped": sum(found.skipped.values())}})
    options = settings.options()
    foundation = make_foundation(settings, store)
    return make_service(
        foundation,
        _judges(foundation, options),
        background=(state.run, partial(freeze_lists, store), *(await load_certificate(foundation))),
        checks={"files": lambda: state.problem or None},
    )


def from_objects(settings: Settings, objects: Iterable[Mapping[str, Any]]) -> Service:
    """
    Return the service whose state is *objects*, with a serving pair in memory.

    Raises:
        SpecError: the objects cannot be understood.
    """
    store = Store()
    store.reset(EemSnapshot.from_objects(objects))
    options = settings.options()
    foundation = make_foundation(settings, store)
    install_pair_in_memory(foundation.certificate)
    return make_service(foundation, _judges(foundation, options))


def _judges(foundation: Foundation, options: Options) -> Mapping[str, Judge]:
    """Return the judges of files, which know the rights of no user."""
    bypasses = Bypasses(None, foundation.metrics.audit.bypasses.inc)
    policies = PolicyJudge(foundation.store, options, reconsider=bypasses.reconsider)
    return judges_of(foundation.store, policies, lambda: options)
