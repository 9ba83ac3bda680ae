"""What the pages name is there: files, headings, commands, flags, variables, metrics and tests."""

import re
import shlex
from dataclasses import fields
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import pytest

from webhook.server.metrics import PREFIX
from webhook.settings import Settings, flag_of, variable_of

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / ".github").glob("*.md")])
SOURCES = [path for folder in ("webhook", "certs", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
FOLDERS = (".ci", ".github", "benchmarks", "certs", "docs", "manifests", "requirements", "tests", "webhook")
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def spans(text: str) -> list[str]:
    """Give what stands between backquotes within a line."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def commands(text: str) -> list[str]:
    """Give every line of the blocks for the shell, and every span with a blank in it."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = chain.from_iterable(block.replace("\\\n", " ").splitlines() for block in blocks)
    return [*lines, *(span for span in spans(text) if " " in span)]


def slugs(page: Path) -> set[str]:
    """Give the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pages
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file leads to one, and every anchor to a heading."""
    targets = [one for one in re.findall(r"\]\(([^)\s]+)\)", page.read_text()) if "://" not in one]
    lost = []
    for target in targets:
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in slugs(file)):
            lost.append(target)

    assert lost == []


@pages
def test_files_that_are_named_exist(page: Path) -> None:
    """Every path into the project, in a command or between backquotes, is there."""
    text = page.read_text()
    words = [*spans(text), *(word for command in commands(text) for word in command.split())]
    paths = {word.strip("()<>,;:'\"").partition("::")[0] for word in words if word.partition("/")[0] in FOLDERS}
    named = {path for path in paths if "/" in path and not set(path) & set("*{$ ")}

    assert {path for path in named if not (ROOT / path).exists()} == set()


@pages
def test_modules_that_are_run_exist(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every `python -m` names a module of the project, or of what it needs."""
    for folder in (ROOT, ROOT / "tests", ROOT / "tests/e2e"):
        monkeypatch.syspath_prepend(str(folder))
    modules = set(re.findall(r"python3? -m ([\w.]+)", page.read_text()))

    assert {module for module in modules if find_spec(module) is None} == set()


@pages
def test_kustomizations_that_are_applied_exist(page: Path) -> None:
    """Every `-k` of kubectl names a folder with a kustomization, or the one in which the reader has just written it."""
    applied = set(re.findall(r"kubectl [\w-]+ -k (\S+?)[`\s,]", page.read_text()))

    assert {path for path in applied - {"."} if not (ROOT / path / "kustomization.yaml").is_file()} == set()


@pages
def test_variables_exist(page: Path) -> None:
    """A variable that a page tells people to set is a setting's."""
    variables = {variable_of(each.name) for each in fields(Settings)}

    assert set(re.findall(r"EEM_GUARDRAIL_[A-Z_]+[A-Z]", page.read_text())) <= variables


@pages
def test_flags_exist(page: Path) -> None:
    """A flag that a page gives to `serve` or to `certs` is one that they take."""
    text = page.read_text()
    settings = {flag_of(each.name) for each in fields(Settings)}
    given = {
        word.partition("=")[0]
        for command in commands(text)
        for word in shlex.split(command, comments=True, posix=False)
        if word.startswith("--") and re.search(r"-m (webhook serve|certs)\b", command)
    }

    others = {flag for path in ("certs/cli.py", "webhook/cli/serve.py") for flag in flags_in(ROOT / path)}

    assert given <= settings | others


def flags_in(path: Path) -> set[str]:
    """Give the flags that a command adds."""
    return set(re.findall(r'"(--[a-z-]+)"', path.read_text()))


@pages
def test_metrics_exist(page: Path) -> None:
    """A metric that a page tells people to watch is one that the code has."""
    named = set(re.findall(r"eem_guardrail_[a-z_]+[a-z]", page.read_text()))
    source = "\n".join(path.read_text() for path in (ROOT / "webhook").rglob("*.py"))
    there = {f"{PREFIX}_{name}" for name in re.findall(r"\{PREFIX\}_(\w+)", source)}

    assert {name for name in named if name.removesuffix("_total") not in there} == set()


@pages
def test_tests_that_are_named_exist(page: Path) -> None:
    """A page that calls a test its proof names one that there is."""
    named = set(re.findall(r"`(test_\w+)(?:\[\w+\])?`", page.read_text()))
    there = set(chain.from_iterable(re.findall(r"def (test_\w+)", path.read_text()) for path in SOURCES))
    files = {path.stem for path in SOURCES}

    assert named <= there | files
