"""Random YAML texts mean here what they mean to the real kubectl: the same object, or an error on both sides."""

import json
import os
import random
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from webhook.files.object_reader import read_documents

HEAD = """\
apiVersion: example.com/v1
kind: Example
metadata: {name: example}
anchors:
  m: &m {a: 10, b: 20}
  m2: &m2 {a: 30, c: 40, <<: *m}
  s: &s [1]
  v: &a {q: 1}
spec:
"""
# Words and numbers of YAML 1.1 and 1.2, in every notation that either knows, and what only resembles them.
SCALARS = (
    """
1|-1|0|08|010|0o17|0x1F|0b11|1_000|8092.0|8.092e3|08092|1e3|1.5|.5|1.|+1|yes|no|on|off|y|n|Y|true|True|TRUE|null|~|Null
abc|a b|"q"|'s'|"1"|2026-01-01|12:30|1:30:00|!!str 5|!!int 5|!!float 5|!!bool yes|!!null ""|! 5|!!binary aGk=|<<|=|é
18446744073709551615|9223372036854775808|-9223372036854775809|1e19|1e300|1e400|0.1e1|1__0|_1|1_|0_7|0x_1|-0|-0.0|0.0
1e+2|1E2|01.5|1.5.2|"a\\u00e9"|'it''s'|"\\x41"|- |[]|{}|[1,2]|{a: 1}|*a|&z 5|.e3|1e|0e0|00|09.5|0o8|0b2|1,000|1k
10.0.0.0/8|0xg|-0x1f|-010|+010|-08|+.5|-.5|4_0.5|nan|.inf|-.Inf|.nan|inf|!!timestamp 2026-01-01|!unknown 1
"open|'|%|@|`|}|"a\\/b"|"a\\\\/b"|'a\\/b'
""".replace("\n", "|")
    .strip("|")
    .split("|")
)
KEYS = ("a", "b", "c", "d", "e", "1", "01", "yes", '"a"', "1.5", "1.0", "true", "'b'", "0x1", "? a")
MERGED = ("*m", "*m2", "[*m, *m2]", "[*m2, *m]", "{a: 9, d: 8}", "[{a: 1}, *m]", "*s", "5")
BLOCKS = ("|-", ">", "|2", ">+")


def lines(random_: random.Random, indent: int, depth: int) -> Iterator[str]:
    """Return the lines of a random mapping."""
    space = " " * indent
    for _ in range(random_.randint(1, 4)):
        key = random_.choice(KEYS[:5] if random_.random() < 0.8 else KEYS)
        match random_.randrange(10) if depth < 3 else 9:
            case 0:
                yield f"{space}<<: {random_.choice(MERGED)}"
            case 1 | 2:
                yield f"{space}{key}:"
                yield from lines(random_, indent + 2, depth + 1)
            case 3:
                yield f"{space}{key}:"
                yield from (f"{space}- {random_.choice(SCALARS)}" for _ in range(random_.randint(1, 3)))
            case 4:
                yield f"{space}{key}: {random_.choice(BLOCKS)}"
                yield from (f"{space}    text # {number}" for number in range(2))
            case _:
                yield f"{space}{key}: {random_.choice(SCALARS)}"


def read_here(text: str) -> Any:
    """Return the object as this project reads it; None for an error."""
    found = list(read_documents(text, json_only=False))
    return None if len(found) != 1 or found[0].faults else found[0].value


def read_by_kubectl(kubectl: str, text: str) -> Any:
    """Return the object as kubectl reads it; None for an error."""
    command = [kubectl, "annotate", "--local", "-f", "-", "-o", "json", "added=yes"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None
    found = json.loads(done.stdout)
    del found["metadata"]["annotations"]
    return found


def comparable(value: Any) -> Any:
    """Return a value with the types of its numbers: kubectl prints whole floats of any size without a point."""
    if isinstance(value, dict):
        return {key: comparable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [comparable(inner) for inner in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        is_integer = abs(value) < 2**62 and float(value).is_integer()
        return ("integer", int(value)) if is_integer else ("float", float(value))
    return value


def differences(kubectl: str, count: int, seed: int) -> list[str]:
    """Return the texts that the two readers read differently."""
    random_ = random.Random(seed)
    texts = [HEAD + "\n".join(lines(random_, 2, 0)) + "\n" for _ in range(count)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        expected = list(pool.map(lambda text: read_by_kubectl(kubectl, text), texts))
    read = [value for value in expected if value is not None]

    assert count / 4 < len(read) < count  # neither side alone is tested

    return [
        text
        for text, value in zip(texts, expected, strict=True)
        if comparable(read_here(text)) != comparable(value) and not _is_fault_replaced(text)
    ]


def _is_fault_replaced(text: str) -> bool:
    """Whether a fault may be in a value that a later key replaces: it is reported here, and kubectl never sees it."""
    (document, *_) = read_documents(text, json_only=False)
    notes = [note.message for note in document.notes]
    return bool(document.faults) and any("twice" in note or "replaces" in note for note in notes)


def test_two_hundred_random_texts_are_read_as_kubectl_reads_them(control_plane: dict[str, str]) -> None:
    """Duplicate keys, merge keys in any order, anchors, scalars of YAML 1.1 and 1.2, whole floats, block and flow."""
    assert differences(control_plane["kubectl"], 200, seed=1) == []


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_two_thousand_random_texts_are_read_as_kubectl_reads_them(control_plane: dict[str, str]) -> None:
    """The long form of the comparison."""
    assert differences(control_plane["kubectl"], 2_000, seed=2) == []
