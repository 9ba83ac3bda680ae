"""
Build the commands of the node that the control plane does not have, once.

    PYTHONPATH=tests:tests/e2e python -m node.binaries

builds them before the tests ask for them, and prints the progress.
"""

import hashlib
import os
from pathlib import Path

from controlplane.build import (
    MODULE,
    BuildError,
    Module,
    cache_root,
    ensure_built,
    kubernetes_stamp,
    pinned_version,
    print_progress,
)

RUNTIME = "github.com/containerd/containerd/v2"
RUNTIME_MODULE = Path(__file__).resolve().parent / "containerd"
KUBERNETES_NAMES = ("kubelet", "kube-proxy", "kube-scheduler")
RUNTIME_NAMES = ("containerd", "containerd-shim-runc-v2", "ctr")
UNUSED_DRIVERS = "no_btrfs,no_zfs,no_devmapper"  # of file systems that need headers or devices


def kubernetes() -> dict[str, str]:
    """Build kubelet, kube-proxy and kube-scheduler."""
    packages = {name: f"k8s.io/kubernetes/cmd/{name}" for name in KUBERNETES_NAMES}
    module = Module(folder=MODULE, packages=packages, stamp=kubernetes_stamp())
    return ensure_built(module, list(packages), folder_of(pinned_version("k8s.io/kubernetes")), print_progress)


def runtime() -> dict[str, str]:
    """Build the container runtime."""
    version = pinned_version(RUNTIME, RUNTIME_MODULE)
    packages = {name: f"{RUNTIME}/cmd/{name}" for name in RUNTIME_NAMES}
    stamp = f"-X {RUNTIME}/version.Version={version.removeprefix('v')}"
    module = Module(folder=RUNTIME_MODULE, packages=packages, stamp=stamp, tags=UNUSED_DRIVERS)
    return ensure_built(module, list(packages), folder_of(f"containerd-{version}"), print_progress)


def own(name: str) -> dict[str, str]:
    """Build one command of this project; its folder has the same name."""
    sources = [*sorted((MODULE / name).glob("*.go")), MODULE / "go.mod"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    module = Module(folder=MODULE, packages={name: f"./{name}"})
    return ensure_built(module, [name], folder_of(f"{name}-{digest[:12]}"), print_progress)


def commands() -> dict[str, str]:
    """Build all commands of a node, and return the path of each by its name."""
    return kubernetes() | runtime() | own("enforcer")


def pause() -> dict[str, str]:
    """Build the program of every container that is not the project's."""
    return own("pause")


def folder_of(version: str) -> Path:
    """Return the folder of the binaries of one version."""
    return cache_root(os.environ) / "node" / version


def main() -> int:
    """Build all of them."""
    try:
        commands()
        pause()
    except (BuildError, OSError) as error:
        print_progress(f"no node: {error}")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
