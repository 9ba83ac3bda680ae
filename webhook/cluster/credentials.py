"""
Find the API server and the credentials for it: of the pod's service account, or of a kubeconfig.

The `kubernetes` package (extra `kubeconfig`) reads kubeconfig files and runs their plugins. Nothing else of it is
used, and it is imported only here and only when a kubeconfig is read: the import takes 0.2 s and 35 MiB.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Final, Protocol

import yaml

SERVICE_ACCOUNT_DIRECTORY: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")

# The kubelet replaces service account tokens at 80 % of their lifetime (at least 8 min before they expire); client-go
# reads the file each minute.
SERVICE_ACCOUNT_MAX_AGE_SECONDS: Final = 60.0
# A plugin is a process, so it does not run each minute. After a 401 the client loads the credentials at once.
KUBECONFIG_MAX_AGE_SECONDS: Final = 600.0


class CredentialsError(Exception):
    """Raised when the API server's address or the credentials cannot be found; the message says where they belong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientCertificate:
    """A client certificate: the paths, which Python's ssl needs, and the content, which shows when it has changed."""

    certificate_path: str
    key_path: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """
    The authorities that the client trusts, and the certificate that it presents.

    Args:
        ca_pem: the authorities; None means those of the system.
        verify: False only where a kubeconfig sets insecure-skip-tls-verify.
    """

    ca_pem: str | None = field(repr=False)
    verify: bool = True
    certificate: ClientCertificate | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """
    The credentials of one request.

    Args:
        authorization: the value of the Authorization header, empty for none; never shown in logs or repr.
    """

    authorization: str = field(repr=False)
    trust: Trust


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiServer:
    """
    The address of the API server.

    Args:
        base_url: `https://host:port`, optionally with a path, without a slash at the end.
        server_name: the name in its certificate, if that is not the host.
        proxy_url: the proxy that the kubeconfig names, if any.
    """

    base_url: str
    server_name: str | None = None
    proxy_url: str | None = None


class CredentialSource(Protocol):
    """A source of credentials. `load` may block (files, plugins), so the client calls it in a thread."""

    @property
    def api_server(self) -> ApiServer:
        """Return the address of the API server."""

    @property
    def max_age_seconds(self) -> float:
        """Return after how many seconds the credentials must be loaded again."""

    def load(self) -> Credentials:
        """
        Read the current credentials.

        Raises:
            CredentialsError: they cannot be read.
        """


class ServiceAccount:
    """The credentials that the kubelet mounts into a pod."""

    def __init__(self, host: str, port: str, directory: Path = SERVICE_ACCOUNT_DIRECTORY) -> None:
        address = f"[{host}]" if ":" in host and not host.startswith("[") else host
        self.api_server = ApiServer(base_url=f"https://{address}:{port}")
        self.max_age_seconds = SERVICE_ACCOUNT_MAX_AGE_SECONDS
        self._directory = directory

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str], directory: Path = SERVICE_ACCOUNT_DIRECTORY
    ) -> "ServiceAccount":
        """
        Find the API server by the variables that Kubernetes sets in each container.

        Raises:
            CredentialsError: the variables are not set, so this is not a pod.

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
            raise CredentialsError(f"{self._directory / 'token'} has characters that an HTTP header cannot have")
        return Credentials(authorization=f"Bearer {token}", trust=Trust(ca_pem=self._read("ca.crt")))

    def _read(self, name: str) -> str:
        path = self._directory / name
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CredentialsError(f"{path} cannot be read: {error}") from error
        if not text.strip():
            # Python's ssl would take an empty file for the system's authorities, and trust every public website.
            raise CredentialsError(f"{path} is empty")
        return text


class Kubeconfig:
    """The credentials that kubectl would use."""

    def __init__(self, path: str | None = None, context: str | None = None) -> None:
        """
        Read the file for the first time.

        Args:
            path: None means $KUBECONFIG or ~/.kube/config.
            context: None means the current context of the file.

        Raises:
            CredentialsError: the extra is not installed, or the file cannot be used.
        """
        self._path = path
        self._context = context
        self._config = _kubernetes_config()
        self.max_age_seconds = KUBECONFIG_MAX_AGE_SECONDS
        configuration = self._configuration()
        self.api_server = ApiServer(
            base_url=configuration.host.rstrip("/"),
            server_name=getattr(configuration, "tls_server_name", None),
            proxy_url=getattr(configuration, "proxy", None),
        )

    def load(self) -> Credentials:
        """Read the file, and run its plugin if it names one."""
        configuration = self._configuration()
        # As in kubectl, credentials are only sent over TLS.
        encrypted = self.api_server.base_url.startswith("https://")
        certificate_path = getattr(configuration, "cert_file", None)
        key_path = getattr(configuration, "key_file", None)
        try:
            ca_path = getattr(configuration, "ssl_ca_cert", None)
            ca_pem = Path(ca_path).read_text(encoding="utf-8") if ca_path else None
            certificate = None
            if certificate_path and key_path:
                content = Path(certificate_path).read_bytes() + Path(key_path).read_bytes()
                certificate = ClientCertificate(certificate_path=certificate_path, key_path=key_path, content=content)
        except (OSError, UnicodeDecodeError) as error:
            raise CredentialsError(f"a file that the kubeconfig names cannot be read: {error}") from error
        return Credentials(
            authorization=configuration.api_key.get("BearerToken", "") if encrypted else "",
            trust=Trust(ca_pem=ca_pem, verify=getattr(configuration, "verify_ssl", True), certificate=certificate),
        )

    def _configuration(self) -> SimpleNamespace:
        configuration = SimpleNamespace(api_key={}, host="")
        try:
            self._config.load_kube_config(
                config_file=self._path,
                context=self._context,
                client_configuration=configuration,
                persist_config=False,
            )
        except (self._config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, LookupError) as error:
            where = self._path or "the default kubeconfig"
            raise CredentialsError(f"{where} cannot be used: {error}") from error
        if not configuration.host:
            raise CredentialsError(f"{self._path or 'the default kubeconfig'} names no server")
        return configuration


def _kubernetes_config() -> ModuleType:
    try:
        from kubernetes import config  # noqa: PLC0415 - an optional extra, and slow to import
    except ImportError as error:
        raise CredentialsError(
            "reading a kubeconfig needs the Python package kubernetes: pip install 'kubernetes>=34'"
        ) from error
    return config


def ssl_context(trust: Trust) -> ssl.SSLContext:
    """
    Return the TLS settings of a client: TLS 1.2 or later, with the host name checked.

    Raises:
        CredentialsError: an authority or the client certificate is not usable.
    """
    try:
        context = ssl.create_default_context(cadata=trust.ca_pem)
        # Since Python 3.13 this flag refuses authorities without key identifiers, and some cluster CAs have none.
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
