"""
Serve with the newest valid certificate, without a restart and without a failed handshake.

The pair in use is never modified. A new pair is read as bytes and loaded into a fresh SSLContext. Only if that succeeds
does the listening context pass new handshakes to it (`sni_callback`, which OpenSSL calls with and without a server
name); existing connections keep their certificate. In a live context, OpenSSL would replace the certificate before it
detects that the key does not match, and would refuse every handshake after that.
"""

import asyncio
import logging
import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from webhook.server.metrics import Metrics

POLL_SECONDS = 10.0  # controller-runtime's value; watching a symlink that is swapped has failed in many projects
MAX_FILE_BYTES = 64 * 1024  # a chain of dozens of certificates; parsing hostile PEM can be slow
CERTIFICATE, KEY, CA = "tls.crt", "tls.key", "ca.crt"
_MOUNT = "..data"  # the symlink with which the kubelet swaps all files of a mounted Secret at once
_TLS12_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # forward secrecy and authentication; TLS 1.3 has no other ciphers

log = logging.getLogger(__name__)


class PairError(ValueError):
    """Raised when a certificate and key cannot be used for serving."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PairFiles:
    """
    The content of a serving pair's files.

    Args:
        ca: the certificates of its authority; empty if the Secret has none (a public or an injected CA).
    """

    certificate: bytes
    key: bytes = field(repr=False)  # no log line or traceback may contain it
    ca: bytes = b""


class CertificateSource:
    """
    The serving pair, from a directory laid out like a mounted Secret, or passed to `install`.

    Args:
        metrics: get the expiry of the pair and the number of failed replacements.
        directory: contains tls.crt, tls.key and perhaps ca.crt; None if pairs are passed to `install`.
        minimum_version: TLS 1.3, or 1.2 for a proxy without TLS 1.3.
    """

    def __init__(
        self,
        *,
        metrics: Metrics,
        directory: Path | None = None,
        minimum_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> None:
        self._metrics = metrics
        self._directory = directory
        self._minimum_version = minimum_version
        self._files: PairFiles | None = None
        self._current: ssl.SSLContext | None = None
        self._not_after: datetime | None = None
        self._complaint = ""
        self.context = _new_context(minimum_version)
        self.context.sni_callback = self._choose

    @property
    def not_after(self) -> datetime | None:
        """Return when the pair in use expires; None before the first pair is installed."""
        return self._not_after

    @property
    def ca_bundle(self) -> bytes:
        """Return the content of ca.crt; empty if there is none."""
        return self._files.ca if self._files is not None else b""

    def problem(self) -> str | None:
        """Return why clients cannot trust this server now; None if they can. A check for /readyz."""
        if self._not_after is None:
            return "no certificate is loaded"
        if self._not_after <= datetime.now(UTC):
            return f"the certificate expired at {self._not_after.isoformat()}"
        return None

    def install(self, certificate: bytes, key: bytes, ca: bytes = b"") -> None:
        """
        Serve new connections with this pair.

        Raises:
            PairError: the pair cannot be used; the pair in use stays.
        """
        files = PairFiles(certificate=certificate, key=key, ca=ca)
        context, leaf = _load(files, self._minimum_version)
        not_before, not_after = leaf.not_valid_before_utc, leaf.not_valid_after_utc
        self._current, self._not_after, self._files = context, not_after, files
        self._metrics.certificates.show("serving", not_before=not_before, not_after=not_after)
        log.info("serving certificate loaded", extra={"fields": {"notAfter": not_after.isoformat()}})

    def take(self, certificate: bytes, key: bytes, ca: bytes = b"") -> None:
        """
        Install a pair from a source that another part watches; a fault is counted, and logged once.

        Raises:
            PairError: the pair cannot be used; the pair in use stays.
        """
        try:
            self.install(certificate, key, ca)
        except PairError as error:
            self._complain(error)
            raise
        self._complaint = ""

    def count_fault(self) -> None:
        """Count a pair that its source found unusable."""
        self._metrics.certificates.reload_errors.inc()

    async def load(self) -> None:
        """
        Read the directory and install its pair if it is new.

        Raises:
            PairError: the directory has no usable pair.
        """
        files = await asyncio.to_thread(self._read)  # a directory that hangs must not hang the service
        if files != self._files:
            self.install(files.certificate, files.key, files.ca)

    async def reload(self) -> bool:
        """Install the pair of the directory if it is new and valid; return whether the pair in use is that pair."""
        try:
            await self.load()
        except PairError as error:
            self._complain(error)
            return False
        self._complaint = ""
        return True

    async def watch(self, *, poll_seconds: float = POLL_SECONDS) -> None:
        """Reload the directory periodically, until cancelled. Contents are compared, not time stamps."""
        while True:
            await asyncio.sleep(poll_seconds)
            await self.reload()

    def _complain(self, error: PairError) -> None:
        self.count_fault()
        if str(error) != self._complaint:  # the same fault is logged once, not every ten seconds
            log.error("the serving certificate was not replaced", extra={"fields": {"reason": str(error)}})
        self._complaint = str(error)

    def _read(self) -> PairFiles:
        if self._directory is None:
            raise PairError("no directory was given")
        mount = self._directory / _MOUNT
        # Read all files from one version of the Secret: the kubelet may swap it between two reads.
        base = mount.resolve() if mount.is_symlink() else self._directory
        return PairFiles(
            certificate=_read_file(base / CERTIFICATE),
            key=_read_file(base / KEY),
            ca=_read_file(base / CA) if (base / CA).exists() else b"",
        )

    def _choose(self, handshake: ssl.SSLObject, _server_name: str | None, _listening: ssl.SSLContext) -> int | None:
        if self._current is None:
            return ssl.AlertDescription.ALERT_DESCRIPTION_INTERNAL_ERROR
        handshake.context = self._current
        return None


def _new_context(minimum_version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = minimum_version
    context.set_ciphers(_TLS12_CIPHERS)
    # No session resumption: the API server does not use it, and a resumed session would outlive its certificate.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load(files: PairFiles, minimum_version: ssl.TLSVersion) -> tuple[ssl.SSLContext, x509.Certificate]:
    for name, content in ((CERTIFICATE, files.certificate), (KEY, files.key), (CA, files.ca)):
        if len(content) > MAX_FILE_BYTES:
            raise PairError(f"{name} has more than {MAX_FILE_BYTES} bytes")
    try:
        leaf = x509.load_pem_x509_certificates(files.certificate)[0]
        if files.ca:
            x509.load_pem_x509_certificates(files.ca)
    except (ValueError, x509.InvalidVersion) as error:  # InvalidVersion is not a ValueError
        raise PairError(f"{CERTIFICATE} or {CA} cannot be read: {error}") from error
    if leaf.not_valid_after_utc <= datetime.now(UTC):
        raise PairError(f"{CERTIFICATE} expired at {leaf.not_valid_after_utc.isoformat()}")
    context = _new_context(minimum_version)
    try:
        with _as_file(files.certificate.rstrip() + b"\n" + files.key) as path:
            context.load_cert_chain(path, password="")  # an encrypted key must fail and not prompt on a terminal
    except ssl.SSLError as error:
        raise PairError(f"{KEY} does not fit {CERTIFICATE}: {error.reason or error}") from error
    return context, leaf


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """Pass content to OpenSSL as a file, because it loads keys from paths only; in memory if the system supports it."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("pair")
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile() as file:  # mode 0600, removed when the block ends
            file.write(content)
            file.flush()
            yield file.name


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)  # one byte more, to detect a file that is too large
    except OSError as error:
        raise PairError(f"{path.name}: {error.strerror}") from error
