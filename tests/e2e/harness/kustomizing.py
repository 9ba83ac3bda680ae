"""Kustomizations of the tests' own, and what kubectl builds of them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.guard import MANIFESTS
from harness.machine import Machine
from harness.objects import Json


def composed(folder: Path, resource: str, components: Sequence[str] = ()) -> Path:
    """Write the kustomization that adds components to an overlay, or to the base."""
    return written(folder, {"resources": [resource], "components": [f"components/{name}" for name in components]})


def written(folder: Path, kustomization: Mapping[str, Any]) -> Path:
    """
    Write a kustomization into a folder that is made for it.

    Args:
        kustomization: its `resources` and `components` are paths below manifests/.
    """
    folder.mkdir()
    there = folder.resolve()  # kustomize takes bases by relative path only
    named = {
        key: [os.path.relpath(MANIFESTS / path, there) for path in kustomization.get(key, ())]
        for key in ("resources", "components")
    }
    whole = {"sortOptions": {"order": "fifo"}, **kustomization, **named}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(whole))
    return folder


def built(machine: Machine, folder: Path) -> list[Json]:
    """Build a kustomization, in the order in which it is applied and deleted."""
    return list(yaml.safe_load_all(machine.must("kustomize", str(folder)).stdout))
