"""
What people call: one module for each command, which parses its arguments, calls, and prints.

Results go to standard output, everything else to standard error. Exit status: 0 all allowed, 1 something denied,
2 a usage that is none, input that cannot be read, or a cluster that cannot be reached.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from webhook.settings import SettingError
from webhook.version import VERSION

COMMANDS = {
    "demo": "serve a built-in example cluster and show one refusal and one repair",
    "serve": "serve the webhook: in a cluster, or on files",
    "check": "judge changes in files, as the webhook would",
    "explain": "say whether a connection is allowed, and why",
    "rules": "list the rules for EEM resources",
    "version": "print the version",
}
BAD_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        prog="eem-guardrail",
        description="Keeps NetworkPolicy edits from cutting off IBM Event Endpoint Management.",
    )
    parser.add_argument("--version", action="version", version=f"eem-guardrail {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    wanted = next((word for word in words if not word.startswith("-")), "")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        # Only the command that is called is imported: the others' libraries cost more than its work.
        if name == wanted:
            module = import_module(f"webhook.cli.{name}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    parsed = parser.parse_args(words)
    try:
        status: int = parsed.run(parsed)
    except SettingError as error:
        print(f"eem-guardrail {parsed.command}: {error}", file=sys.stderr)
        return BAD_USAGE
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python must not complain about it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BAD_USAGE
    except KeyboardInterrupt:
        return 130
    return status
