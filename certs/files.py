"""
Keep an authority and its serving pair in a directory laid out like a mounted Secret of type kubernetes.io/tls.

Each file is replaced in one step (written beside it, flushed, renamed), so that a reader sees the old content or the
new one. A certificate and its key are two files all the same: a reader that catches one of each must check that they
belong together, as the server does.
"""

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from certs.authority import CertificateError, KeyPair, load_pair
from certs.bundle import MAX_BUNDLE_BYTES, bundle_from_pem, bundle_to_pem

CA_CERTIFICATE = "ca.crt"
CA_KEY = "ca.key"
CERTIFICATE = "tls.crt"
KEY = "tls.key"
_PRIVATE = 0o600  # keys: the owner alone
_PUBLIC = 0o644  # certificates are sent to everyone who connects


@dataclass(frozen=True, kw_only=True, slots=True)
class Directory:
    """The four files of one installation."""

    path: Path

    def existing(self) -> tuple[str, ...]:
        """List which of the four files are there."""
        names = (CA_CERTIFICATE, CA_KEY, CERTIFICATE, KEY)
        return tuple(name for name in names if (self.path / name).exists())

    def authority(self) -> KeyPair:
        """
        Read the authority that signs: of the bundle, the certificate that the key belongs to.

        Raises:
            CertificateError: a file is unreadable, or the key belongs to none of the bundle's certificates.
        """
        bundle = bundle_from_pem(self._read(CA_CERTIFICATE))
        key_pem = self._read(CA_KEY)
        for certificate in bundle:
            with suppress(CertificateError):
                return load_pair(bundle_to_pem([certificate]), key_pem)
        raise CertificateError(f"{self.path / CA_KEY} belongs to no certificate of {self.path / CA_CERTIFICATE}")

    def serving_pair(self) -> KeyPair:
        """Read the serving certificate and its key."""
        return load_pair(self._read(CERTIFICATE), self._read(KEY))

    def write_authority(self, authority: KeyPair) -> None:
        """Store a new authority, alone in its bundle."""
        self._write({CA_KEY: authority.key_pem(), CA_CERTIFICATE: authority.certificate_pem()})

    def write_serving_pair(self, pair: KeyPair) -> None:
        """Store a serving pair."""
        self._write({KEY: pair.key_pem(), CERTIFICATE: pair.certificate_pem()})

    def _read(self, name: str) -> bytes:
        path = self.path / name
        try:
            with path.open("rb") as file:
                content = file.read(MAX_BUNDLE_BYTES + 1)
        except OSError as error:
            raise CertificateError(f"{path}: {error.strerror}") from error
        if len(content) > MAX_BUNDLE_BYTES:
            raise CertificateError(f"{path} has more than {MAX_BUNDLE_BYTES} bytes")
        return content

    def _write(self, contents: Mapping[str, bytes]) -> None:
        """Write every file beside its target first, then rename all, so that the moment between is short."""
        self.path.mkdir(parents=True, exist_ok=True)
        written: dict[str, str] = {}
        try:
            for name, content in contents.items():
                written[name] = _write_beside(self.path / name, content)
            for name in contents:
                Path(written[name]).replace(self.path / name)
                del written[name]
        finally:
            for leftover in written.values():
                Path(leftover).unlink(missing_ok=True)


def _write_beside(path: Path, content: bytes) -> str:
    mode = _PRIVATE if path.suffix == ".key" else _PUBLIC
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return temporary
