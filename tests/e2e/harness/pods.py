"""
Write down what happens to the service's pods on a cluster with a real kubelet, in the files that the plane writes.

Each pod's output goes into `logs/<pod>.log` as it comes, so that it is there when the pod is not any more; starts and
ends go into `logs/kubelet.jsonl`.
"""

import json
import subprocess
import threading
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.machine import Machine

NAMESPACE = "eem-guardrail"
KILLED = 137  # 128 and SIGKILL: what a container's end by force looks like


class PodWitness:
    """Follow the pods of the service's namespace by kubectl."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self._watching: subprocess.Popen[str] | None = None
        self._followers: dict[tuple[str, int], subprocess.Popen[str]] = {}
        self._ended: set[tuple[str, int]] = set()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to follow."""
        (self._machine.logs / "kubelet.jsonl").touch()
        watch = ("get", "pods", f"--namespace={NAMESPACE}", "--watch", "--output-watch-events", "--output=json")
        self._watching = self._machine.open(*watch, output=subprocess.PIPE)
        self._thread = threading.Thread(target=self._follow, args=(self._watching.stdout,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End what follows; what was written stays."""
        running = [one for one in (self._watching, *self._followers.values()) if one is not None]
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
        if self._thread is not None:
            self._thread.join()
        if self._watching is not None and self._watching.stdout is not None:
            self._watching.stdout.close()
        self._watching = None
        self._thread = None
        self._followers.clear()

    def _follow(self, events: IO[str]) -> None:
        for line in events:  # one event each
            pod = json.loads(line)["object"]
            for status in pod.get("status", {}).get("containerStatuses", ()):
                self._note(pod["metadata"], status)

    def _note(self, metadata: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        """Follow the output of each container once, and write its end down once."""
        pod, number = metadata["name"], status["restartCount"]
        if status["state"].keys() & {"running", "terminated"} and (pod, number) not in self._followers:
            with (self._machine.logs / f"{pod}.log").open("a") as log:
                command = ("logs", pod, f"--namespace={NAMESPACE}", "--follow")
                self._followers[pod, number] = self._machine.open(*command, output=log)
        for at, state in ((number, status["state"]), (number - 1, status.get("lastState", {}))):
            ended = state.get("terminated")
            if ended is not None and (pod, at) not in self._ended:
                self._ended.add((pod, at))
                self._write(pod, "ended" if "deletionTimestamp" in metadata else "failed", ended)

    def _write(self, pod: str, event: str, ended: Mapping[str, Any]) -> None:
        line = {
            "time": ended["finishedAt"],
            "pod": f"/{pod}",
            "event": event,
            "status": ended["exitCode"],
            "killed": ended["exitCode"] == KILLED,
            "reason": ended.get("reason", ""),
        }
        with (self._machine.logs / "kubelet.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
