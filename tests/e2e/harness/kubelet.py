"""
Do what a kubelet does, without containers.

The service's own pods become processes at addresses of their own: volumes, environment, probes, status, termination.
All other pods are data: they are bound and called Running, and nothing runs.
"""

import asyncio
import contextlib
import datetime as dt
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from harness.api import ApiClient, ApiError
from harness.process import PodProcess, run

Json = Mapping[str, Any]

NODE = "e2e-node"
RUN_NAMESPACE = "eem-guardrail"  # whose pods run as processes
PODS = "/api/v1/pods"
PAUSE_SECONDS = (
    0.1  # between two looks at a process; a kubelet's are a second apart, and a test waits for what it shows
)
RETRY_SECONDS = 0.2


class Kubelet:
    """Follow the pods of the cluster and act on them, each in a task of its own."""

    def __init__(self, client: ApiClient, folder: Path, environment: Mapping[str, str]) -> None:
        self._client = client
        self._folder = folder
        self._environment = environment
        self._pods: dict[str, Json] = {}
        self._changed: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._addresses = 0
        self.processes: dict[str, PodProcess] = {}

    async def run(self) -> None:
        """List and watch pods, for ever."""
        await self._client.ask("POST", "/api/v1/nodes", {"metadata": {"name": NODE}})
        while True:
            listed = await self._client.ask("GET", PODS)
            there = {pod["metadata"]["uid"]: pod for pod in listed["items"]}
            for uid in self._pods.keys() - there.keys():  # deleted while no watch ran
                self._note("DELETED", self._pods[uid])
            for pod in there.values():
                self._note("MODIFIED", pod)
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async for event in self._client.watch(PODS, listed["metadata"]["resourceVersion"]):
                    if event["type"] == "ERROR":
                        break
                    if event["type"] != "BOOKMARK":
                        self._note(event["type"], event["object"])

    def _note(self, event: str, pod: Json) -> None:
        uid = pod["metadata"]["uid"]
        known = uid in self._pods
        if event == "DELETED":
            self._pods.pop(uid, None)
            if known:
                self._changed.pop(uid).set()
            return
        self._pods[uid] = pod
        if known:
            self._changed[uid].set()
            return
        self._changed[uid] = asyncio.Event()
        follow = self._run_pod if pod["metadata"]["namespace"] == RUN_NAMESPACE else self._show_pod
        task = asyncio.create_task(follow(uid), name=path_of(pod))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log(task.get_name(), "failed", error=repr(error))

    def _log(self, pod: str, event: str, **details: object) -> None:
        now = dt.datetime.now(dt.UTC).isoformat()
        with (self._folder / "logs" / "kubelet.jsonl").open("a") as log:
            log.write(json.dumps({"time": now, "pod": pod, "event": event, **details}) + "\n")

    def _leaving(self, uid: str) -> bool:
        """Whether the pod is deleted or terminating."""
        pod = self._pods.get(uid)
        return pod is None or "deletionTimestamp" in pod["metadata"]

    async def _until_changed(self, uid: str, seconds: float | None) -> None:
        """Wait for the next change of the pod, or for *seconds*."""
        changed = self._changed.get(uid)
        if changed is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), seconds)
        changed.clear()

    async def _bind(self, uid: str) -> None:
        """Bind the pod to the node, if it is not bound."""
        pod = self._pods[uid]
        if "nodeName" not in pod["spec"] and not self._leaving(uid):
            target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
            body = {"metadata": {"name": pod["metadata"]["name"]}, "target": target}
            with forgiving(404, 409):
                await self._client.ask("POST", f"{path_of(pod)}/binding", body)

    def _next_address(self, network: int) -> str:
        self._addresses += 1
        return f"10.244.{network}.{self._addresses}"

    async def _show_pod(self, uid: str) -> None:
        """Call a pod Running until it is to go, then let it go."""
        await self._bind(uid)
        if not self._leaving(uid) and self._pods[uid].get("status", {}).get("phase") == "Pending":
            await self._patch_status(uid, status_of(self._next_address(network=1), ready=True))
        while not self._leaving(uid):
            await self._until_changed(uid, None)
        await self._remove(uid)

    async def _run_pod(self, uid: str) -> None:
        """Run a pod's container until it is to go: again when it ends, ready as its probes say."""
        await self._bind(uid)
        name = self._pods[uid]["metadata"]["name"]
        address = self._next_address(network=0)
        await run("ip", "address", "add", f"{address}/32", "dev", "lo")
        while not self._leaving(uid):
            pod = self._pods[uid]
            process = PodProcess(pod, address, self._folder, self._environment)
            try:
                await process.start(self._client)
            except ApiError as error:
                if error.status != 404:  # a volume's Secret may come later
                    raise
                await self._until_changed(uid, RETRY_SECONDS)
                continue
            self._log(path_of(pod), "started", pid=process.pid, address=address)
            self.processes[name] = process
            await self._follow_process(uid, process, address)
            grace = self._pods.get(uid, pod)["metadata"].get("deletionGracePeriodSeconds", 0)
            status, killed = await process.stop(grace)
            self._log(path_of(pod), "ended", status=status, killed=killed)
            await self._until_changed(uid, RETRY_SECONDS)
        self.processes.pop(name, None)
        await run("ip", "address", "delete", f"{address}/32", "dev", "lo")
        await self._remove(uid)

    async def _follow_process(self, uid: str, process: PodProcess, address: str) -> None:
        """Show how the process is until it ends or is to go; once ready, it is asked as often as its manifest says."""
        shown: bool | None = None
        failures, due = 0, 0.0
        async with aiohttp.ClientSession() as session:
            while not self._leaving(uid) and process.running:
                if time.monotonic() >= due:
                    ready = await process.is_ready(session)
                    failures = 0 if ready else failures + 1
                    if ready != shown and (not shown or failures >= process.failure_threshold):
                        await self._patch_status(uid, status_of(address, ready=ready))
                        shown = ready
                    due = time.monotonic() + (process.probe_period_seconds if shown else 0.0)
                await self._until_changed(uid, PAUSE_SECONDS)
        if not process.running and not self._leaving(uid):
            await self._patch_status(uid, status_of(address, ready=False))

    async def _patch_status(self, uid: str, status: Json) -> None:
        pod = self._pods.get(uid)
        if pod is not None:
            with forgiving(404, 409):
                await self._client.ask("PATCH", f"{path_of(pod)}/status", {"status": status})

    async def _remove(self, uid: str) -> None:
        """Report to the API server that the pod has stopped."""
        pod = self._pods.get(uid)
        if pod is not None:
            options = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
            with forgiving(404, 409):
                await self._client.ask("DELETE", path_of(pod), options)


@contextlib.contextmanager
def forgiving(*statuses: int) -> Any:
    """Ignore refusals with one of *statuses*: another client was faster."""
    try:
        yield
    except ApiError as error:
        if error.status not in statuses:
            raise


def path_of(pod: Json) -> str:
    """Return the path of a pod in the API."""
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def status_of(address: str, *, ready: bool) -> dict[str, Any]:
    """Write the status of a pod that runs at *address*."""
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    state = {"Ready": ready, "ContainersReady": ready, "Initialized": True, "PodScheduled": True}
    return {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "hostIP": "10.99.0.1",
        "startTime": now,
        "conditions": [
            {"type": name, "status": str(value), "lastTransitionTime": now} for name, value in state.items()
        ],
    }
