"""Find the API server and what proves who we are, inside a cluster."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

SERVICE_ACCOUNT_DIRECTORY: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")

# Service account tokens are replaced by the kubelet at 80 % of their life (at least 8 min before the end); client-go
# looks each minute.
SERVICE_ACCOUNT_MAX_AGE_SECONDS: Final = 60.0


class CredentialsError(Exception):
    """Tell that the API server or the proof of who we are cannot be found, and where it was looked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientCertificate:
    """A client certificate: its files, which are all that Python's ssl loads, and their content, to see changes."""

    certificate_path: str
    key_path: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """
    Whom the client believes, and the certificate that it shows.

    Args:
        ca_pem: the authorities; None means the system's own.
        verify: False only where a kubeconfig says insecure-skip-tls-verify.
    """

    ca_pem: str | None = field(repr=False)
    verify: bool = True
    certificate: ClientCertificate | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """
    What one request needs: the value of its Authorization header (empty for none) and the trust.

    Args:
        authorization: never shown in logs or repr.
    """

    authorization: str = field(repr=False)
    trust: Trust


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """
    Where the API server is.

    Args:
        base_url: `https://host:port`, perhaps with a path, without a slash at the end.
        server_name: the name in its certificate, where that is not the host.
        proxy_url: a proxy to go through; only a kubeconfig names one.
    """

    base_url: str
    server_name: str | None = None
    proxy_url: str | None = None


class CredentialSource(Protocol):
    """Where credentials come from. `load` may block (files, plugins): the client calls it in a thread."""

    @property
    def endpoint(self) -> Endpoint:
        """Say where the API server is."""

    @property
    def max_age_seconds(self) -> float:
        """Say after how many seconds credentials are to be loaded again."""

    def load(self) -> Credentials:
        """
        Read the credentials as they are now.

        Raises:
            CredentialsError: they cannot be read.
        """


class ServiceAccount:
    """The credentials that Kubernetes mounts into a pod."""

    def __init__(self, host: str, port: str, directory: Path = SERVICE_ACCOUNT_DIRECTORY) -> None:
        address = f"[{host}]" if ":" in host and not host.startswith("[") else host
        self.endpoint = Endpoint(base_url=f"https://{address}:{port}")
        self.max_age_seconds = SERVICE_ACCOUNT_MAX_AGE_SECONDS
        self._directory = directory

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str], directory: Path = SERVICE_ACCOUNT_DIRECTORY
    ) -> "ServiceAccount":
        """
        Find the API server as every in-cluster client does.

        Raises:
            CredentialsError: this is not a pod.

        Source: client-go rest.InClusterConfig.
        """
        host = environment.get("KUBERNETES_SERVICE_HOST", "")
        port = environment.get("KUBERNETES_SERVICE_PORT", "")
        if not host or not port:
            raise CredentialsError(
                "not inside a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set"
            )
        return cls(host, port, directory)

    def load(self) -> Credentials:
        """Read the token and the authorities from the mounted files."""
        token = self._read("token").strip()
        if not (token.isascii() and token.isprintable()):
            raise CredentialsError(f"{self._directory / 'token'} holds what cannot be in a header")
        return Credentials(authorization=f"Bearer {token}", trust=Trust(ca_pem=self._read("ca.crt")))

    def _read(self, name: str) -> str:
        path = self._directory / name
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CredentialsError(f"{path} cannot be read: {error}") from error
        if not text.strip():
            # No authority at all would mean the system's own to ssl: the whole web could then be the API server.
            raise CredentialsError(f"{path} is empty")
        return text


def ssl_context(trust: Trust) -> ssl.SSLContext:
    """
    Make the TLS settings of a client: 1.2 or later, host name checked.

    Raises:
        CredentialsError: an authority or the client certificate is not usable.
    """
    try:
        context = ssl.create_default_context(cadata=trust.ca_pem)
        # Python 3.13 began to refuse authorities without key identifiers; cluster CAs of that sort are in use.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.set_alpn_protocols(["http/1.1"])
        if not trust.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if trust.certificate is not None:
            context.load_cert_chain(trust.certificate.certificate_path, trust.certificate.key_path)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise CredentialsError(f"the certificates for the API server cannot be used: {error}") from error
    return context
