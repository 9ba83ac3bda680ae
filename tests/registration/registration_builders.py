"""What the registration's tests are made of: configurations, a clock that a test moves, a running registrar."""

import base64
import copy
from typing import Any

from webhook.eem.resources import ResourceType
from webhook.registration.entries import NAME, SHIPPED

BUNDLE = b"-----BEGIN CERTIFICATE-----\nMQ==\n-----END CERTIFICATE-----\n"


def encoded(bundle: bytes) -> str:
    return base64.b64encode(bundle).decode()


def shipped(resource: ResourceType) -> list[dict[str, Any]]:
    """Give what the manifests ship of a configuration."""
    return [copy.deepcopy(dict(entry)) for entry in SHIPPED[resource.kind]]


def configuration(resource: ResourceType, *entries: Any) -> dict[str, Any]:
    """Give a configuration with these entries."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": NAME, "uid": "uid-1", "resourceVersion": "1"},
        "webhooks": list(entries),
    }
