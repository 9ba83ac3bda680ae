"""The live cluster as the state of a command: read through a kubeconfig, over a real socket."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from builders import (
    GATEWAY_KIND,
    ApiObject,
    admin_policy,
    block,
    eem_labels,
    from_,
    instance,
    namespaces,
    operator_deployment,
    pod,
    policy,
    port,
    rule,
)

from webhook.cli import main
from webhook.eem import WATCHED
from webhook.eem.resources import CLUSTER_POLICIES, ENDPOINT_SLICES

ROOT = Path(__file__).resolve().parents[2]
DENIED, UNUSABLE = 1, 2
DENY = policy("default-deny", policy_types=["Ingress"])
CLUSTER = [instance("gw", kind=GATEWAY_KIND), pod("gw-ibm-egw-gateway-0", labels=eem_labels("gw"))]


SLICE = {
    "metadata": {
        "name": "kubernetes",
        "namespace": "default",
        "labels": {"kubernetes.io/service-name": "kubernetes"},
    },
    "endpoints": [{"addresses": ["192.168.0.1"]}],
}


class Api(BaseHTTPRequestHandler):
    """An API server that lists objects."""

    objects: ClassVar[list[ApiObject]] = CLUSTER
    groups: ClassVar[list[ApiObject]] = []
    slices: ClassVar[list[ApiObject] | None] = []
    asked: ClassVar[list[str]] = []
    is_forbidden = False

    def do_GET(self) -> None:
        """Answer a list request."""
        path = self.path.partition("?")[0]
        self.asked.append(path)
        if path == "/apis":
            self._answer({"kind": "APIGroupDiscoveryList", "items": self.groups})
            return
        if path == ENDPOINT_SLICES.path("default"):
            self._answer({"kind": "EndpointSliceList", "metadata": {"resourceVersion": "1"}, "items": self.slices})
            return
        resource = next(one for one in (*WATCHED, *CLUSTER_POLICIES) if one.path() == path)
        kind, is_refused = resource.kind, self.is_forbidden and resource in CLUSTER_POLICIES
        items = None if is_refused else [known for known in self.objects if known["kind"] == kind]
        self._answer({"kind": f"{kind}List", "metadata": {"resourceVersion": "1"}, "items": items})

    def _answer(self, document: ApiObject) -> None:
        body = json.dumps(document).encode()
        self.send_response(403 if document.get("items", []) is None else 200)
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


def test_the_policy_kinds_of_the_live_cluster_are_named(
    api_server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kind that the API server serves and that is not read may override the verdict."""
    versions = [{"version": "v1", "resources": [{"resource": "authorizationpolicies"}]}]
    monkeypatch.setattr(Api, "groups", [{"metadata": {"name": "security.istio.io"}, "versions": versions}])
    change, config = tmp_path / "deny.json", kubeconfig(tmp_path / "config", api_server)
    change.write_text(json.dumps(DENY))

    status = main(["check", "--live", "--kubeconfig", config, "--apply", str(change)])

    assert status == DENIED
    assert "(Istio policies are not read and may override this verdict.)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("slices", "warnings"),
    [
        pytest.param([SLICE], ["TCP/8443 of ibm-eem-operator: no address of the API server may connect"], id="known"),
        pytest.param([], [], id="none"),
        pytest.param(None, [], id="no right to list them"),
    ],
)
def test_the_addresses_of_the_live_api_server_are_read(  # noqa: PLR0913, PLR0917  a row of a table
    slices: list[ApiObject] | None,
    warnings: list[str],
    api_server: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Row 23: a range for the operator's webhook that has none of them is noted."""
    monkeypatch.setattr(Api, "slices", slices)
    monkeypatch.setattr(Api, "objects", [operator_deployment()])
    change, config = tmp_path / "narrow.json", kubeconfig(tmp_path / "config", api_server)
    change.write_text(json.dumps(policy("narrow", ingress=[from_(block("10.0.0.0/8"), ports=[port(8443)])])))

    assert main(["check", "--live", "--kubeconfig", config, "--apply", str(change), "-o", "json"]) == 0
    assert [found["warnings"] for found in json.loads(capsys.readouterr().out)] == [warnings]


@pytest.mark.parametrize("is_forbidden", [False, True])
def test_cluster_wide_policies_of_the_live_cluster_are_read(
    api_server: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    is_forbidden: bool,  # noqa: FBT001
) -> None:
    """Without the right to list them they count as unread, and a warning names the missing rule."""
    admin = CLUSTER_POLICIES[0]
    versions = [{"version": admin.version, "resources": [{"resource": admin.plural}]}]
    monkeypatch.setattr(Api, "groups", [{"metadata": {"name": admin.group}, "versions": versions}])
    monkeypatch.setattr(Api, "objects", [*CLUSTER, admin_policy(ingress=[rule("Deny", namespaces())])])
    monkeypatch.setattr(Api, "is_forbidden", is_forbidden)
    change, config = tmp_path / "deny.json", kubeconfig(tmp_path / "config", api_server)
    change.write_text(json.dumps(DENY))

    main(["check", "--live", "--kubeconfig", config, "--apply", str(change), "-o", "json"])

    captured = capsys.readouterr()
    (verdict,) = json.loads(captured.out)
    name = f"{admin.kind}.{admin.group}"
    is_in = {which: name in verdict["policyKinds"][which] for which in ("read", "unread")}
    assert is_in == {"read": not is_forbidden, "unread": is_forbidden}
    assert ("the account may not list adminnetworkpolicies" in captured.err) is is_forbidden


def test_a_cluster_that_cannot_be_reached_has_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is a reason and no verdict."""
    config = kubeconfig(tmp_path / "config", "http://127.0.0.1:1")

    status = main(["check", "--live", "--kubeconfig", config, "--delete", "netpol/eem/x"])

    captured = capsys.readouterr()
    assert (UNUSABLE, "") == (status, captured.out)
    assert "127.0.0.1:1" in captured.err


def test_in_a_pod_the_account_of_the_pod_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As kubectl does without a kubeconfig; this pod has no token, which the error names."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    for name, value in (
        ("HOME", str(tmp_path)),
        ("KUBERNETES_SERVICE_HOST", "127.0.0.1"),
        ("KUBERNETES_SERVICE_PORT", "1"),
    ):
        monkeypatch.setenv(name, value)

    assert main(["audit", "--live"]) == UNUSABLE
    assert "--live: /var/run/secrets/kubernetes.io/serviceaccount/token cannot be read" in capsys.readouterr().err


def test_the_account_of_the_presync_hook_may_read_what_its_command_reads(
    api_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The role in the manifests, which is bound to that account, has the right to list each kind."""
    monkeypatch.setattr(Api, "asked", [])
    pod_spec = yaml.safe_load((ROOT / "docs/examples/pipelines/argocd-presync.yaml").read_text())["spec"]["template"][
        "spec"
    ]
    role, binding = yaml.safe_load_all((ROOT / "manifests/base/role.yaml").read_text())
    paths = {
        (f"/apis/{group}/" if group else "/api/", resource)
        for one in role["rules"]
        if "list" in one["verbs"] and "resourceNames" not in one
        for group in one["apiGroups"]
        for resource in one["resources"]
    }

    assert main([*pod_spec["containers"][0]["args"], "--kubeconfig", kubeconfig(tmp_path / "config", api_server)]) == 0
    needed = {*Api.asked} - {"/apis", ENDPOINT_SLICES.path("default")}  # every account may; it does without them
    assert needed == {one.path() for one in WATCHED}
    assert [
        path for path in needed if not any(path.startswith(at) and path.endswith(f"/{of}") for at, of in paths)
    ] == []
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert [one["name"] for one in binding["subjects"]] == [pod_spec["serviceAccountName"]]
