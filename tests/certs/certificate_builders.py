"""Build authorities, serving pairs and Secrets for the certificate tests, with good defaults."""

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from certs.authority import KeyPair, issue_serving_pair, make_authority, service_names
from certs.material import ROTATE_ANNOTATION

NOW = datetime(2027, 3, 1, 12, 0, 0, tzinfo=UTC)
NAMES = service_names("eem-guardrail", "guard")


def authority(*, now: datetime = NOW, days: int = 365) -> KeyPair:
    return make_authority(now=now, lifetime=timedelta(days=days))


def pair(ca: KeyPair, *, names: tuple[str, ...] = NAMES, now: datetime = NOW, days: int = 7) -> KeyPair:
    return issue_serving_pair(ca, names=names, now=now, lifetime=timedelta(days=days))


def with_request(secret: Mapping[str, Any], requested: datetime) -> dict[str, Any]:
    """Return the Secret with a request for a rotation, as `kubectl annotate` writes it."""
    metadata = secret["metadata"]
    annotations = {**metadata.get("annotations", {}), ROTATE_ANNOTATION: requested.isoformat()}
    return {**secret, "metadata": {**metadata, "annotations": annotations}}


def openssl(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["openssl", *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
