"""`serve`, `demo`, `rules` and `version` as processes."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from builders import GATEWAY_KIND, body, eem_labels, instance, namespace, pod, policy, review

from certs.command import main as certs
from webhook.cli import main
from webhook.eem.rules import all_rules
from webhook.version import VERSION

UNUSABLE = 2
ANY = ["--http-port", "0", "--local-port", "0"]
PORTS = ["--bind", "127.0.0.1", "--https-port", "0", *ANY]
STATE = [instance("gw", kind=GATEWAY_KIND), pod("gw-ibm-egw-gateway-0", labels=eem_labels("gw"))]
DENY = policy("default-deny", policy_types=["Ingress"])


class Served:
    """A running command, and the ports that it listens on."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.log: list[dict[str, Any]] = []
        ports = self.wait_for("listening")
        self.https_port, self.http_port = ports["https"], ports["http"]

    def wait_for(self, event: str) -> dict[str, Any]:
        """Read the log up to a line whose event begins with *event*."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(json.loads(line))
            if self.log[-1]["event"].startswith(event):
                return self.log[-1]
        raise AssertionError(f"the process ended without {event!r}: {self.log}")

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}") as answer:
            return str(answer.read().decode())

    def ask(self, trust: ssl.SSLContext) -> dict[str, Any]:
        """Send the review of a default deny, and return the response."""
        asked = urllib.request.Request(
            f"https://127.0.0.1:{self.https_port}/validate-networkpolicy",
            data=body(review(DENY)),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked, context=trust) as answer:  # noqa: S310
            found: dict[str, Any] = json.loads(answer.read())["response"]
        return found


@contextmanager
def served(*words: str) -> Iterator[Served]:
    command = [sys.executable, "-m", "webhook", "serve", *PORTS, "--log-format", "json", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Served(process)
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
        finally:
            process.kill()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    for number, api_object in enumerate(STATE):
        (folder / f"{number}.json").write_text(json.dumps(api_object))
    return folder


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    folder = tmp_path / "tls"
    certs(["init", "--out", str(folder), "--name", "127.0.0.1"])
    return folder


def test_serve_on_files_follows_their_changes_and_drains_on_sigterm(state: Path, pair: Path) -> None:
    """A review gets its verdict over TLS, a changed file changes the verdict, and SIGTERM ends with status 0."""
    trust = ssl.create_default_context(cafile=str(pair / "ca.crt"))
    with served("--state", str(state), "--tls-dir", str(pair), "--drain-seconds", "0.1") as service:
        before = service.ask(trust)
        (state / "0.json").write_text(json.dumps(instance("gw", kind=GATEWAY_KIND, deploy_network_policies=False)))
        service.wait_for("read again")
        after = service.ask(trust)
        ready, metrics = service.get("/readyz?verbose"), service.get("/metrics")
        service.process.send_signal(signal.SIGTERM)
        status = service.process.wait(timeout=30)

    assert (False, True, 0) == (before["allowed"], after["allowed"], status)
    assert "[+]cache-networkpolicies ok" in ready
    assert 'eem_guardrail_cache_objects{resource="pods"} 1.0' in metrics
    assert 'result="denied",webhook="networkpolicies.eem-guardrail.io"} 1.0' in metrics


def test_the_metrics_show_which_requirements_hold(state: Path) -> None:
    """A gateway that is cut off has a requirement that is not met."""
    (state / "deny.yaml").write_text(json.dumps(DENY))
    mistyped = namespace("eem", annotations={"eem-guardrail.io/mode": "enforced"})
    (state / "namespace.yaml").write_text(json.dumps(mistyped))
    with served("--state", str(state)) as service:
        service.wait_for("requirement broken")
        metrics = service.get("/metrics")

    labels = 'component="gateway",instance="gw",kind="EventGateway",namespace="eem",port="8092"'
    assert f"eem_guardrail_requirement_met{{{labels}}} 0.0" in metrics
    need = labels.replace('namespace="eem",port="8092"', 'level="certain",namespace="eem",need="E4",port=""')
    assert f"eem_guardrail_need_met{{{need}}} 1.0" in metrics
    assert "eem_guardrail_unknown_annotations 1.0" in metrics


def test_ctrl_c_ends_serve_without_a_drain(state: Path) -> None:
    """The exit status is 130."""
    with served("--state", str(state)) as service:
        service.process.send_signal(signal.SIGINT)

        assert service.process.wait(timeout=10) == 130


def test_serve_waits_for_a_cluster_that_cannot_be_reached(pair: Path, tmp_path: Path) -> None:
    """The service is alive, not ready, and shows the reason."""
    account = tmp_path / "account"
    account.mkdir()
    (account / "token").write_text("token")
    (account / "ca.crt").write_bytes((pair / "ca.crt").read_bytes())
    environment = {**os.environ, "KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
    command = [sys.executable, "-m", "webhook", "serve", *PORTS, "--log-format", "json", "--tls-dir", str(pair)]
    command += ["--service-account-dir", str(account), "--drain-seconds", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            service = Served(process)
            with pytest.raises(urllib.error.HTTPError) as refused:
                service.get("/readyz?verbose")
            why = refused.value.read().decode()
            refused.value.close()
            alive = service.get("/livez")
            process.send_signal(signal.SIGTERM)
            status = process.wait(timeout=30)
        finally:
            process.kill()

    assert ("ok\n", 0) == (alive, status)
    assert "[-]cache-networkpolicies" in why
    assert "[+]certificate ok" in why


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        pytest.param(["--context", "some"], "set --tls-dir", id="nothing to serve with"),
        pytest.param([], "not inside a cluster", id="no cluster, and no folder"),
        pytest.param(["--stale-seconds", "60"], "--stale-seconds: must be at least 150", id="no patience"),
        pytest.param(["--leaf-seconds", "0.5"], "--leaf-seconds: must be at least 1", id="no life"),
        pytest.param(["--tls-dir", "no-such-folder"], "is not a folder", id="no such folder"),
        pytest.param(["--state", "no-such-folder"], "no-such-folder", id="no such state"),
        pytest.param(["--https-port", "99999"], "--https-port: must be a port", id="no port"),
        pytest.param(["--bind", "here"], "--bind: must be an IP address", id="no address"),
        pytest.param(["--drain-seconds", "soon"], "--drain-seconds: must be a number", id="no number"),
        pytest.param(["--tls-dir", "."], "not inside a cluster", id="no cluster"),
    ],
)
def test_a_service_that_cannot_start_has_status_2(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is one line."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    status = main(["serve", *words])

    assert status == UNUSABLE
    assert complaint in capsys.readouterr().err


def test_a_port_that_is_taken_has_status_2(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 39: the message names the flag."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status = main(["serve", "--bind", "127.0.0.1", "--https-port", port, *ANY, "--state", str(state)])

    assert status == UNUSABLE
    assert "cannot listen" in capsys.readouterr().err


def test_the_demo_shows_a_refusal_and_its_repair(capsys: pytest.CaptureFixture[str]) -> None:
    """The demo sends reviews to its own service over TLS, and prints what kubectl prints."""
    status = main(["demo", "--once", "--https-port", "0", *ANY])

    out = capsys.readouterr().out
    assert status == 0
    assert 'admission webhook "networkpolicies.eem-guardrail.io" denied the request: deleting NetworkPolicy' in out
    assert "eem/gateway-ibm-egw-gateway would cut off required ingress: EventGateway eem/gateway" in out
    assert "networkpolicy.networking.k8s.io/allow-gateway" in out
    assert out.rstrip().endswith('networkpolicy.networking.k8s.io "gateway-ibm-egw-gateway" deleted from eem namespace')


def test_the_demo_serves_on_and_its_curl_line_works() -> None:
    """Row 50: the printed command deletes the repair again. It prints the refusal once, and the log has its line."""
    command = [sys.executable, "-u", "-m", "webhook", "demo", "--https-port", "0", *ANY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            curl = next(line for line in process.stdout if line.startswith("curl "))
            answer = subprocess.run(curl, shell=True, capture_output=True, check=True)  # noqa: S602  as a user pastes it
            process.send_signal(signal.SIGINT)
            status = process.wait(timeout=10)
            assert process.stderr is not None
            log = process.stderr.read()
        finally:
            process.kill()

    assert answer.stdout.decode().count("would cut off required ingress") == 1
    assert log.count("\n") == log.count("result=denied") == 1
    assert status == 130


@pytest.mark.parametrize("output", ["text", "json", "markdown"])
def test_the_rules_are_listed_in_each_format(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every rule is there by its id."""
    status = main(["rules", "-o", output])

    out = capsys.readouterr().out
    assert status == 0
    assert all(rule.id in out for rule in all_rules())


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """It is the version of the release."""
    status = main(["version"])

    assert (0, f"eem-guardrail {VERSION}\n") == (status, capsys.readouterr().out)
