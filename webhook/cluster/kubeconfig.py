"""
Take the API server and the credentials from a kubeconfig, for the command line outside a cluster.

The `kubernetes` package (extra `kubeconfig`) knows the file's rules and its plugins; nothing else of it is used, and
it is imported here alone, when asked for: it costs 0.2 s and 35 MiB.
"""

from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Final

import yaml

from webhook.cluster.credentials import ClientCertificate, Credentials, CredentialsError, Endpoint, Trust

# Plugins start a process: not each minute. A credential that ends earlier is answered 401, which loads at once.
KUBECONFIG_MAX_AGE_SECONDS: Final = 600.0


class Kubeconfig:
    """The credentials that kubectl would use."""

    def __init__(self, path: str | None = None, context: str | None = None) -> None:
        """
        Read the file for the first time.

        Args:
            path: None means $KUBECONFIG or ~/.kube/config.
            context: None means the file's current one.

        Raises:
            CredentialsError: the extra is not installed, or the file cannot be used.
        """
        self._path = path
        self._context = context
        self._config = _kubernetes_config()
        self.max_age_seconds = KUBECONFIG_MAX_AGE_SECONDS
        settings = self._settings()
        self.endpoint = Endpoint(
            base_url=settings.host.rstrip("/"),
            server_name=getattr(settings, "tls_server_name", None),
            proxy_url=getattr(settings, "proxy", None),
        )

    def load(self) -> Credentials:
        """Read the file, and run its plugin where it names one."""
        settings = self._settings()
        # As kubectl: what proves who we are goes over TLS only.
        encrypted = self.endpoint.base_url.startswith("https://")
        certificate_path = getattr(settings, "cert_file", None)
        key_path = getattr(settings, "key_file", None)
        try:
            ca_path = getattr(settings, "ssl_ca_cert", None)
            ca_pem = Path(ca_path).read_text(encoding="utf-8") if ca_path else None
            certificate = None
            if certificate_path and key_path:
                content = Path(certificate_path).read_bytes() + Path(key_path).read_bytes()
                certificate = ClientCertificate(certificate_path=certificate_path, key_path=key_path, content=content)
        except (OSError, UnicodeDecodeError) as error:
            raise CredentialsError(f"a file that the kubeconfig names cannot be read: {error}") from error
        return Credentials(
            authorization=settings.api_key.get("BearerToken", "") if encrypted else "",
            trust=Trust(ca_pem=ca_pem, verify=getattr(settings, "verify_ssl", True), certificate=certificate),
        )

    def _settings(self) -> SimpleNamespace:
        settings = SimpleNamespace(api_key={}, host="")
        try:
            self._config.load_kube_config(
                config_file=self._path,
                context=self._context,
                client_configuration=settings,
                persist_config=False,
            )
        except (self._config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, LookupError) as error:
            where = self._path or "the default kubeconfig"
            raise CredentialsError(f"{where} cannot be used: {error}") from error
        if not settings.host:
            raise CredentialsError(f"{self._path or 'the default kubeconfig'} names no server")
        return settings


def _kubernetes_config() -> ModuleType:
    try:
        from kubernetes import config  # noqa: PLC0415 - an optional extra, and slow to import
    except ImportError as error:
        raise CredentialsError(
            "reading a kubeconfig needs the extra: pip install 'eem-guardrail[kubeconfig]'"
        ) from error
    return config
