"""
The command line: one module for each command, with its arguments and its work.

Results go to standard output, everything else to standard error. Exit status: 0 all changes are allowed, 1 a change is
refused, 2 wrong usage, input that cannot be read, output that cannot be written, or a cluster that cannot be reached.
"""

import argparse
import sys
from collections.abc import Collection, Sequence
from importlib import import_module

from webhook.cli.output import BAD_USAGE, INTERRUPTED, HelpFormatter, OutputError, discard_output, flush_output, show
from webhook.settings import SettingError
from webhook.version import VERSION

COMMANDS = {
    "demo": "serve a built-in example cluster, and show one refusal and one repair",
    "serve": "serve the webhook, in a cluster or on files",
    "check": "judge changes in files as the webhook would",
    "plan": "find an order of changes in which no step interrupts required ingress",
    "audit": "show which requirements hold in a cluster as it is, without a change",
    "report": "show who can reach what EEM needs, as text, JSON or a page with a drawing",
    "explain": "show whether a connection is allowed, and why",
    "rules": "list the rules for EEM resources",
    "completion": "print the completion script of a shell",
    "version": "print the version",
}
EPILOG = """\
examples:
  eem-guardrail demo
  eem-guardrail check --help

The help of a command has its options, examples and its exit status.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        try:
            status = _run(words)
        except SystemExit as ended:  # argparse: after --help, --version, or wrong usage
            status = int(ended.code or 0)
        flush_output()
    except BrokenPipeError:  # the reader of the output has closed it
        discard_output()
        return BAD_USAGE
    except OutputError as error:
        discard_output()
        print(f"eem-guardrail: {error}", file=sys.stderr)
        return BAD_USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def parser_with(wanted: Collection[str]) -> argparse.ArgumentParser:
    """
    Return the parser of the command line.

    Args:
        wanted: the commands whose arguments are read: to load the modules of all takes longer than most commands run.
    """
    parser = argparse.ArgumentParser(
        prog="eem-guardrail",
        description="Keep NetworkPolicy changes from cutting off IBM Event Endpoint Management (EEM).",
        epilog=EPILOG,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"eem-guardrail {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            formatter_class=HelpFormatter,
        )
        if name == "version":
            command.epilog = "example:\n  eem-guardrail version\n\nexit status: 0"
            command.set_defaults(run=_print_version)
        elif name in wanted:
            module = import_module(f"webhook.cli.{name}_command")
            module.add_arguments(command)
            command.epilog = module.EPILOG
            command.set_defaults(run=module.run)
    return parser


def _run(words: Sequence[str]) -> int:
    parser = parser_with([word for word in words if not word.startswith("-")][:1])
    try:
        parsed = parser.parse_args(words)
    except OSError as error:  # of the text of --help
        raise OutputError(error) from error
    try:
        return int(parsed.run(parsed))
    except SettingError as error:
        print(f"eem-guardrail {parsed.command}: {error}", file=sys.stderr)
        return BAD_USAGE


def _print_version(_arguments: argparse.Namespace) -> int:
    show(f"eem-guardrail {VERSION}")
    return 0
