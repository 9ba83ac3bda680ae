"""Truth tables: a cluster, its policies, and which connections they allow; each file says what it is about."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from netpol.asking import ask, word

CASES = Path(__file__).resolve().parent.parent / "cases" / "netpol"
CONNECTION = re.compile(r"(?P<source>\S+) -> (?P<destination>\S+) (?P<protocol>TCP|UDP|SCTP)/(?P<port>\d+)")


@cache
def table(name: str) -> dict[str, Any]:
    """Read one file."""
    return yaml.safe_load((CASES / f"{name}.yaml").read_text())


def names() -> list[str]:
    return sorted(path.stem for path in CASES.glob("*.yaml"))


@pytest.mark.parametrize(
    ("name", "connection", "answer"),
    [
        pytest.param(name, connection, answer, id=f"{name}: {connection}")
        for name in names()
        for connection, answer in table(name)["connections"].items()
    ],
)
def test_a_row(name: str, connection: str, answer: str) -> None:
    """The connection has this answer in this cluster."""
    asked = CONNECTION.fullmatch(connection)
    assert asked is not None
    verdict = ask(
        table(name)["objects"],
        asked["source"],
        asked["destination"],
        int(asked["port"]),
        asked["protocol"],
        ipblock_matches_pods=table(name).get("ipblock_matches_pods", "unknown"),
    )

    assert answer == word(verdict)


@pytest.mark.parametrize("name", names())
def test_a_table_documents_itself(name: str) -> None:
    """A file begins with the sentence that it shows, names its source, and has rows of more than one answer."""
    text = (CASES / f"{name}.yaml").read_text()

    assert text.startswith("# ")
    assert table(name)["source"]
    assert len(set(table(name)["connections"].values())) > 1
    assert len(table(name)["connections"]) == text.count(" -> ")


def test_there_are_tables() -> None:
    """The files are found."""
    assert "isolation" in names()
