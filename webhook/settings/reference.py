"""Write the reference of the settings, docs/settings.md, from the code: `python -m webhook.settings.reference`."""

import sys
from collections.abc import Iterator
from dataclasses import Field, fields
from typing import Any

from webhook.settings.definitions import Settings
from webhook.settings.flags import CONNECTION, DECISION, LOGGING, SERVING, default_of, flag_of, variable_of

HEAD = """# Settings

Made by `python -m webhook.settings.reference`; a test holds it to the code.

Each setting is a flag, and a variable in the environment of the service. The flag wins. On a namespace, the
annotations `eem-guardrail.io/mode` and `eem-guardrail.io/sources` win over both.
"""
GROUPS = (
    ("What decisions rest on", "`serve` and `check` have these, `explain` has `--ipblock-matches-pods`.", DECISION),
    ("Serving", "`serve` has these.", SERVING),
    ("The log", "`serve` and `demo` have these.", LOGGING),
    (
        "Outside a cluster",
        "`serve`, and `check` and `explain` with `--live`: as kubectl chooses it (extra `kubeconfig`).",
        CONNECTION,
    ),
)


def document() -> str:
    """Give the whole page."""
    return "\n".join([HEAD, *(line for group in GROUPS for line in _section(*group))])


def _section(title: str, text: str, names: tuple[str, ...]) -> Iterator[str]:
    known = {one.name: one for one in fields(Settings)}
    yield from (f"## {title}", "", text, "", "| flag and variable | values | default | meaning |", "|---|---|---|---|")
    yield from (_row(known[name]) for name in names)
    yield ""


def _row(known: Field[Any]) -> str:
    name = f"`{flag_of(known.name)}` `{variable_of(known.name)}`"
    return f"| {name} | {_values(known.metadata['metavar'])} | {default_of(known)} | {known.metadata['help']} |"


def _values(metavar: str) -> str:
    """Show what a setting can be: the words themselves, or the name of a form."""
    if not metavar:
        return "no value; the variable: `on`, `off`"
    before, is_pair, words = metavar.rpartition("=")
    return ", ".join(f"`{before}{is_pair}{word}`" for word in words.split("|"))


if __name__ == "__main__":
    sys.stdout.write(document())
