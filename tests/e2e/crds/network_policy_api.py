"""
The definitions of cluster-wide policies, as the Go module of their authors has them.

Source: sigs.k8s.io/network-policy-api, config/crd.
"""

from typing import Any, Literal

import yaml

from crds.go_modules import downloaded

Json = dict[str, Any]
Channel = Literal["standard", "experimental"]

MODULE = "sigs.k8s.io/network-policy-api"
ADMIN_VERSION = "v0.1.7"
"""The last version with the definitions of AdminNetworkPolicy and BaselineAdminNetworkPolicy."""
CLUSTER_VERSION = "v0.3.0"


def definitions(version: str, channel: Channel = "standard") -> list[Json]:
    """Return the CustomResourceDefinitions of one version and channel."""
    folder = downloaded(MODULE, version) / "config" / "crd" / channel
    return [yaml.safe_load(path.read_text()) for path in sorted(folder.glob("policy.networking.k8s.io_*.yaml"))]
