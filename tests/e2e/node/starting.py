"""
Measure how long a replica takes from its start until it is ready, in its pod, on a real kubelet.

    PYTHONPATH=.:tests:tests/e2e python -m node.starting 5

replaces one replica of the shipped service after the other, and prints a line for each: seconds of wall time and of CPU
time. The wall time depends on the load of the machine. `--watch` is the part that runs inside the node.
"""

import http.client
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from harness.guard import NAMESPACE
from harness.machine import find_binaries
from harness.registering import RegisteringGuard

from node.cluster import Node
from node.probing import enter

TICKS = os.sysconf("SC_CLK_TCK")
COMMAND = b"python\0-m\0webhook\0serve\0"
PORT = 8080
REPLICAS = 3
PAUSE_SECONDS = 0.005


def serving() -> Iterator[int]:
    """Yield the process IDs of the replicas."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_bytes()
            except OSError:  # the process has ended
                continue
            if command.startswith(COMMAND):
                yield int(folder.name)


def numbers(process: int) -> list[str]:
    """Return /proc/PID/stat from its third field on."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def is_ready() -> bool:
    """Whether the replica in the current network namespace is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=1)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def watch() -> dict[str, float]:
    """Wait until the next replica has started and is ready."""
    known = set(serving())
    print("watching", flush=True)
    while not (new := set(serving()) - known):
        time.sleep(PAUSE_SECONDS)
    process = new.pop()
    enter(os.open(f"/proc/{process}/ns/net", os.O_RDONLY))
    while not is_ready():
        time.sleep(PAUSE_SECONDS)
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    fields = numbers(process)
    user, system, started = (int(fields[at]) / TICKS for at in (11, 12, 19))
    return {"seconds": round(now - started, 2), "processor_seconds": round(user + system, 2)}


def main() -> None:
    """Watch, or start a node and watch in it."""
    if sys.argv[1] == "--watch":
        print(json.dumps(watch()))
        return
    with tempfile.TemporaryDirectory(prefix="starting-") as folder:
        machine = Node(Path(folder), find_binaries())
        machine.start()
        try:
            guard = RegisteringGuard(machine, REPLICAS, {})
            guard.install()
            for _ in range(int(sys.argv[1])):
                with machine.begin_inside(sys.executable, "-m", "node.starting", "--watch") as watching:
                    lines = iter(watching.stdout or ())
                    next(lines)  # it has listed the running replicas
                    machine.must("delete", "pod", guard.replicas()[0], f"--namespace={NAMESPACE}")
                    print(next(lines).strip(), flush=True)
                guard.until_rolled_out()
        finally:
            machine.stop()


if __name__ == "__main__":
    main()
