"""What the pages link to, name and give to paste is there, under that name."""

import functools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from clusters import CLUSTERS

from certs.material import ROTATE_ANNOTATION
from webhook.admission.scope import MODE_ANNOTATION, SOURCES_ANNOTATION
from webhook.server import WEBHOOKS
from webhook.settings import Settings, variable_of

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", ".github/CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
MODULES = os.pathsep.join(str(ROOT / part) for part in (".", "tests", "tests/e2e"))
BYPASS_ANNOTATION = "eem-guardrail.io/bypass"  # of the interface; not honoured yet, as the changelog says
ANNOTATIONS = frozenset({MODE_ANNOTATION, SOURCES_ANNOTATION, BYPASS_ANNOTATION, ROTATE_ANNOTATION})
# Programs whose flags are their own to know.
OTHERS = frozenset({"apt-get", "buildah", "curl", "docker", "git", "kind", "kubectl", "openssl", "pip", "ruff"})
WITH_COMMANDS = frozenset({"webhook", "certs"})
PYTEST_FLAGS = "--cluster"  # the project's own; the rest is not for a page
MODULE_OF = {"eem-guardrail": "webhook", "pytest": "pytest"}
# What Prometheus shows of a metric, by the class that makes it.
SUFFIXES = {
    "Counter": ("_total",),
    "CounterMetricFamily": ("_total",),
    "Gauge": ("",),
    "GaugeMetricFamily": ("",),
    "Histogram": ("_bucket", "_count", "_sum"),
}

each_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])


def prose(text: str) -> str:
    """Give a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def spans(text: str) -> list[str]:
    """Give what is set as code within sentences."""
    return [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", prose(text))]


def pasted(text: str) -> list[str]:
    """Give the lines of the blocks that are for a shell."""
    blocks = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def commands(text: str) -> Iterator[list[str]]:
    """Give the words of each command that a page names, without the variables before it."""
    for line in [*pasted(text), *spans(text)]:
        for part in re.split(r"&&|\|(?!\w)|;", line):
            try:
                words = shlex.split(part, comments=True)
            except ValueError:
                continue  # a piece of an expression, with a quotation mark of its own
            while words and re.fullmatch(r"\w+=\S*", words[0]):
                del words[0]
            if words:
                yield words


def anchors(page: Path) -> set[str]:
    """Give the anchors that a page's headings have where it is shown."""
    headings = re.findall(r"^#+ +(.+?) *$", prose(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(page: Path) -> list[str]:
    """Give the links of a page, but for those to other sites, that lead nowhere."""
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text())):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            dead.append(target)
    return dead


@functools.cache
def known_files() -> frozenset[str]:
    """Give the names of the tests' files, which pages name without their folder."""
    return frozenset(path.name for path in (ROOT / "tests").rglob("*.py"))


@functools.cache
def known_tests() -> frozenset[str]:
    """Give the names of all tests."""
    return frozenset(
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"\bdef (test_\w+)", path.read_text())
    )


def unknown_paths(text: str) -> list[str]:
    """Give the words of code that look like a file, a folder or a test of this project, and are none."""
    top = {path.name for path in ROOT.iterdir()} - {".venv", ".git"}
    unknown = []
    for word in [word for words in commands(text) for word in words]:
        first, slash, _ = word.partition("/")
        if first in top and slash:
            known = (ROOT / word).exists()
        elif re.fullmatch(r"test_\w+\.py", word):
            known = word in known_files()
        elif re.fullmatch(r"test_\w+(?:\[.+\])?", word):
            known = word.partition("[")[0] in known_tests()
        else:
            known = True
        if not known:
            unknown.append(word)
    return unknown


def module_of(words: list[str]) -> tuple[str, list[str]] | None:
    """Give the module that a command runs, and what follows it; None where it runs none of Python's."""
    program = Path(words[0]).name
    if program.startswith("python") and "-m" in words:
        at = words.index("-m") + 1
        return words[at], words[at + 1 :]
    return (MODULE_OF[program], words[1:]) if program in MODULE_OF else None


@functools.cache
def usage(*words: str) -> str:
    """Give what a command of ours says of its flags."""
    command = [sys.executable, "-m", *words, "--help"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": MODULES}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout


def offered(module: str, rest: list[str]) -> str:
    """Give the usage of a module's command, with the subcommand's where it has such."""
    if module == "pytest":
        return PYTEST_FLAGS
    return usage(module, *(rest[:1] if module in WITH_COMMANDS and rest[:1] != ["--help"] else ()))


def all_flags() -> str:
    """Give every flag that a command of this project has."""
    ours = [("webhook", name) for name in ("serve", "check", "explain", "rules", "demo")]
    ours += [("certs", name) for name in ("init", "show", "renew", "rotate-ca")]
    return "".join(usage(*words) for words in [*ours, ("benchmarks",), ("mutation",)]) + PYTEST_FLAGS


def unknown_flags(text: str) -> list[str]:
    """Give the flags that no command has which a page names with them."""
    unknown = []
    for words in commands(text):
        flags = [word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)]
        if words[0].startswith("--"):
            there = all_flags()
        elif (run := module_of(words)) is not None and (flags or run[0] in WITH_COMMANDS):
            there = offered(*run)
        elif Path(words[0]).name in OTHERS or not flags:
            continue
        else:
            there = ""
        unknown += [flag for flag in flags if not re.search(rf"{flag}(?![\w-])", there)]
    return unknown


