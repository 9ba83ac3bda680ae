"""Read and write the cluster's Secret by kubectl: with the rights, and by the login, of the person who asks."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from certs.authority import CertificateError

TIMEOUT_SECONDS = 60.0  # a login plugin may ask a browser


@dataclass(frozen=True, kw_only=True, slots=True)
class KubectlSecret:
    """
    One Secret, as kubectl sees it.

    Args:
        options: passed to kubectl as they are, such as `--context=…`.
    """

    namespace: str
    name: str
    options: Sequence[str] = ()

    def read(self) -> dict[str, Any] | None:
        """
        Give the Secret, or None where there is none.

        Raises:
            CertificateError: kubectl cannot be run, or says why not.
        """
        answer = self._run("get", "secret", self.name, "--ignore-not-found", "--output=json")
        if not answer.strip():
            return None
        found: dict[str, Any] = json.loads(answer)
        return found

    def create(self, secret: Mapping[str, Any]) -> None:
        """
        Make the Secret.

        Raises:
            CertificateError: it is there already, or may not be made.
        """
        self._run("create", "--filename=-", "--output=name", sent=secret)

    def replace(self, secret: Mapping[str, Any]) -> None:
        """
        Replace the version that its resourceVersion names.

        Raises:
            CertificateError: it has been changed since, or may not be replaced.
        """
        self._run("replace", "--filename=-", "--output=name", sent=secret)

    def _run(self, *arguments: str, sent: Mapping[str, Any] | None = None) -> str:
        command = ["kubectl", *self.options, f"--namespace={self.namespace}", *arguments]
        try:
            done = subprocess.run(  # noqa: S603  no shell; the words are the person's own
                command,
                input=json.dumps(sent) if sent is not None else None,
                capture_output=True,
                text=True,
                check=False,
                timeout=TIMEOUT_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CertificateError(f"kubectl: {error}") from error
        if done.returncode:
            raise CertificateError(f"kubectl: {done.stderr.strip() or 'it failed and did not say why'}")
        return done.stdout
