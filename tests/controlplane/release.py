"""
Build the control plane of another release of Kubernetes, and print the folder that it is in.

    KUBEBUILDER_ASSETS=$(PYTHONPATH=tests python -m controlplane.release 1.34.4) python -m pytest tests/e2e

runs the end-to-end tests against it. Its Go module is made here, of what that release says of itself: in its own
repository its parts lie side by side, outside of it each has a version that goes with the release's.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from controlplane.build import PACKAGES, BuildError, Module, cache_root, ensure_built, find_go, kubernetes_stamp

KUBERNETES = "k8s.io/kubernetes"
COMMANDS = {name: package for name, package in PACKAGES.items() if package.startswith(KUBERNETES)}
PART = re.compile(r"^\s*(k8s\.io/[\w-]+) v0\.0\.0$", re.MULTILINE)


def go(folder: Path, *arguments: str) -> str:
    """
    Run go, which may complete the module in *folder*.

    Raises:
        BuildError: it failed.
    """
    environment = os.environ | {"GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}
    done = subprocess.run(
        [find_go(), *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BuildError(f"go {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def write_module(folder: Path, release: str) -> None:
    """Write the module of one release, such as 1.34.4, with all that its commands need."""
    found = json.loads(go(folder.parent, "mod", "download", "-json", f"{KUBERNETES}@v{release}"))
    parts = sorted(set(PART.findall(Path(found["GoMod"]).read_text())))
    of_parts = f"v0.{release.partition('.')[2]}"
    lines = [
        "module eem-guardrail.io/tests/release",
        "go 1.26.0",
        f"require {KUBERNETES} v{release}",
        *(f"replace {part} => {part} {of_parts}" for part in parts),
    ]
    folder.mkdir(exist_ok=True)
    (folder / "go.mod").write_text("\n\n".join(lines) + "\n")
    go(folder, "list", "-deps", *COMMANDS.values())


def main() -> int:
    """Build one release."""
    (release,) = sys.argv[1:]
    root = cache_root(os.environ) / "controlplane"
    root.mkdir(parents=True, exist_ok=True)
    folder = root / f"module-{release}"
    try:
        if not (folder / "go.sum").exists():
            write_module(folder, release)
        plane = Module(folder=folder, packages=COMMANDS, stamp=kubernetes_stamp(folder))
        ensure_built(plane, list(COMMANDS), root / release)
    except (BuildError, OSError) as error:
        print(f"no control plane of {release}: {error}", file=sys.stderr)
        return 2
    print(root / release)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
