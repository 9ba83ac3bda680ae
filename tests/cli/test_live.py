"""The live cluster as the state of a command: read through a kubeconfig, over a real socket."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from builders import GATEWAY_KIND, ApiObject, eem_labels, instance, pod, policy

from webhook.cli import main
from webhook.eem import WATCHED

DENIED, UNUSABLE = 1, 2
DENY = policy("default-deny", policy_types=["Ingress"])
CLUSTER = [instance("gw", kind=GATEWAY_KIND), pod("gw-ibm-egw-gateway-0", labels=eem_labels("gw"))]


class Api(BaseHTTPRequestHandler):
    """An API server that lists objects."""

    objects: ClassVar[list[ApiObject]] = CLUSTER

    def do_GET(self) -> None:
        """Answer a list request."""
        path = self.path.partition("?")[0]
        kind = next(resource.kind for resource in WATCHED if resource.path() == path)
        items = [known for known in self.objects if known["kind"] == kind]
        body = json.dumps({"kind": f"{kind}List", "metadata": {"resourceVersion": "1"}, "items": items}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@pytest.fixture
def api_server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def kubeconfig(path: Path, url: str) -> str:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [{"name": "here", "cluster": {"server": url}}],
        "users": [{"name": "me", "user": {}}],
    }
    path.write_text(json.dumps(content))
    return str(path)


def test_a_change_is_judged_in_the_live_cluster(
    api_server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The cluster is the state, and the change comes from a file."""
    change = tmp_path / "deny.json"
    change.write_text(json.dumps(DENY))

    status = main(
        ["check", "--live", "--kubeconfig", kubeconfig(tmp_path / "config", api_server), "--apply", str(change)]
    )

    assert status == DENIED
    assert "DENIED  CREATE NetworkPolicy eem/default-deny" in capsys.readouterr().out


def test_a_cluster_that_cannot_be_reached_has_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is a reason and no verdict."""
    config = kubeconfig(tmp_path / "config", "http://127.0.0.1:1")

    status = main(["check", "--live", "--kubeconfig", config, "--delete", "netpol/eem/x"])

    captured = capsys.readouterr()
    assert (UNUSABLE, "") == (status, captured.out)
    assert "127.0.0.1:1" in captured.err
