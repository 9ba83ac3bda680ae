"""`eem-guardrail rules`: every rule for EEM resources, as the webhook applies them."""

import argparse

from webhook.eem.rules import render


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the form."""
    parser.add_argument(
        "-o", "--output", choices=("text", "json", "markdown"), default="text", help="form of the table"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the table."""
    print(render(arguments.output).rstrip("\n"))
    return 0
