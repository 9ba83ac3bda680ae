"""What tests may have done to the machine while it runs: processes stopped, started, signalled; keys renewed."""

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp

from harness.api import ApiClient, ApiError
from harness.kubelet import Kubelet
from harness.pki import renew_serving_pair, renew_token_pair
from harness.plane import Plane, PlaneError

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SERVED_PORTS = (8443, 8080)  # of a replica


class Orders:
    """Do what a line of the tests wants, one at a time."""

    def __init__(self, plane: Plane, kubelet: Kubelet, client: ApiClient) -> None:
        self._plane = plane
        self._kubelet = kubelet
        self._client = client

    async def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Do one order; give `done` with what there is to tell, or `error`."""
        try:
            return {"done": await getattr(self, f"_{order.pop('what')}")(**order)}
        except (ApiError, PlaneError, KeyError, OSError, aiohttp.ClientError) as error:  # the process may have ended
            return {"error": repr(error)}

    async def _stop(self, name: str) -> None:
        """End one process of the control plane."""
        await self._plane.stop_part(name)

    async def _start(self, name: str) -> None:
        """Start it again; the API server until it is ready."""
        await self._plane.start_part(name, self._client if name == "kube-apiserver" else None)

    async def _back_up(self) -> None:
        """Keep the data of etcd as they are now."""
        await self._plane.back_up()

    async def _restore(self) -> None:
        """Start etcd with these data."""
        await self._plane.restore()

    async def _read(self, path: str) -> str:
        """Return what the API server answers to a GET."""
        return await self._client.read(path)

    async def _signal(self, name: str, signal_name: str) -> None:
        """Send a signal to a process of the control plane or to that of a pod."""
        number = signal.Signals[f"SIG{signal_name}"]
        if name in self._plane.processes:
            self._plane.processes[name].send_signal(number)
        else:
            self._kubelet.processes[name].signal(number)

    async def _renew_serving_pair(self) -> None:
        """Write a new certificate by the same CA for the next start of the API server."""
        renew_serving_pair(self._plane.pki)

    async def _renew_token_key(self) -> None:
        """Write another key for service accounts' tokens for its next start, which invalidates existing tokens."""
        renew_token_pair(self._plane.pki)

    async def _renew_tokens(self) -> None:
        """Write a new token for every running pod, as a kubelet does in time."""
        for process in tuple(self._kubelet.processes.values()):
            await process.rewrite_volumes(self._client)

    async def _alive(self) -> dict[str, bool]:
        """Return for each running pod whether it answers its liveness probe."""
        processes = dict(self._kubelet.processes)
        async with aiohttp.ClientSession() as session:
            return {name: await process.answers(session, "livenessProbe") for name, process in processes.items()}

    async def _usage(self) -> dict[str, dict[str, float]]:
        """
        Return what each process uses: seconds of CPU, bytes of resident memory, file descriptors, threads.

        A process that ends meanwhile is left out. Connections that other processes have opened to its ports are listed
        separately: their number depends on those processes.
        """
        pids = {name: process.pid for name, process in self._plane.processes.items()}
        pids |= {name: process.pid for name, process in self._kubelet.processes.items() if process.running}
        usages: dict[str, dict[str, float]] = {}
        for name, pid in pids.items():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                usages[name] = usage_of(pid)
        return usages


def usage_of(pid: int) -> dict[str, float]:
    """Read what one process takes."""
    there = Path("/proc") / str(pid)
    fields = (there / "stat").read_text().rpartition(")")[2].split()
    opened = [target_of(one) for one in (there / "fd").iterdir()]
    accepted = accepted_by(there) & set(opened)
    return {
        "pid": pid,
        "cpu_seconds": (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND,
        "threads": int(fields[17]),
        "resident_bytes": int(fields[21]) * PAGE_BYTES,
        "descriptors": len(opened) - len(accepted),
        "accepted": len(accepted),
    }


def target_of(descriptor: Path) -> str:
    """Return what a descriptor is; "" if it was closed meanwhile."""
    try:
        return str(descriptor.readlink())
    except FileNotFoundError:
        return ""


def accepted_by(process: Path) -> set[str]:
    """
    Return the connections to a replica's ports in its network, each by the name of the descriptor of one end.

    Source: proc_pid_net(5), /proc/pid/net/tcp: the second field is the local address, the tenth the inode; both are
    there of a listening socket too, whose state is 0A.
    """
    lines = [line.split() for line in (process / "net" / "tcp").read_text().splitlines()[1:]]
    return {
        f"socket:[{one[9]}]" for one in lines if int(one[1].rpartition(":")[2], 16) in SERVED_PORTS and one[3] != "0A"
    }
