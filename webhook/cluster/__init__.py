"""
What the API server, or a folder of files, says exists: the IO behind a snapshot.

It knows how to ask, how asking fails, and in what order news counts; what an object means it leaves to `webhook.eem`.
"""

from webhook.cluster.client import ApiClient
from webhook.cluster.credentials import Credentials, CredentialsError, CredentialSource, Endpoint, ServiceAccount, Trust
from webhook.cluster.errors import ApiError, ClusterError, ForbiddenError, UnreachableError
from webhook.cluster.kubeconfig import Kubeconfig
from webhook.cluster.listing import read_all, read_cluster
from webhook.cluster.pace import Clock, Delays
from webhook.cluster.reflector import Reflector, Timing
from webhook.cluster.store import KindStatus, Store

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
    "Reflector",
    "ServiceAccount",
    "Store",
    "Timing",
    "Trust",
    "UnreachableError",
    "read_all",
    "read_cluster",
]