def shown_metrics() -> set[str]:
    """Give the names of all metrics, as Prometheus shows them."""
    made = [
        found
        for path in (ROOT / "webhook" / "server").glob("*.py")
        for found in re.findall(r'(\w+)\(\s*f"\{PREFIX\}(_\w+)"', path.read_text())
    ]
    return {f"eem_guardrail{name}{suffix}" for kind, name in made for suffix in SUFFIXES[kind]}


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file of this project, and to a heading in it, finds it."""
    assert dead_links(page) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    """A file that is not there is one, a heading that is not there another."""
    page = tmp_path / "page.md"
    page.write_text("# At 3 a.m.\n[a](page.md#at-3-am) [b](#at-4-am) [c](other.md) [d](https://example.com/x)\n")

    assert dead_links(page) == ["#at-4-am", "other.md"]


@each_page
def test_files_and_tests_are_there(page: Path) -> None:
    """Every path of this project, every file of its tests and every test that is named exists."""
    assert unknown_paths(page.read_text()) == []


def test_a_missing_file_is_found() -> None:
    """In a sentence as well as in what is given to paste."""
    text = (
        "`docs/nowhere.md`, `test_nothing.py`, `test_nothing[2]`, `docs`\n```sh\nkubectl apply -k manifests/none\n```\n"
    )

    assert unknown_paths(text) == ["manifests/none", "docs/nowhere.md", "test_nothing.py", "test_nothing[2]"]


@each_page
def test_what_is_applied_is_a_kustomization(page: Path) -> None:
    """Every folder that kubectl is to apply or delete can be, or is the one where the reader has just written one."""
    folders = [
        words[words.index("-k") + 1]
        for words in commands(page.read_text())
        if words[0] == "kubectl" and "-k" in words[:-1]
    ]

    assert [folder for folder in {*folders} - {"."} if not (ROOT / folder / "kustomization.yaml").exists()] == []
    assert folders or page.name not in {"README.md", "install.md", "operate.md"}


@each_page
def test_flags_are_those_of_the_command(page: Path) -> None:
    """Every command of ours that is named exists, and has the flags that it is named with."""
    assert unknown_flags(page.read_text()) == []


def test_an_unknown_flag_is_found() -> None:
    """With a command, with another command's, alone, and of a program that nobody knows."""
    text = "`python -m certs show --port 1` `eem-guardrail check --none x` `--never` `unheard --of` `kubectl --any`"

    assert unknown_flags(text) == ["--port", "--none", "--never", "--of"]


@each_page
def test_modules_are_there(page: Path) -> None:
    """Every module that Python is to run is of this project, or comes with the environment."""
    runs = [run[0] for words in commands(page.read_text()) if (run := module_of(words)) is not None]
    places = [ROOT, ROOT / "tests", ROOT / "tests/e2e"]

    def known(module: str) -> bool:
        path = module.replace(".", "/")
        files = (f"{path}.py", f"{path}/__main__.py")
        return module in {"pytest", "venv"} or any((place / file).exists() for place in places for file in files)

    assert [module for module in runs if not known(module)] == []


@each_page
def test_kinds_of_cluster_are_known(page: Path) -> None:
    """Every cluster that the suite is to run on is one that it can be asked for."""
    named = re.findall(r"--cluster[ =](\w+)", page.read_text())

    assert set(named) <= CLUSTERS.keys()


@each_page
def test_metrics_are_shown(page: Path) -> None:
    """Every metric that is named is one, with the ending that Prometheus gives it."""
    text = page.read_text()
    named = set(re.findall(r"\beem_guardrail_\w+", text))
    short = {f"eem_guardrail{name}" for name in spans(text) if re.fullmatch(r"_[a-z]\w+", name)}

    assert (named | short) - shown_metrics() == set()


@each_page
def test_variables_are_settings(page: Path) -> None:
    """Every variable of the environment that is named is that of a setting."""
    named = set(re.findall(r"\bEEM_GUARDRAIL_[A-Z_]+\b", page.read_text()))

    assert named <= {variable_of(setting.name) for setting in fields(Settings)}


@each_page
def test_names_of_the_interface_are_the_codes(page: Path) -> None:
    """Every annotation and every webhook that is named has that name in the code."""
    named = set(re.findall(r"[\w.-]*eem-guardrail\.io(?:/[\w-]*\w)?", page.read_text()))

    assert named <= {*ANNOTATIONS, *WEBHOOKS.values()}
