"""The Secret with the service's certificates, as the tests read and damage it."""

import base64
import json
import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from cryptography import x509

from harness.guard import NAMESPACE
from harness.machine import MODULES, Machine

SECRET = "eem-guardrail-tls"


class Phase(StrEnum):
    """How far a rotation of the authority is."""

    RESTING = "one authority"
    TRUSTED = "the next one is trusted and does not sign yet"
    SIGNING = "the next one signs, and the old one is trusted still"
    UNKNOWN = "there is nothing to tell by"


class Kept:
    """What the Secret holds."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def _where(self) -> tuple[str, str, str]:
        return "secret", SECRET, f"--namespace={NAMESPACE}"

    def data(self) -> dict[str, str]:
        """Read the keys, encoded as the API has them; none where there is no Secret."""
        answer = self._machine.must("get", *self._where(), "--ignore-not-found", "--output=json")
        found: dict[str, str] = (answer.json.get("data") or {}) if answer.stdout else {}
        return found

    def encoded_bundle(self) -> str:
        """Read `ca.crt` as a caBundle has it."""
        return self.data().get("ca.crt", "")

    def authorities(self) -> list[str]:
        """Give the fingerprints of the authorities, the newest first."""
        found = x509.load_pem_x509_certificates(base64.b64decode(self.encoded_bundle()))
        return [f"{one.serial_number:x}" for one in found]

    def phase(self) -> Phase:
        """Say how far a rotation is."""
        data = self.data()
        if "ca.crt" not in data:
            return Phase.UNKNOWN
        if "ca-next.key" in data:
            return Phase.TRUSTED
        trusted = x509.load_pem_x509_certificates(base64.b64decode(data["ca.crt"]))
        return Phase.RESTING if len(trusted) == 1 else Phase.SIGNING

    def ask_for_rotation(self) -> None:
        """Ask for another authority, as a person does."""
        self.by_hand("rotate-ca")

    def by_hand(self, *command: str) -> str:
        """Run one command of `python -m certs` on the Secret, and return what it prints."""
        folder = Path(self._machine.kubectl_path).parent
        settings = [f"--secret={NAMESPACE}/{SECRET}", f"--kubeconfig={self._machine.folder / 'admin.kubeconfig'}"]
        environment = [f"PATH={folder}:{os.environ['PATH']}", f"PYTHONPATH={MODULES}"]
        answer = self._machine.run(["env", *environment, sys.executable, "-m", "certs", *command, *settings])
        if answer.status != 0:
            raise AssertionError(f"python -m certs {command[0]}: {answer.stdout}{answer.stderr}")
        return answer.stdout

    def delete(self) -> None:
        """Take the Secret away."""
        self._machine.must("delete", *self._where(), "--ignore-not-found")

    def replace(self, data: Mapping[str, str]) -> None:
        """Put other keys into it, encoded as the API has them; where it had more, these are gone."""
        operations = [{"op": "replace", "path": "/data", "value": dict(data)}]
        patch = json.dumps(operations)
        command = ("--type=json", "--patch-file=/dev/stdin")  # too long for an argument
        self._machine.must("patch", *self._where(), *command, stdin=patch)
