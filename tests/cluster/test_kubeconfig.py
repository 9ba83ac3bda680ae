"""A kubeconfig gives the credentials that kubectl would use, or a clear error."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from authorities import Authority
from cluster_builders import PODS
from fake_api_server import api_server

from webhook.cluster.client import ApiClient
from webhook.cluster.credentials import CredentialsError, Kubeconfig
from webhook.cluster.errors import UnreachableError


def encoded(content: bytes | str) -> str:
    return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()


def write(path: Path, server: str, user: dict[str, Any], **cluster: Any) -> str:
    """Write a kubeconfig with two contexts, of which only the second works."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "good",
        "contexts": [
            {"name": "other", "context": {"cluster": "other", "user": "u"}},
            {"name": "good", "context": {"cluster": "c", "user": "u"}},
        ],
        "clusters": [
            {"name": "other", "cluster": {"server": "https://other.invalid:1"}},
            {"name": "c", "cluster": {"server": server, **cluster}},
        ],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(json.dumps(config))
    return str(path)


async def test_token_and_authority_of_the_current_context_are_used(tmp_path: Path) -> None:
    """The client sends the token, and verifies the server by the authority and tls-server-name."""
    authority = Authority()
    async with api_server(authority.serving("api.internal")) as server:
        path = write(
            tmp_path / "config",
            server.url + "/",
            {"token": "t-1"},
            **{"certificate-authority-data": encoded(authority.pem), "tls-server-name": "api.internal"},
        )
        async with ApiClient(Kubeconfig(path)) as client:
            await client.request("GET", PODS.path())

            assert server.requests[0][3] == "Bearer t-1"


async def test_the_context_argument_wins(tmp_path: Path) -> None:
    """--context wins over the current context of the file."""
    path = write(tmp_path / "config", "https://good.invalid", {"token": "t"})

    assert Kubeconfig(path).api_server.base_url == "https://good.invalid"
    assert Kubeconfig(path, "other").api_server.base_url == "https://other.invalid:1"


async def test_a_client_certificate_is_presented(tmp_path: Path) -> None:
    """If the user has a certificate, it is presented and no token is sent."""
    authority = Authority()
    certificate, key = authority.pair("admin")
    async with api_server(authority.serving("127.0.0.1", asks_for_certificate=True)) as server:
        data = {"certificate-authority-data": encoded(authority.pem)}
        user = {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)}
        async with ApiClient(Kubeconfig(write(tmp_path / "good", server.url, user, **data))) as client:
            await client.request("GET", PODS.path())

            assert server.requests[0][3] == ""
        async with ApiClient(Kubeconfig(write(tmp_path / "bad", server.url, {}, **data))) as client:
            with pytest.raises(UnreachableError):
                await client.request("GET", PODS.path())


async def test_a_plugin_runs_again_after_a_401(tmp_path: Path) -> None:
    """Credential plugins run as kubectl runs them, and a 401 runs them once more."""
    counter = tmp_path / "runs"
    counter.write_text("")
    plugin = tmp_path / "plugin.py"
    plugin.write_text(
        "import json, pathlib\n"
        f"path = pathlib.Path({str(counter)!r})\n"
        "path.write_text(path.read_text() + 'x')\n"
        "token = 't-%d' % len(path.read_text())\n"
        "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', 'kind': 'ExecCredential',"
        " 'status': {'token': token}}))\n"
    )
    user = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": [str(plugin)],
            "interactiveMode": "Never",
        }
    }
    authority = Authority()
    async with api_server(authority.serving("127.0.0.1")) as server:
        path = write(tmp_path / "config", server.url, user, **{"certificate-authority-data": encoded(authority.pem)})
        async with ApiClient(Kubeconfig(path)) as client:
            await client.request("GET", PODS.path())
            used = server.requests[0][3].removeprefix("Bearer ")
            server.tokens = {f"t-{int(used[2:]) + 1}"}
            await client.request("GET", PODS.path())

            assert server.requests[-1][3] != server.requests[0][3]


async def test_no_token_is_sent_over_plain_http(tmp_path: Path) -> None:
    """As with kubectl, a token needs TLS."""
    async with api_server() as server:
        source = Kubeconfig(write(tmp_path / "config", server.url, {"token": "t"}))
        async with ApiClient(source) as client:
            await client.request("GET", PODS.path())

        assert server.requests[0][3] == ""


async def test_the_certificate_is_verified_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    """insecure-skip-tls-verify is respected; without it an unknown authority is refused."""
    async with api_server(Authority().serving("elsewhere")) as server:
        skipping = write(tmp_path / "a", server.url, {"token": "t"}, **{"insecure-skip-tls-verify": True})
        async with ApiClient(Kubeconfig(skipping)) as client:
            await client.request("GET", PODS.path())
        async with ApiClient(Kubeconfig(write(tmp_path / "b", server.url, {"token": "t"}))) as client:
            with pytest.raises(UnreachableError):
                await client.request("GET", PODS.path())


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "a: [",
        "current-context: x",
        "kind: Config\ncurrent-context: x\ncontexts: []\nclusters: []\nusers: []\n",
    ],
    ids=["empty", "a list", "not YAML", "no contexts", "unknown context"],
)
def test_an_unusable_kubeconfig_is_named_in_the_error(tmp_path: Path, content: str) -> None:
    """The error has the path of the file."""
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(CredentialsError, match=str(path)):
        Kubeconfig(str(path))


def test_a_missing_kubeconfig_is_named_in_the_error(tmp_path: Path) -> None:
    """The error has the path of the file."""
    with pytest.raises(CredentialsError, match="nowhere"):
        Kubeconfig(str(tmp_path / "nowhere"))


def test_a_cluster_without_a_server_is_an_error(tmp_path: Path) -> None:
    """A cluster entry with an empty server is refused."""
    with pytest.raises(CredentialsError, match="names no server"):
        Kubeconfig(write(tmp_path / "config", "", {}))


def test_a_missing_authority_file_is_named_in_the_error(tmp_path: Path) -> None:
    """The kubeconfig names a certificate file that no longer exists."""
    missing = tmp_path / "ca.pem"
    missing.write_text("x")
    source = Kubeconfig(write(tmp_path / "config", "https://x.invalid", {}, **{"certificate-authority": str(missing)}))
    missing.unlink()
    with pytest.raises(CredentialsError, match=r"ca\.pem"):
        source.load()


def test_without_the_package_the_error_has_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 37: the package kubernetes is not installed."""
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    with pytest.raises(CredentialsError, match=r"pip install 'kubernetes>=34'"):
        Kubeconfig()


def test_the_kubernetes_package_is_not_imported_by_default() -> None:
    """Importing the cluster layer does not import the Kubernetes client."""
    code = "import sys, webhook.cluster; sys.exit('kubernetes' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0
