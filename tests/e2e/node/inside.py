"""
Process 1 of the node's namespaces: network, control plane, container runtime, kubelet, kube-proxy and enforcer.

It ends when standard input is closed, a pipe from the process of the tests. Then the kernel ends all other processes,
and removes the mount namespace with all mounts.
"""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from harness.api import ApiClient, ApiError
from harness.load import end_of_input
from harness.plane import (
    GIB,
    HOST,
    LIMITS,
    MIB,
    PAUSE_SECONDS,
    Limits,
    Plane,
    PlaneError,
    kubeconfig,
)

from node.availability import search_path
from node.files import NODE, RUNTIME_SOCKET, Layout, write_files
from node.surroundings import connect, isolate

READY_SECONDS = 120  # measured: 12 to 16 s on 2 cores
TOKENS = {
    "kubelet": ("e2e-kubelet", f"system:node:{NODE}", "system:nodes"),
    "kube-scheduler": ("e2e-scheduler", "system:kube-scheduler", "system:authenticated"),
    "kube-proxy": ("e2e-proxy", "system:kube-proxy", "system:authenticated"),
    "enforcer": ("e2e-enforcer", "e2e-enforcer", "system:masters"),
}
# Measured resident memory: kubelet 90 MiB, containerd 60, kube-proxy 60, scheduler 60, enforcer 45.
NODE_LIMITS = {
    "kube-scheduler": Limits(memory_bytes=256 * MIB, address_space_bytes=8 * GIB),
    "containerd": Limits(memory_bytes=512 * MIB, address_space_bytes=8 * GIB),
    "kubelet": Limits(memory_bytes=512 * MIB, address_space_bytes=8 * GIB),
    "kube-proxy": Limits(memory_bytes=256 * MIB, address_space_bytes=8 * GIB),
    "enforcer": Limits(memory_bytes=256 * MIB, address_space_bytes=8 * GIB),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What the process of the tests passes in."""

    layout: Layout
    binaries: Mapping[str, str]
    archives: Mapping[str, str]  # of the images, by name
    pause: str


class NodePlane(Plane):
    """The control plane of a cluster that has a node, and the node."""

    limits: Mapping[str, Limits] = LIMITS | NODE_LIMITS

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.layout.folder, settings.binaries)
        self._settings = settings
        self._layout = settings.layout

    @property
    def search_path(self) -> str:
        """PATH of all commands: containerd finds its shim beside itself, and others need the commands of root."""
        here = str(Path(self._binaries["containerd"]).parent)
        return os.pathsep.join([here, search_path(os.environ)])

    def _write_files(self) -> None:
        """Write the files of a first start. A later start finds them, as a rebooted machine does."""
        if not (self._folder / "pki").exists():
            super()._write_files()
        runc = shutil.which("runc", path=self.search_path) or "runc"
        write_files(self._layout, HOST, self._settings.pause, runc)
        for name, (token, _, _) in TOKENS.items():
            self._layout.kubeconfig(name).write_text(kubeconfig(self.url, self.ca, token))

    def _users(self) -> list[str]:
        return [
            *super()._users(),
            *(f'{token},{user},{user},"{group}"' for token, user, group in TOKENS.values()),
        ]

    def _apiserver_flags(self) -> list[str]:
        return [
            *(one for one in super()._apiserver_flags() if one != "--enable-aggregator-routing"),
            "--enable-admission-plugins=NodeRestriction",
            "--kubelet-preferred-address-types=InternalIP",
        ]

    def _controllers(self) -> Sequence[str]:
        return ("*", "-node-route-controller", "-cloud-node-lifecycle-controller")

    async def start_node(self, client: ApiClient) -> None:
        """Start the parts of the node, and return when the API server reports it as ready."""
        await self._spawn("kube-scheduler", self._scheduler_flags())
        await self._take_images_in()
        await self._spawn("kubelet", self._kubelet_flags())
        await self._spawn("kube-proxy", [f"--config={self._layout.proxy}"])
        enforced = [f"--kubeconfig={self._layout.kubeconfig('enforcer')}", f"--loaded={self._layout.rules}"]
        await self._spawn("enforcer", enforced)
        await self._until(client, f"/api/v1/nodes/{NODE}", is_ready, "the node is not ready")
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        await self._until(client, account, bool, "no default service account")

    def _scheduler_flags(self) -> list[str]:
        return [
            f"--kubeconfig={self._layout.kubeconfig('kube-scheduler')}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
        ]

    def _kubelet_flags(self) -> list[str]:
        return [
            f"--config={self._layout.kubelet}",
            f"--kubeconfig={self._layout.kubeconfig('kubelet')}",
            f"--hostname-override={NODE}",
            f"--node-ip={HOST}",
        ]

    async def start_runtime(self) -> None:
        """Start the container runtime, while the control plane starts."""
        self._write_files()
        RUNTIME_SOCKET.parent.mkdir(parents=True, exist_ok=True)
        await self._spawn("containerd", [f"--config={self._layout.runtime}", "--log-level=info"])

    async def _take_images_in(self) -> None:
        """Load the images into the runtime, as soon as it answers."""
        ctr = [self._binaries["ctr"], f"--address={RUNTIME_SOCKET}", "--namespace=k8s.io"]
        async with asyncio.timeout(READY_SECONDS):
            while await status_of(*ctr, "version") != 0:
                await self._watch_ends(PAUSE_SECONDS)
        for archive in self._settings.archives.values():
            if await status_of(*ctr, "images", "import", "--local", archive) != 0:
                raise PlaneError(f"containerd does not take {archive} in\n{self._last_words('containerd')}")

    async def _until(self, client: ApiClient, path: str, test: Any, otherwise: str) -> None:
        """Read one object repeatedly until it passes *test*."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                while not test(await found(client, path)):
                    await self._watch_ends(PAUSE_SECONDS)
        except TimeoutError:
            raise PlaneError(f"{otherwise}\n{self._last_words('kubelet')}") from None


def is_ready(node: Mapping[str, Any]) -> bool:
    """Whether a node is ready, by the API server."""
    conditions = node.get("status", {}).get("conditions", ())
    return {"Ready": "True"}.items() <= {one["type"]: one["status"] for one in conditions}.items()


async def found(client: ApiClient, path: str) -> Mapping[str, Any]:
    """Return one object, empty if it does not exist."""
    try:
        answer: Mapping[str, Any] = await client.ask("GET", path)
    except ApiError:
        return {}
    return answer


async def status_of(*command: str) -> int:
    """Run one command, and return its exit status."""
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=quiet, stderr=quiet)
    return await process.wait()


async def serve(settings: Settings) -> None:
    """Start the node, report that it is ready, and keep it running."""
    plane = NodePlane(settings)
    await plane.start_runtime()
    client = await plane.start()
    await plane.start_node(client)
    await client.close()
    print("ready", flush=True)
    await end_of_input(asyncio.Event())


def main() -> None:
    """Read the settings from the first argument, and serve."""
    given = json.loads(sys.argv[1])
    layout = Layout(folder=Path(given["folder"]), group=given["group"])
    settings = Settings(layout=layout, binaries=given["binaries"], archives=given["archives"], pause=given["pause"])
    isolate(layout)
    connect()
    try:
        asyncio.run(serve(settings))
    except (PlaneError, aiohttp.ClientError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
