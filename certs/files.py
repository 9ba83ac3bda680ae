"""
Keep an authority and its serving pair in a directory laid out like a mounted Secret of type kubernetes.io/tls.

Each file is replaced in one step (written beside it, flushed, renamed), so that a reader sees the old content or the
new one. A certificate and its key are two files all the same: a reader that catches one of each must check that they
belong together, as the server does.
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from certs.authority import CertificateError, KeyPair
from certs.bundle import MAX_BUNDLE_BYTES
from certs.material import CA_CERTIFICATE, CA_KEY, CERTIFICATE, ENTRIES, KEY, NEXT_KEY, RETIRED, Material, read_parts

_OPTIONAL = (NEXT_KEY, RETIRED)  # there only during a rotation

_PRIVATE = 0o600  # keys: the owner alone
_PUBLIC = 0o644  # certificates are sent to everyone who connects


@dataclass(frozen=True, kw_only=True, slots=True)
class Directory:
    """The files of one installation: four, and two more during a rotation."""

    path: Path

    def existing(self) -> tuple[str, ...]:
        """List which of the files are there."""
        return tuple(name for name in ENTRIES if (self.path / name).exists())

    def material(self) -> Material:
        """
        Read everything; the serving certificate may be from an authority that is not in the bundle.

        Raises:
            CertificateError: a file is missing or unreadable, or a key belongs to no certificate.
        """
        there = (entry for entry in ENTRIES if entry not in _OPTIONAL or (self.path / entry).exists())
        return read_parts({entry: self._read(entry) for entry in there})

    def write(self, material: Material) -> None:
        """Store everything that has changed, and remove what belongs to no rotation any more."""
        entries = material.entries()
        changed = {
            entry: content
            for entry, content in entries.items()
            if not (self.path / entry).exists() or self._read(entry) != content
        }
        self._write(changed)
        for entry in _OPTIONAL:
            if entry not in entries:
                (self.path / entry).unlink(missing_ok=True)

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
