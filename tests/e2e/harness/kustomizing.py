"""Kustomizations of the tests' own, and what kubectl builds of them."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from harness.guard import MANIFESTS
from harness.machine import Machine
from harness.objects import Json


def composed(folder: Path, resource: str, components: Sequence[str] = ()) -> Path:
    """Write the kustomization that adds components to an overlay, or to the base, into a folder that is made for it."""
    kustomization = {
        "sortOptions": {"order": "fifo"},
        "resources": [f"manifests/{resource}"],
        "components": [f"manifests/components/{name}" for name in components],
    }
    return written(folder, yaml.safe_dump(kustomization))


def written(folder: Path, kustomization: str) -> Path:
    """Write a kustomization with the manifests beside it, into a new folder."""
    folder.mkdir()
    (folder / "manifests").symlink_to(MANIFESTS)
    (folder / "kustomization.yaml").write_text(kustomization)
    return folder


def built(machine: Machine, folder: Path) -> list[Json]:
    """Build a kustomization, in the order in which it is applied and deleted."""
    return list(yaml.safe_load_all(machine.must("kustomize", str(folder)).stdout))
