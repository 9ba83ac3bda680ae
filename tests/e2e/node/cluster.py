"""The node that a test uses: it can be started, restarted like a machine, and stopped, and runs commands."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from controlplane.build import BuildError
from harness.machine import (
    KUBECTL_SECONDS,
    MODULES,
    Answer,
    Machine,
    NoMachineError,
)
from harness.pods import PodWitness
from harness.waiting import wait_until

from node import availability, binaries, images
from node.files import RUNTIME_SOCKET

PODS_MEMORY_BYTES = 4 * 1024**3  # for all pods together, because the sum of their own limits is higher
CGROUPS = availability.CGROUPS
EMPTY_SECONDS = 20  # until the kernel has emptied the control groups


def parts() -> tuple[dict[str, str], dict[str, str]]:
    """
    Find or build the parts of a node: the path of each command, and the archive of each image.

    Raises:
        NoMachineError: a part could not be built; the text has the reason.
    """
    try:
        commands = binaries.commands()
        archives = {image: str(path) for image, path in images.ensure().items()}
    except (BuildError, images.ImageError, OSError, subprocess.SubprocessError) as error:
        raise NoMachineError(str(error)) from error
    return commands, archives


class Node(Machine):
    """One running node under one folder."""

    program = "node.inside"
    image = images.PROJECT

    def __init__(self, folder: Path, control_plane: Mapping[str, str]) -> None:
        reason = availability.reason()
        if reason:
            raise NoMachineError(reason)
        commands, self._archives = parts()
        super().__init__(folder, {**control_plane, **commands})
        self._group = f"eem-guardrail-{os.getpid()}"
        self._witness = PodWitness(self)

    @property
    def enforced(self) -> str:
        """The packet filter rules in force; "" while there are none."""
        path = self.folder / "enforced.nft"
        return path.read_text() if path.exists() else ""

    def archive(self, image: str) -> Path:
        """Return the archive of one image."""
        return Path(self._archives[image])

    def take_in(self, archive: Path) -> None:
        """Load one more image into the container runtime."""
        runtime = (self._binaries["ctr"], f"--address={RUNTIME_SOCKET}", "--namespace=k8s.io")
        taken = self.inside(*runtime, "images", "import", "--local", str(archive))
        if taken.status != 0:
            raise AssertionError(taken.stderr)

    def start(self) -> None:
        """Start the node, and return when the API server reports it as ready."""
        for group in self._groups():
            group.mkdir(exist_ok=True)
            limit_memory(group)
        super().start()
        self._witness.start()

    def stop(self) -> None:
        """Stop the node and everything in it. The logs are kept, its disk is not."""
        self._witness.stop()
        super().stop()
        wait_until(self._are_gone, "the control groups to be empty", seconds=EMPTY_SECONDS)
        for name in ("containerd", "disk"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def restart(self) -> None:
        """Kill everything at once, as a power failure does, and start it again with its disk."""
        self._witness.stop()
        if self._process is not None:
            self._process.kill()
        self._end()
        wait_until(self._are_gone, "the control groups to be empty", seconds=EMPTY_SECONDS)
        self.start()

    def end_at_once(self, pods: Iterable[str]) -> None:
        """Do nothing, so that the pods drain: the kubelet restarts a container that is killed."""

    def _isolation(self) -> list[str]:
        # Not --mount-proc alone: /sys stays as it is, and with it the control groups.
        return list(availability.ISOLATION)

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), "archives": self._archives, "group": self._group, "pause": images.PAUSE}

    def _groups(self) -> Iterator[Path]:
        """Yield the node's control group in every hierarchy: one each (version 1), or one for all (version 2)."""
        if (CGROUPS / "cgroup.controllers").exists():
            yield CGROUPS / self._group
            return
        for hierarchy in sorted(CGROUPS.iterdir()):
            if (hierarchy / "cgroup.procs").exists() and not hierarchy.is_symlink():
                yield hierarchy / self._group

    def _are_gone(self) -> bool:
        """Remove the control groups, which works when they are empty, and return whether they are gone."""
        for group in self._groups():
            for folder in sorted(group.rglob("*/"), reverse=True):
                remove_empty(folder)
            remove_empty(group)
        return not any(group.exists() for group in self._groups())

    def inside(self, *command: str, stdin: str = "", seconds: float = KUBECTL_SECONDS) -> Answer:
        """Run one command in all namespaces of the node. It can import the modules of the tests."""
        done = subprocess.run(
            [*self._enter_all(), *command],
            env=self._variables(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        return Answer(status=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def begin_inside(self, *command: str) -> subprocess.Popen[str]:
        """Start one command in all namespaces of the node."""
        return subprocess.Popen(
            [*self._enter_all(), *command],
            env=self._variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _enter_all(self) -> list[str]:
        return ["nsenter", f"--target={self.first_process}", "--all", "--"]

    def _variables(self) -> dict[str, str]:
        return self._environment() | {"PATH": availability.search_path(os.environ), "PYTHONPATH": MODULES}

    @property
    def first_process(self) -> int:
        """The process ID of process 1 of the node, outside of it."""
        if self._process is None:
            raise RuntimeError("the node is not started")
        pid = self._process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def limit_memory(group: Path) -> None:
    """Limit the memory of all pods together, if *group* is a control group for memory."""
    for name in ("memory.limit_in_bytes", "memory.max"):
        if (group / name).exists():
            (group / name).write_text(str(PODS_MEMORY_BYTES))
    for name in ("cpuset.cpus", "cpuset.mems"):  # in version 1, these are empty in a new group
        if (group / name).exists() and not (group / name).read_text().strip():
            (group / name).write_text((group.parent / name).read_text())


def remove_empty(folder: Path) -> None:
    """Remove one control group, unless it is in use."""
    try:
        folder.rmdir()
    except OSError:  # in use, or already removed
        return
