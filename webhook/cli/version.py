"""`eem-guardrail version`."""

import argparse

from webhook.version import VERSION


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Take none."""


def run(_arguments: argparse.Namespace) -> int:
    """Print the version."""
    print(f"eem-guardrail {VERSION}")
    return 0
