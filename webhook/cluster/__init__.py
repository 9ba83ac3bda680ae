"""
What the API server, or a folder of files, says exists: the IO behind a snapshot.

It knows how to ask, how asking fails, and in what order news counts; what an object means it leaves to `webhook.eem`.
Each part is imported when it is asked for: the HTTP client takes longer to import than a whole check of files.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webhook.cluster.client import ApiClient
    from webhook.cluster.credentials import (
        Credentials,
        CredentialsError,
        CredentialSource,
        Endpoint,
        ServiceAccount,
        Trust,
    )
    from webhook.cluster.errors import ApiError, ClusterError, ForbiddenError, UnreachableError
    from webhook.cluster.kubeconfig import Kubeconfig
    from webhook.cluster.listing import read_all, read_cluster
    from webhook.cluster.pace import Clock, Delays, Timing
    from webhook.cluster.reach import Reachability
    from webhook.cluster.reflector import Reflector
    from webhook.cluster.store import KindStatus, Silence, Store

_HOMES = {
    "client": ("ApiClient",),
    "credentials": ("CredentialSource", "Credentials", "CredentialsError", "Endpoint", "ServiceAccount", "Trust"),
    "errors": ("ApiError", "ClusterError", "ForbiddenError", "UnreachableError"),
    "kubeconfig": ("Kubeconfig",),
    "listing": ("read_all", "read_cluster"),
    "pace": ("Clock", "Delays", "Timing"),
    "reach": ("Reachability",),
    "reflector": ("Reflector",),
    "store": ("KindStatus", "Silence", "Store"),
}

__all__ = [
    "ApiClient",
    "ApiError",
    "Clock",
    "ClusterError",
    "CredentialSource",
    "Credentials",
    "CredentialsError",
    "Delays",
    "Endpoint",
    "ForbiddenError",
    "KindStatus",
    "Kubeconfig",
    "Reachability",
    "Reflector",
    "ServiceAccount",
    "Silence",
    "Store",
    "Timing",
    "Trust",
    "UnreachableError",
    "read_all",
    "read_cluster",
]


def __getattr__(name: str) -> object:
    """Import the part that has *name*."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
