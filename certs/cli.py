"""
Offer the certificate tool on the command line, for the files of a directory and for the Secret of a cluster.

Results go to standard output, complaints to standard error. Exit status: 0 done, 1 what is shown is not in order,
2 it could not be done.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from certs.authority import CertificateError, service_names
from certs.by_hand import Done, renew, rotate
from certs.files import Directory
from certs.kubectl import KubectlSecret
from certs.material import CERTIFICATE, KEY, Material, new_material
from certs.renewal import Lifetimes
from certs.secret import changed_secret, material_of, new_secret, with_request
from certs.show import describe, problems

DONE, NOT_IN_ORDER, FAILED = 0, 1, 2
LIFETIMES = Lifetimes()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool and give its exit status."""
    options = _parser().parse_args(arguments)
    now = datetime.now(UTC)
    run = _on_files if options.secret is None else _on_secret
    try:
        return run(options, now)
    except (CertificateError, OSError) as error:
        sys.stderr.write(f"python -m certs: {error}\n")
        return FAILED


def _on_files(options: argparse.Namespace, now: datetime) -> int:
    directory = Directory(path=options.out)
    if options.command == "init":
        existing = directory.existing()
        if existing and not options.force:
            raise CertificateError(
                f"{directory.path} already holds {', '.join(existing)}; --force replaces them, and with them all trust"
            )
        material = _made(options, "eem-guardrail", now)
        directory.write(material)
        return _tell(material, now)
    material = directory.material()
    if options.command == "show":
        return _show(material, now)
    by_hand = renew if options.command == "renew" else rotate
    done = by_hand(material, now=now, lifetimes=LIFETIMES, force=options.force)
    if done.material is not None:
        directory.write(done.material)
    return _report(done, now)


def _on_secret(options: argparse.Namespace, now: datetime) -> int:
    namespace, name = options.secret
    given = {"--context": options.context, "--kubeconfig": options.kubeconfig}
    cluster = KubectlSecret(
        namespace=namespace, name=name, options=[f"{key}={value}" for key, value in given.items() if value is not None]
    )
    secret = cluster.read()
    if options.command == "init":
        if secret is not None and not options.force:
            raise CertificateError(f"Secret {namespace}/{name} is there; --force replaces it, and with it all trust")
        material = _made(options, namespace, now)
        if secret is None:
            cluster.create(new_secret(namespace, name, material))
        else:
            cluster.replace(changed_secret(secret, material))
        return _tell(material, now)
    if secret is None:
        raise CertificateError(f"there is no Secret {namespace}/{name}")
    if options.command == "rotate-ca":
        cluster.replace(with_request(secret, now))
        sys.stdout.write("asked for; the leading replica begins within a minute: `show` tells how far it is\n")
        return DONE
    material = material_of(secret)
    if options.command == "show":
        return _show(material, now)
    done = renew(material, now=now, lifetimes=LIFETIMES, force=options.force)
    if done.material is not None:
        cluster.replace(changed_secret(secret, done.material))
    return _report(done, now)


def _made(options: argparse.Namespace, namespace: str, now: datetime) -> Material:
    names = (*service_names(options.service, options.namespace or namespace), *options.name)
    return new_material(names, now=now, lifetimes=LIFETIMES)


def _show(material: Material, now: datetime) -> int:
    _tell(material, now)
    found = problems(material, now)
    for problem in found:
        sys.stderr.write(f"python -m certs: {problem}\n")
    return NOT_IN_ORDER if found else DONE


def _report(done: Done, now: datetime) -> int:
    if done.material is not None:
        _tell(done.material, now)
    sys.stdout.write(f"{done.message}\n")
    return DONE


def _tell(material: Material, now: datetime) -> int:
    sys.stdout.write(describe(material, now=now, lifetimes=LIFETIMES))
    return DONE


def _namespaced(text: str) -> tuple[str, str]:
    namespace, slash, name = text.partition("/")
    if not (namespace and slash and name) or "/" in name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAMESPACE/NAME")
    return namespace, name


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m certs", description="Make, show, renew and rotate the certificates of eem-guardrail."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--out", type=Path, default=Path("tls"), metavar="DIR", help="where the files are (default: %(default)s)"
    )
    common.add_argument(
        "--secret", type=_namespaced, metavar="NAMESPACE/NAME", help="a cluster's Secret, by kubectl, and not files"
    )
    common.add_argument("--context", help="for kubectl")
    common.add_argument("--kubeconfig", metavar="FILE", help="for kubectl")
    init = commands.add_parser("init", parents=[common], help="make an authority and a serving pair")
    init.add_argument("--service", default="eem-guardrail", help="Service to be named (default: %(default)s)")
    init.add_argument("--namespace", help="its namespace (default: eem-guardrail, or the Secret's)")
    init.add_argument("--name", action="append", default=[], help="another DNS name or IP address; may be repeated")
    init.add_argument("--force", action="store_true", help="replace what is there")
    due = commands.add_parser("renew", parents=[common], help=f"replace {CERTIFICATE} and {KEY} when due")
    due.add_argument("--force", action="store_true", help="even when not due")
    rotation = commands.add_parser(
        "rotate-ca", parents=[common], help="take the next step to another authority; of a Secret: ask the guard to"
    )
    rotation.add_argument("--force", action="store_true", help="begin another rotation before the last one has ended")
    commands.add_parser("show", parents=[common], help="print what is there, when it is due, how far a rotation is")
    return parser
