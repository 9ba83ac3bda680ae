"""A real Prometheus on the machine's network, which reads the replicas as the Prometheus Operator would have it do."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from harness.guard import NAMESPACE
from harness.machine import Machine
from harness.waiting import wait_until

ADDRESS = "127.0.0.1:9090"
FETCH = "import sys,urllib.request;sys.stdout.write(urllib.request.urlopen(sys.argv[1]).read().decode())"
READY_SECONDS = 60
STOP_SECONDS = 20


def targets(machine: Machine, port: str) -> list[dict[str, Any]]:
    """
    Return the replicas, with the labels that the operator sets for a PodMonitor.

    Debian's Prometheus cannot look for pods itself.

    Args:
        port: the name of the port with the metrics.
    """
    selector = f"--selector=app.kubernetes.io/name={NAMESPACE}"
    found = machine.must("get", "pods", f"--namespace={NAMESPACE}", selector, "--output=json").json["items"]
    return [
        {
            "targets": [f"{pod['status']['podIP']}:{one['containerPort']}"],
            "labels": {"namespace": NAMESPACE, "pod": pod["metadata"]["name"], "container": container["name"]},
        }
        for pod in found
        if "deletionTimestamp" not in pod["metadata"]
        for container in pod["spec"]["containers"]
        for one in container["ports"]
        if one["name"] == port
    ]


class Prometheus:
    """A running Prometheus."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an expression now."""
        found: list[dict[str, Any]] = self.asked(f"query?query={quote(expression, safe='')}")["result"]
        return found

    def firing(self, name: str) -> list[dict[str, str]]:
        """Return the labels of each alert of one name that fires."""
        found = self.asked("alerts")["alerts"]
        return [one["labels"] for one in found if one["state"] == "firing" and one["labels"]["alertname"] == name]

    def asked(self, path: str) -> dict[str, Any]:
        """
        Return the data of an answer.

        Raises:
            AssertionError: there is none.
        """
        answer = self._machine.run([sys.executable, "-c", FETCH, f"http://{ADDRESS}/api/v1/{path}"])
        if answer.status != 0:
            raise AssertionError(f"{path}: {answer.stderr}")
        found: dict[str, Any] = answer.json["data"]
        return found


@contextmanager
def running_prometheus(machine: Machine, rules: Mapping[str, Any], port: str) -> Iterator[Prometheus]:
    """Start Prometheus with *rules*, and wait until it has read every replica."""
    folder = machine.folder / "prometheus"
    folder.mkdir()
    written = {"rules.yaml": rules, "prometheus.yaml": _settings(machine, port)}
    for name, content in written.items():
        (folder / name).write_text(yaml.safe_dump(content))
    with (folder / "log").open("w") as log:
        command = [
            "prometheus",
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={ADDRESS}",
        ]
        process = machine.begin(command, log)
    try:
        yield _ready(Prometheus(machine), folder / "log")
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def _settings(machine: Machine, port: str) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": f"{NAMESPACE}/{NAMESPACE}", "static_configs": targets(machine, port)}],
    }


def _ready(prometheus: Prometheus, log: Path) -> Prometheus:
    def look() -> bool:
        try:
            return len(prometheus.query("eem_guardrail_build_info offset 5s")) > 0
        except (AssertionError, json.JSONDecodeError):
            return False

    try:
        wait_until(look, "metrics in Prometheus", seconds=READY_SECONDS)
    except TimeoutError as error:
        raise TimeoutError(f"{error}\n{log.read_text()[-3000:]}") from None
    return prometheus
