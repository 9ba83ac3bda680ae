"""Build authorities and pairs for the certificate tests, with good defaults."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from certs import KeyPair, issue_serving_pair, make_authority, service_names

NOW = datetime(2027, 3, 1, 12, 0, 0, tzinfo=UTC)
NAMES = service_names("eem-guardrail", "guard")


def authority(*, now: datetime = NOW, days: int = 365) -> KeyPair:
    return make_authority(now=now, lifetime=timedelta(days=days))


def pair(ca: KeyPair, *, names: tuple[str, ...] = NAMES, now: datetime = NOW, days: int = 7) -> KeyPair:
    return issue_serving_pair(ca, names=names, now=now, lifetime=timedelta(days=days))


def openssl(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["openssl", *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
