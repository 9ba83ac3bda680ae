"""A cluster that is there already: kind's, or the one that kubectl reaches as it is set up."""

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.machine import Machine, NoMachineError
from harness.pods import PodWitness

KIND_CONTEXT = "kind-eem-guardrail"  # kind's name for the cluster that tests/e2e/kind.yaml describes
KIND_MANIFESTS = "overlays/kind"


class Foreign(Machine):
    """
    A cluster that these tests neither start nor stop.

    It has the image under the name that the manifests give it, and nothing of the service is installed.
    """

    def __init__(self, folder: Path, context: str | None) -> None:
        kubectl = shutil.which("kubectl")
        if kubectl is None:
            raise NoMachineError("kubectl is not installed")
        super().__init__(folder, {"kubectl": kubectl})
        self._context = context
        if context == KIND_CONTEXT:
            self.manifests = KIND_MANIFESTS
        self._witness = PodWitness(self)

    def start(self) -> None:
        """Look whether it answers."""
        self.logs.mkdir()
        answer = self.kubectl("version", "--output=json")
        if answer.status != 0:
            raise NoMachineError(answer.stderr)
        self._witness.start()

    def stop(self) -> None:
        """Leave it."""
        self._witness.stop()

    def end_at_once(self, pods: Iterable[str]) -> None:
        """Let the pods drain."""

    def _inside(self, command: Sequence[str]) -> list[str]:
        return [*command]

    def _client(self) -> list[str]:
        chosen = [f"--context={self._context}"] if self._context else []
        return [self._binaries["kubectl"], *chosen]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "KUBERC": "off"}
