"""Print the page docs/settings.md from the code: `python -m docs.settings_page`."""

import sys
from collections.abc import Iterator
from dataclasses import Field, fields
from typing import Any

from webhook.settings import CONNECTION, DECISION, LOGGING, SERVING, Settings, flag_of, variable_of
from webhook.settings.flags import default_of

HEAD = """# Settings

`python -m docs.settings_page` makes this page from the code, and a test compares the two.

You can set each setting with a flag or an environment variable. Every command that has the flag reads the variable, and
the flag overrides it. The annotations `eem-guardrail.io/mode`, `eem-guardrail.io/sources` and `eem-guardrail.io/egress`
of a namespace override both.
"""
GROUPS = (
    (
        "Decisions",
        "All commands that give verdicts have these settings; `explain` has `--plugin` and `--ipblock-matches-pods`.",
        DECISION,
    ),
    ("Serving", "`serve` has these settings.", SERVING),
    ("The log", "`serve` and `demo` have these settings.", LOGGING),
    (
        "Outside a cluster",
        "`serve` and every command with `--live` (extra `kubeconfig`) have these settings, as kubectl does.",
        CONNECTION,
    ),
)


def document() -> str:
    """Return the whole page."""
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
    """Return the values of a setting: the words themselves, or the name of their form."""
    if not metavar:
        return "no value; the variable: `on`, `off`"
    before, is_pair, words = metavar.rpartition("=")
    return ", ".join(f"`{before}{is_pair}{word}`" for word in words.split("|"))


if __name__ == "__main__":
    sys.stdout.write(document())
