"""The process that stands for one pod's container."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from harness.api import ApiClient
from harness.plane import HOST, PORT
from harness.volumes import Json, field_of, write_volume

ENTRY_POINT = (sys.executable, "-m", "webhook")  # what the image's entry point is, in this checkout
ADDRESS_SPACE_BYTES = 4 * 1024**3  # the manifest's limit is resident memory; a process's is its address space
PROBE_SECONDS = 1.0  # the default of a probe's timeoutSeconds
HTTP_OK = 200


class PodProcess:
    """Run the only container of a pod at an address of its own."""

    def __init__(self, pod: Json, address: str, folder: Path, environment: Mapping[str, str]) -> None:
        self._pod = pod
        self._address = address
        self._environment = environment
        (self._container,) = pod["spec"]["containers"]
        self._log: Path = folder / "logs" / f"{pod['metadata']['name']}.log"
        self._folder: Path = folder / "pods" / pod["metadata"]["uid"]
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process's number; the launcher becomes the command, so it stays the same."""
        return self._started.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended by itself."""
        return self._started.returncode is None

    @property
    def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("not started")
        return self._process

    async def start(self, client: ApiClient) -> None:
        """
        Write the volumes, take the address, start the command.

        Raises:
            ApiError: with status 404, a volume names what is not there (yet).
        """
        await self.rewrite_volumes(client)
        spec = self._write_description()
        command = ["unshare", "--mount", sys.executable, "-m", "harness.container", str(spec)]
        limit = f"--as={ADDRESS_SPACE_BYTES}"
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                "prlimit", limit, *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _volume(self, name: str) -> Path:
        """Make the folder of one volume, where it is not there."""
        folder = self._folder / "volumes" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _write_description(self) -> Path:
        """Write what container.py is to do."""
        keep = self._folder / "keep"
        keep.mkdir(exist_ok=True)
        spec = self._folder / "container.json"
        spec.write_text(json.dumps(self._description(keep)))
        return spec

    def _description(self, keep: Path) -> dict[str, Any]:
        mounts = [
            {
                "source": str(self._volume(mount["name"])),
                "target": mount["mountPath"],
                "readOnly": mount.get("readOnly", False),
            }
            for mount in self._container.get("volumeMounts", ())
        ]
        command = self._container.get("command") or list(ENTRY_POINT)
        return {
            "keep": str(keep),
            "mounts": mounts,
            "command": [*command, *self._container.get("args", ())],
            "environment": self._variables(),
            "workingDirectory": str(self._folder),
        }

    def _variables(self) -> dict[str, str]:
        """
        Put the container's environment together.

        The bind address and the local port differ from those in a cluster: there a pod has a network of its own.
        """
        declared = {
            entry["name"]: field_of(self._pod, entry["valueFrom"]["fieldRef"]["fieldPath"])
            if "valueFrom" in entry
            else entry.get("value", "")
            for entry in self._container.get("env", ())
        }
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            **self._environment,
            "HOSTNAME": self._pod["metadata"]["name"],
            "KUBERNETES_SERVICE_HOST": HOST,
            "KUBERNETES_SERVICE_PORT": str(PORT),
            "EEM_GUARDRAIL_BIND": self._address,
            "EEM_GUARDRAIL_LOCAL_PORT": "0",
            **declared,
        }

    async def is_ready(self, session: aiohttp.ClientSession) -> bool:
        """Ask what the container's probes ask: it is ready when all of them are answered with 200."""
        return await self.answers(session, "livenessProbe") and await self.answers(session, "readinessProbe")

    async def answers(self, session: aiohttp.ClientSession, probe: str) -> bool:
        """Ask what one probe of the container asks, and say whether it is answered with 200."""
        ports = {port.get("name"): port["containerPort"] for port in self._container.get("ports", ())}
        asked = self._container[probe]["httpGet"]
        url = f"http://{self._address}:{ports.get(asked['port'], asked['port'])}{asked['path']}"
        try:
            async with session.get(url, timeout=aiohttp.ClientTimeout(total=PROBE_SECONDS)) as answer:
                return answer.status == HTTP_OK
        except (aiohttp.ClientError, TimeoutError):
            return False

    def signal(self, number: int) -> None:
        """Send the process a signal."""
        self._started.send_signal(number)

    @property
    def probe_period_seconds(self) -> float:
        """How often the manifest has the readiness of a ready container asked."""
        return float(self._container["readinessProbe"].get("periodSeconds", 10))

    @property
    def failure_threshold(self) -> int:
        """How many of these questions in a row must fail until it is not ready."""
        return int(self._container["readinessProbe"].get("failureThreshold", 3))

    async def rewrite_volumes(self, client: ApiClient) -> None:
        """Write anew what the volumes hold, as a kubelet does when that changes: tokens above all."""
        for volume in self._pod["spec"].get("volumes", ()):
            await write_volume(client, self._pod, volume, self._volume(volume["name"]))

    async def stop(self, grace_seconds: float) -> tuple[int, bool]:
        """End it as a kubelet does; return its status and whether it had to be killed."""
        killed = False
        if self.running:
            self._started.terminate()
            try:
                await asyncio.wait_for(self._started.wait(), grace_seconds)
            except TimeoutError:
                killed = True
                self._started.kill()
        return await self._started.wait(), killed


async def run(*command: str) -> None:
    """Run one command to its end and let its failure be ours."""
    process = await asyncio.create_subprocess_exec(*command)
    if await process.wait() != 0:
        raise RuntimeError(f"{' '.join(command)} ended with status {process.returncode}")
