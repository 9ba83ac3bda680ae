"""`eem-guardrail rules`: every rule for EEM resources, as the webhook applies them."""

import argparse

from webhook.cli.output import ALLOWED, add_output_arguments, show
from webhook.eem.rules import render

EPILOG = """\
examples:
  eem-guardrail rules
  eem-guardrail rules -o markdown > rules.md

exit status: 0"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the output format."""
    add_output_arguments(parser, ("text", "json", "markdown"))


def run(arguments: argparse.Namespace) -> int:
    """Print the table of rules."""
    show(render(arguments.output).rstrip("\n"))
    return ALLOWED
