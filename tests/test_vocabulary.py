"""
What users and developers read is plain technical English: it names the agent and begins with the action.

Each list of roots says what is read: pages whole, manifests and scripts by their comments, code by its docstrings and
comments, and the two packages also by their string literals, which become messages, help, log lines and the help of
metrics.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "CHANGELOG.md", ".github", "docs")
COMMENTED = (
    "manifests",
    "docs/examples",
    ".github/workflows",
    ".ci/run",
    "requirements/lock",
    "Dockerfile",
    "pyproject.toml",
)
CODE = ("webhook", "certs", "benchmarks", "docs", "tests")
MESSAGES = ("webhook", "certs")
THIS_FILE = Path(__file__).resolve()

BANNED = (
    "whoever",
    "whomever",
    "somebody",
    "someone",
    "nobody",
    "anybody",
    "whom",
    "is said",
    "are said",
    "what came of it",
    "what comes of it",
    "but for",
    "as long as",
    "comes to be",
    "in anybody's way",
    "the own",
)
"""Words that name no agent, and phrases that a reader has to decode."""

BANNED_BEGINNINGS = ("Give", "Say", "Tell", "Take", "Name")
"""First words of a docstring that do not say what the function returns or does."""

FOUND = re.compile(r"\b(?:" + "|".join(BANNED).replace(" ", r"\s+") + r")\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """A piece of text that is read as one, and the line at which it begins."""

    line: int
    text: str
    is_docstring: bool = False

    def problems(self) -> Iterator[str]:
        """Yield each banned word, and a banned beginning."""
        for found in FOUND.finditer(self.text):
            line = self.line + self.text.count("\n", 0, found.start())
            yield f"{line}: {' '.join(found.group().split())}"
        first = self.text.split(maxsplit=1)[:1]
        if self.is_docstring and first and first[0] in BANNED_BEGINNINGS:
            yield f"{self.line}: begins with {first[0]}"


def files(roots: tuple[str, ...], *endings: str) -> list[Path]:
    """Return the files of some roots with one of the endings."""
    found = [
        path
        for root in roots
        for path in ([ROOT / root] if (ROOT / root).is_file() else sorted((ROOT / root).rglob("*")))
    ]
    return [path for path in found if path.is_file() and path.suffix in endings and path != THIS_FILE]


def page(path: Path) -> Iterator[Passage]:
    """Yield the text of a page."""
    yield Passage(line=1, text=path.read_text())


def comments_of(path: Path) -> Iterator[Passage]:
    """Yield the comments of a file in which they begin with a number sign."""
    lines = enumerate(path.read_text().splitlines(), start=1)
    comments = [(number, re.search(r"(?:^|\s)#.*", line)) for number, line in lines]
    yield from joined([(number, found.group()) for number, found in comments if found is not None])


def joined(comments: list[tuple[int, str]]) -> Iterator[Passage]:
    """Yield comments, those of adjacent lines as one passage."""
    for _, group in groupby(enumerate(comments), lambda entry: entry[1][0] - entry[0]):
        lines = [comment for _, comment in group]
        yield Passage(line=lines[0][0], text="\n".join(text.strip().lstrip("#") for _, text in lines))


def code_comments(path: Path) -> Iterator[Passage]:
    """Yield the comments of a Python file."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    yield from joined([(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT])


def docstrings(path: Path) -> Iterator[Passage]:
    """Yield the docstrings of a Python file, also those below constants."""
    for node in ast.walk(ast.parse(path.read_text())):
        for text in (child.value for child in ast.iter_child_nodes(node) if isinstance(child, ast.Expr)):
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                yield Passage(line=text.lineno, text=text.value, is_docstring=True)


def literals(path: Path) -> Iterator[Passage]:
    """Yield the string literals of a Python file; of an f-string, its constant parts."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield Passage(line=node.lineno, text=node.value)


def problems(path: Path, *kinds: object) -> list[str]:
    """Return what is wrong in a file, as `path:line: what`."""
    found = {one for kind in kinds if callable(kind) for passage in kind(path) for one in passage.problems()}
    return sorted(f"{path.relative_to(ROOT)}:{one}" for one in found)


@pytest.mark.parametrize("root", PAGES)
def test_pages_are_plain(root: str) -> None:
    """No page has a banned word."""
    assert [one for path in files((root,), ".md") for one in problems(path, page)] == []


@pytest.mark.parametrize("root", COMMENTED)
def test_comments_of_other_files_are_plain(root: str) -> None:
    """No comment of a manifest, a workflow, a script or a configuration file has a banned word."""
    found = files((root,), ".yaml", ".yml", ".toml", ".sh", "")

    assert found
    assert [one for path in found for one in problems(path, comments_of)] == []


@pytest.mark.parametrize("root", CODE)
def test_docstrings_and_comments_are_plain(root: str) -> None:
    """No docstring or comment has a banned word, and each docstring begins with a result or an action."""
    assert [one for path in files((root,), ".py") for one in problems(path, docstrings, code_comments)] == []


@pytest.mark.parametrize("root", MESSAGES)
def test_messages_are_plain(root: str) -> None:
    """No string literal of the service or of the certificate tool has a banned word."""
    assert [one for path in files((root,), ".py") for one in problems(path, literals)] == []


def test_a_banned_word_is_found(tmp_path: Path) -> None:
    """A banned word or beginning is found in each kind of text, also over the end of a line."""
    text = '"""Give it."""\n\nx = 1  # nothing but\n# for this\ny = f"{x} by somebody"\n'
    code = tmp_path / "code.py"
    code.write_text(text)
    found = {
        one for kind in (docstrings, code_comments, literals) for passage in kind(code) for one in passage.problems()
    }

    assert found == {"1: begins with Give", "3: but for", "5: somebody"}
    assert [*Passage(line=1, text="all is said\nand what is\nsaid").problems()] == ["1: is said", "2: is said"]
