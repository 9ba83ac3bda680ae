"""
Offer the certificate tool on the command line: it makes, shows, renews and rotates the certificates of a directory.

The directory has the layout of a mounted Secret of type kubernetes.io/tls. Results go to standard output, errors to
standard error. Exit status: 0 done, 1 `show` found a problem, 2 the command failed.
"""

import argparse
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from certs.authority import CertificateError, service_names
from certs.bundle import MAX_BUNDLE_BYTES
from certs.by_hand import describe, problems, renew, rotate
from certs.material import CERTIFICATE, ENTRIES, KEY, NEXT_KEY, RETIRED, Material, new_material, read_parts
from certs.renewal import Lifetimes

DONE, PROBLEM_FOUND, FAILED = 0, 1, 2
LIFETIMES = Lifetimes()
PROGRAM = "python -m certs"
_OPTIONAL = (NEXT_KEY, RETIRED)  # present only during a rotation

_PRIVATE = 0o600  # keys: readable by the owner only
_PUBLIC = 0o644  # certificates are sent to every client


@dataclass(frozen=True, kw_only=True, slots=True)
class Directory:
    """
    The files of one installation: four, and up to two more during a rotation.

    Each file is replaced in one step (written beside it, flushed, renamed): a reader sees either the old or the new
    content. A certificate and its key are two files all the same. A reader that may see one old and one new file must
    check that they belong together, as the server does.
    """

    path: Path

    def existing(self) -> tuple[str, ...]:
        """Return the names of the files that exist."""
        return tuple(name for name in ENTRIES if (self.path / name).exists())

    def material(self) -> Material:
        """
        Read all files. The serving certificate may come from an authority outside the bundle.

        Raises:
            CertificateError: a file is missing or unreadable, or a key belongs to no certificate.
        """
        if not self.existing():
            command = f"{PROGRAM} init --out {shlex.quote(str(self.path))}"
            raise CertificateError(
                f"{self.path} holds no certificates; make them with `{command}`, or name another directory with --out"
            )
        wanted = (entry for entry in ENTRIES if entry not in _OPTIONAL or (self.path / entry).exists())
        return read_parts({entry: self._read(entry) for entry in wanted})

    def write(self, material: Material) -> None:
        """
        Write every file that has changed, and remove the files of a rotation that has ended.

        Raises:
            CertificateError: a file cannot be written.
        """
        entries = material.entries()
        changed = {
            entry: content
            for entry, content in entries.items()
            if not (self.path / entry).exists() or self._read(entry) != content
        }
        try:
            with _without_interruption():
                self._write(changed)
                for entry in _OPTIONAL:
                    if entry not in entries:
                        (self.path / entry).unlink(missing_ok=True)
        except OSError as error:
            raise CertificateError(f"cannot write to {self.path}: {error.strerror}") from error

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
        """Write every file beside its target, then rename all: the directory is inconsistent only for a moment."""
        self.path.mkdir(parents=True, exist_ok=True)
        written: dict[str, Path] = {}
        try:
            for name, content in contents.items():
                written[name] = _write_beside(self.path / name, content)
            for name in contents:
                written[name].replace(self.path / name)
                del written[name]
        finally:
            for leftover in written.values():
                leftover.unlink(missing_ok=True)


def _write_beside(path: Path, content: bytes) -> Path:
    mode = _PRIVATE if path.suffix == ".key" else _PUBLIC
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return Path(temporary)


@contextmanager
def _without_interruption() -> Iterator[None]:
    """Delay Ctrl-C until the end of the block: a key and its certificate are replaced together."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Parser(argparse.ArgumentParser):
    def print_help(self, file: Any = None) -> None:
        """Print the help; argparse alone ignores it if the output device is full."""
        (sys.stdout if file is None else file).write(self.format_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    try:
        return _report_failures(arguments)
    finally:
        with suppress(OSError):
            _flush(sys.stderr)


def _report_failures(arguments: Sequence[str] | None) -> int:
    try:
        try:
            return _run(_parser().parse_args(arguments), datetime.now(UTC))
        finally:
            _flush(sys.stdout)  # here, not at exit, so that a full device can be reported
    except CertificateError as error:
        _complain(str(error))
    except BrokenPipeError:
        pass  # the reader of the output has closed it
    except OSError as error:
        _complain(f"cannot write the output: {error.strerror}")
    return FAILED


def _run(options: argparse.Namespace, now: datetime) -> int:
    directory = Directory(path=options.out)
    if options.command == "init":
        return _init(directory, options, now)
    material = directory.material()
    if options.command == "show":
        return _show(material, now)
    change = renew if options.command == "renew" else rotate
    result = change(material, now=now, lifetimes=LIFETIMES, force=options.force)
    if result.material is not None:
        directory.write(result.material)
        _print(result.material, now)
    sys.stdout.write(f"{result.message}\n")
    return DONE


def _init(directory: Directory, options: argparse.Namespace, now: datetime) -> int:
    existing = directory.existing()
    if existing and not options.force:
        raise CertificateError(
            f"{directory.path} already holds {', '.join(existing)}; --force replaces them, and every webhook "
            "configuration must then trust the new CA"
        )
    names = (*service_names(options.service, options.namespace), *options.name)
    material = new_material(names, now=now, lifetimes=LIFETIMES)
    directory.write(material)
    _print(material, now)
    return DONE


def _show(material: Material, now: datetime) -> int:
    _print(material, now)
    found = problems(material, now)
    for problem in found:
        _complain(problem)
    return PROBLEM_FOUND if found else DONE


def _print(material: Material, now: datetime) -> None:
    sys.stdout.write(describe(material, now=now, lifetimes=LIFETIMES))


def _complain(message: str) -> None:
    with suppress(OSError):
        sys.stderr.write(f"{PROGRAM}: {message}\n")


def _flush(stream: TextIO) -> None:
    """
    Write out what a stream has buffered.

    If that fails, the stream is redirected to the null device: the interpreter would otherwise fail again at exit, with
    status 120.
    """
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = _Parser(
        prog=PROGRAM, description="Make, show, renew and rotate the certificates of eem-guardrail."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--out", type=Path, default=Path("tls"), metavar="DIR", help="directory of the files (default: %(default)s)"
    )
    init = commands.add_parser("init", parents=[common], help="make a CA and a serving pair")
    init.add_argument("--service", default="eem-guardrail", help="name of the Service (default: %(default)s)")
    init.add_argument("--namespace", default="eem-guardrail", help="its namespace (default: %(default)s)")
    init.add_argument("--name", action="append", default=[], help="another DNS name or IP address; may be repeated")
    init.add_argument("--force", action="store_true", help="replace the existing files")
    renewal = commands.add_parser("renew", parents=[common], help=f"replace {CERTIFICATE} and {KEY} if they are due")
    renewal.add_argument("--force", action="store_true", help="replace them before they are due")
    rotation = commands.add_parser(
        "rotate-ca", parents=[common], help="perform the next step of a rotation to a new CA"
    )
    rotation.add_argument("--force", action="store_true", help="begin another rotation before the last one has ended")
    commands.add_parser("show", parents=[common], help="print the certificates, when they are due, and the rotation")
    return parser
