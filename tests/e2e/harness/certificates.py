"""The Secret with the certificates of the service, as the tests read and damage it."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509

from certs.material import ROTATE_ANNOTATION
from harness.guard import NAMESPACE
from harness.machine import MODULES, Machine

SECRET = "eem-guardrail-tls"


class Phase(StrEnum):
    """How far a rotation is."""

    RESTING = "one CA"
    TRUSTED = "the next CA is trusted and does not sign yet"
    SIGNING = "the next CA signs, and the old one is still trusted"
    UNKNOWN = "the Secret has no CA"


class Kept:
    """The Secret in the cluster."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def _where(self) -> tuple[str, str, str]:
        return "secret", SECRET, f"--namespace={NAMESPACE}"

    def data(self) -> dict[str, str]:
        """Return the data of the Secret, encoded as in the API, empty if there is no Secret."""
        answer = self._machine.must("get", *self._where(), "--ignore-not-found", "--output=json")
        found: dict[str, str] = (answer.json.get("data") or {}) if answer.stdout else {}
        return found

    def encoded_bundle(self) -> str:
        """Return `ca.crt`, encoded as a caBundle."""
        return self.data().get("ca.crt", "")

    def authorities(self) -> list[str]:
        """Return the serial numbers of the CAs, newest first."""
        found = x509.load_pem_x509_certificates(base64.b64decode(self.encoded_bundle()))
        return [f"{one.serial_number:x}" for one in found]

    def phase(self) -> Phase:
        """Return how far a rotation is."""
        data = self.data()
        if "ca.crt" not in data:
            return Phase.UNKNOWN
        if "ca-next.key" in data:
            return Phase.TRUSTED
        trusted = x509.load_pem_x509_certificates(base64.b64decode(data["ca.crt"]))
        return Phase.RESTING if len(trusted) == 1 else Phase.SIGNING

    def ask_for_rotation(self) -> None:
        """Request a new CA, as the user does."""
        requested = datetime.now(UTC).isoformat(timespec="seconds")
        self._machine.must("annotate", "--overwrite", *self._where(), f"{ROTATE_ANNOTATION}={requested}")

    def by_hand(self, *command: str) -> str:
        """Run one command of `python -m certs` on the content of the Secret, and return what it prints."""
        with TemporaryDirectory() as folder:
            for name, content in self.data().items():
                (Path(folder) / name).write_bytes(base64.b64decode(content))
            done = subprocess.run(
                [sys.executable, "-m", "certs", *command, f"--out={folder}"],
                env={**os.environ, "PYTHONPATH": MODULES},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise AssertionError(f"python -m certs {command[0]}: {done.stdout}{done.stderr}")
            data = {path.name: base64.b64encode(path.read_bytes()).decode() for path in Path(folder).iterdir()}
        if data != self.data():
            self.replace(data)
        return done.stdout

    def delete(self) -> None:
        """Delete the Secret."""
        self._machine.must("delete", *self._where(), "--ignore-not-found")

    def replace(self, data: Mapping[str, str]) -> None:
        """Replace the data of the Secret, encoded as in the API."""
        operations = [{"op": "replace", "path": "/data", "value": dict(data)}]
        patch = json.dumps(operations)
        command = ("--type=json", "--patch-file=/dev/stdin")  # too long for an argument
        self._machine.must("patch", *self._where(), *command, stdin=patch)
