"""The line reader never says anything else than the YAML reader: it says the same, or leaves the text to it."""

from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from webhook.files.yaml_blocks import read_blocks
from webhook.files.yaml_documents import read_yaml

TEXT = """\
# made by hand
apiVersion: v1
kind: List
items:
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata:
    name: "allow-web"
    namespace: shop
    labels: {}
    annotations:
      note: 'it is so'
      time: 10:30
  spec:
    podSelector:
      matchLabels:
        app.kubernetes.io/name: web
    ingress:
      - from:
          - ipBlock:
              cidr: 10.0.0.0/8
              except: []
        ports:
        - port: 8080
          protocol: TCP
        - port: -1
    policyTypes:

    - Ingress
---
kind: Pod
on: yes
spec:
  old: 010
  nothing:
"""
PIECES = ("", " ", "  ", "- ", "-", ":", ": ", "\n", "#", " #", "'", '"', "a", "1", "0", "{}", "[]", "---\n", "...\n")
PIECES += ("&a ", "*a", "!!str ", "|", "? ", "<<: ", "~", "yes", ".inf", "\t", "\r\n", "ü", "%YAML 1.2\n", "1:30", ",")

names = st.text("abyn01._-/", min_size=1, max_size=5)
scalars = st.one_of(names, st.text(max_size=6), st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False))
objects = st.dictionaries(
    names,
    st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3)),
    min_size=1,
    max_size=4,
)


def agrees(text: str) -> bool:
    """Say whether the line reader read a text, which must then be as the YAML reader reads it."""
    found = read_blocks(text)
    assert found is None or found == list(read_yaml(text))
    return found is not None


def test_what_kubectl_prints_is_read() -> None:
    """Lists within mappings within lists, quotes, comments, notes and the lines of items: all as the YAML reader."""
    assert agrees(TEXT)


@given(st.lists(objects, min_size=1, max_size=3), st.sampled_from((2, 4)))
def test_dumped_objects_are_read_alike(values: list[dict[str, Any]], indent: int) -> None:
    """Whatever a dumper writes."""
    agrees(yaml.safe_dump_all(values, indent=indent, allow_unicode=True))


@given(st.lists(st.tuples(st.integers(0, len(TEXT)), st.integers(0, 4), st.sampled_from(PIECES)), max_size=3))
@example([(TEXT.index("web\n"), 3, "")])
@example([(TEXT.index("  old"), 0, "  text\n")])
def test_damaged_texts_are_read_alike(edits: list[tuple[int, int, str]]) -> None:
    """Whatever is cut out of a text or put into it."""
    text = TEXT
    for place, cut, piece in edits:
        text = text[:place] + piece + text[place + cut :]
    agrees(text)


@pytest.mark.parametrize(
    "text",
    [
        "---\n",
        "a: 1\n---\n",
        "a: 1\n---\n# nothing\n---\nb: 2\n",
        "a: 1\na: 2\n",
        "a:\n  b\n",
        "a: text\n  more\n",
        "a: text\n  - more\n",
        "a:\n    b: 1\n  c: 2\n",
        "a: .inf\n",
        "null: 1\n",
        "- a\n",
        "  a: 1\n",
        "a: b: c\n",
        "a: b:\n",
        "a: |\n  text\n",
        "a: {b: 1}\n",
        "a: 1\n...\n",
        "a:\tb\n",
        "a: \u00fc\n",
        "a: " + "\n  - " * 3 + "\n",
        "a:\n" + "".join(f"{'  ' * depth}a:\n" for depth in range(1, 250)),
    ],
    ids=repr,
)
def test_what_is_not_plain_is_left(text: str) -> None:
    """Empty documents, faults, and every other form of YAML are the YAML reader's."""
    assert not agrees(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "---\na: 1\n",
        "# first\n\n---\n# second\na: 1   \n--- \nb:\n",
        "a:\n- - 1\n  - 2\n-   - b: {}\n",
        "a:\nb:\n- c:\n  - d\n",
        "a:\n-\tb".replace("\t", " "),
        "y: n\na: 1_000\nb: 1e3\nc: 12:30\n",
        "a: x - y (z), 1.2.3@sha256:0f=+\n",
    ],
    ids=repr,
)
def test_plain_texts_are_read(text: str) -> None:
    """What people write by hand."""
    assert agrees(text)
