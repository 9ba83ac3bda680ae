"""
Offer the certificate tool on the command line: make, show and renew the files of a directory.

Results go to standard output, complaints to standard error. Exit status: 0 done, 1 the pair shown is not in order,
2 it could not be done.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes

from certs.authority import (
    CertificateError,
    KeyPair,
    issue_serving_pair,
    make_authority,
    names_of,
    service_names,
)
from certs.files import CERTIFICATE, KEY, Directory
from certs.renewal import needs_renewal, renewal_time

DONE, NOT_IN_ORDER, FAILED = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool and give its exit status."""
    options = _parser().parse_args(arguments)
    now = datetime.now(UTC)
    directory = Directory(path=options.out)
    try:
        if options.command == "init":
            return _init(directory, options, now)
        if options.command == "renew":
            return _renew(directory, options, now)
        return _show(directory, now)
    except (CertificateError, OSError) as error:
        sys.stderr.write(f"python -m certs: {error}\n")
        return FAILED


def _init(directory: Directory, options: argparse.Namespace, now: datetime) -> int:
    existing = directory.existing()
    if existing and not options.force:
        raise CertificateError(
            f"{directory.path} already holds {', '.join(existing)}; --force replaces them, and with them all trust"
        )
    authority = make_authority(now=now)
    names = (*service_names(options.service, options.namespace), *options.name)
    pair = issue_serving_pair(authority, names=names, now=now)
    directory.write_authority(authority)
    directory.write_serving_pair(pair)
    sys.stdout.write(_describe("authority", authority.certificate) + _describe("serving", pair.certificate))
    return DONE


def _renew(directory: Directory, options: argparse.Namespace, now: datetime) -> int:
    authority = directory.authority()
    old = directory.serving_pair().certificate
    due = needs_renewal(old.not_valid_before_utc, old.not_valid_after_utc, now)
    if not due and not options.force and _is_signed_by(old, authority):
        when = renewal_time(old.not_valid_before_utc, old.not_valid_after_utc)
        sys.stdout.write(f"not due before {_time(when)}; --force renews it now\n")
        return DONE
    pair = issue_serving_pair(authority, names=names_of(old), now=now)
    directory.write_serving_pair(pair)
    sys.stdout.write(_describe("serving", pair.certificate))
    return DONE


def _show(directory: Directory, now: datetime) -> int:
    authority = directory.authority()
    pair = directory.serving_pair()
    sys.stdout.write(_describe("authority", authority.certificate) + _describe("serving", pair.certificate))
    problems = _problems(authority, pair, now)
    for problem in problems:
        sys.stderr.write(f"python -m certs: {problem}\n")
    return NOT_IN_ORDER if problems else DONE


def _problems(authority: KeyPair, pair: KeyPair, now: datetime) -> tuple[str, ...]:
    found = [
        f"the {what} certificate is not valid now"
        for what, each in (("authority's", authority), ("serving", pair))
        if not each.certificate.not_valid_before_utc <= now < each.certificate.not_valid_after_utc
    ]
    if not _is_signed_by(pair.certificate, authority):
        found.append("the serving certificate is not signed by the authority")
    return tuple(found)


def _is_signed_by(certificate: x509.Certificate, authority: KeyPair) -> bool:
    try:
        certificate.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _describe(what: str, certificate: x509.Certificate) -> str:
    due = renewal_time(certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    lines = [
        f"{what}: {certificate.subject.rfc4514_string()}",
        f"  names:       {', '.join(names_of(certificate)) or '-'}",
        f"  not before:  {_time(certificate.not_valid_before_utc)}",
        f"  renewal due: {_time(due)}",
        f"  not after:   {_time(certificate.not_valid_after_utc)}",
        f"  sha-256:     {certificate.fingerprint(hashes.SHA256()).hex()}",
    ]
    return "\n".join(lines) + "\n"


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m certs", description="Make and renew the certificates of eem-guardrail."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--out", type=Path, default=Path("tls"), metavar="DIR", help="where the files are (default: %(default)s)"
    )
    init = commands.add_parser("init", parents=[common], help="make an authority and a serving pair")
    init.add_argument("--service", default="eem-guardrail", help="Service to be named (default: %(default)s)")
    init.add_argument("--namespace", default="eem-guardrail", help="its namespace (default: %(default)s)")
    init.add_argument("--name", action="append", default=[], help="another DNS name or IP address; may be repeated")
    init.add_argument("--force", action="store_true", help="replace what is there")
    renew = commands.add_parser("renew", parents=[common], help=f"replace {CERTIFICATE} and {KEY} when due")
    renew.add_argument("--force", action="store_true", help="even when not due")
    commands.add_parser("show", parents=[common], help="print what the files hold")
    return parser
