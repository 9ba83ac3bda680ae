"""The image under a real kubelet and the restricted Pod Security standard."""

import json
import textwrap

import pytest
from harness.guard import NAMESPACE, Guard
from harness.machine import Machine
from harness.waiting import wait_until

from node.cluster import Node

ARRIVED_SECONDS = 60  # a deleted replica drains for some seconds, and still gets requests
# Prints the identity of a process of the container, and every folder that it can write to.
LOOK = textwrap.dedent(
    """
    import json, os, tempfile
    status = dict(line.split(":", 1) for line in open("/proc/1/status"))
    names = ("Uid", "Gid", "CapEff", "CapBnd", "Seccomp", "NoNewPrivs")
    found = {name: status[name].split() for name in names}
    found["writable"] = []
    for folder, _, _ in os.walk("/", onerror=lambda error: None):
        if folder.startswith(("/proc", "/sys")):
            continue
        try:
            with tempfile.TemporaryFile(dir=folder):
                found["writable"].append(folder)
        except OSError:
            pass
    print(json.dumps(found))
    """
)


@pytest.fixture(scope="module")
def replica(guard: Guard) -> str:
    """Return the name of one replica."""
    return guard.replicas()[0]


def test_the_container_has_no_privileges(machine: Machine, replica: str) -> None:
    """The process is user 10001, without capabilities and under a seccomp filter, and can write only in /dev."""
    answer = machine.must("exec", replica, f"--namespace={NAMESPACE}", "--", "python", "-c", LOOK)

    found = json.loads(answer.stdout)

    assert found.pop("Uid") == ["10001"] * 4
    assert found.pop("Gid") == ["10001"] * 4
    assert set(found.pop("writable")) <= {"/dev/shm", "/dev/mqueue"}  # noqa: S108 - what every container has
    assert found == {"CapEff": ["0" * 16], "CapBnd": ["0" * 16], "Seccomp": ["2"], "NoNewPrivs": ["1"]}


def test_the_api_server_calls_through_the_service(machine: Node, guard: Guard) -> None:
    """The API server connects to the address of the Service, and the replicas receive the connections."""
    service = machine.must("get", "service", NAMESPACE, f"--namespace={NAMESPACE}", "--output=json").json
    pods = machine.must("get", "pods", f"--namespace={NAMESPACE}", "--output=json").json["items"]
    running = {one["status"]["podIP"] for one in pods if one["metadata"]["name"] in guard.replicas()}

    def look() -> set[str]:
        guard.until_asked()  # the answer may come from a draining replica, which then closes the connection
        return running & answering(machine, service["spec"]["clusterIP"])

    wait_until(look, f"a connection by way of the Service to one of {running}", seconds=ARRIVED_SECONDS)


def answering(machine: Node, service: str) -> set[str]:
    """Return the addresses of pods that have answered on the port of the Service within the last minutes."""
    answer = machine.inside("conntrack", "-L", "-p", "tcp", "--orig-dst", service)
    return {
        word.removeprefix("src=")
        for line in answer.stdout.splitlines()
        if "dport=443" in line and "sport=8443" in line
        for word in line.split()
        if word.startswith("src=10.244.")
    }
