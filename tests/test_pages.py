"""The pages agree with the project: links, paths, commands, flags, metrics, names, examples and transcripts."""

import ast
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
from docs.transcripts import refreshed
from webhook.admission.bypass import GROUP
from webhook.admission.options import EGRESS_ANNOTATION, MODE_ANNOTATION, SOURCES_ANNOTATION
from webhook.netpol.parse import BYPASS_ANNOTATION
from webhook.server import WEBHOOKS, Metrics
from webhook.settings import Settings, variable_of

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", ".github/CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
MODULES = os.pathsep.join(str(ROOT / part) for part in (".", "tests", "tests/e2e"))
ANNOTATIONS = frozenset({MODE_ANNOTATION, SOURCES_ANNOTATION, EGRESS_ANNOTATION, BYPASS_ANNOTATION, ROTATE_ANNOTATION})
# Programs of other projects: their flags are not checked.
OTHERS = frozenset({"apt-get", "buildah", "curl", "docker", "git", "kind", "kubectl", "openssl", "pip", "ruff"})
WITH_COMMANDS = frozenset({"webhook", "certs"})
PYTEST_FLAGS = "--cluster --require-end-to-end"  # the flags that the project adds
MODULE_OF = {"eem-guardrail": "webhook", "pytest": "pytest"}
# The endings that Prometheus adds to the name of a metric, by its type.
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
TYPES = {"CounterMetricFamily": "counter", "GaugeMetricFamily": "gauge"}

each_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])


def prose(text: str) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def spans(text: str) -> list[str]:
    """Return the text that is marked as code within sentences."""
    return [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", prose(text))]


def pasted(text: str) -> list[str]:
    """Return the lines for a shell: those of `sh` blocks, and the commands after `$ ` of `console` blocks."""
    scripts = re.findall(r"^```(?:sh|bash)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in scripts for line in block.replace("\\\n", " ").splitlines() if line.strip()]
    consoles = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for block in consoles:
        lines += re.findall(r"^\$ (.+)$", block.replace("\\\n", " "), re.MULTILINE)
    return lines


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each command that a page names, without the variables before it."""
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
    """Return the anchors of a page's headings, as the repository's viewer makes them."""
    headings = re.findall(r"^#+ +(.+?) *$", prose(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(page: Path) -> list[str]:
    """Return the links of a page to missing files or headings; links to other sites are not checked."""
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
    """Return the names of the test files, which pages name without their folder."""
    return frozenset(path.name for path in (ROOT / "tests").rglob("*.py"))


@functools.cache
def known_tests() -> frozenset[str]:
    """Return the names of all tests."""
    return frozenset(
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"\bdef (test_\w+)", path.read_text())
    )


def unknown_paths(text: str) -> list[str]:
    """Return the words of code that look like a file, a folder or a test of this project and do not exist."""
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
    """Return the Python module that a command runs, and the words after it; None for other commands."""
    program = Path(words[0]).name
    if program.startswith("python") and "-m" in words:
        at = words.index("-m") + 1
        return words[at], words[at + 1 :]
    return (MODULE_OF[program], words[1:]) if program in MODULE_OF else None


@functools.cache
def usage(*words: str) -> str:
    """Return the help of one of the project's commands."""
    command = [sys.executable, "-m", *words, "--help"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": MODULES}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout


def offered(module: str, rest: list[str]) -> str:
    """Return the help of a module, or of the subcommand that *rest* begins with."""
    if module == "pytest":
        return PYTEST_FLAGS
    return usage(module, *(rest[:1] if module in WITH_COMMANDS and rest[:1] != ["--help"] else ()))


def all_flags() -> str:
    """Return the help of every command of this project."""
    ours = [("webhook", name) for name in ("serve", "check", "plan", "explain", "rules", "demo")]
    ours += [("certs", name) for name in ("init", "show", "renew", "rotate-ca")]
    return "".join(usage(*words) for words in [*ours, ("benchmarks",), ("mutation",)]) + PYTEST_FLAGS


def unknown_flags(text: str) -> list[str]:
    """Return the flags that the command they stand with does not have."""
    unknown = []
    for words in commands(text):
        flags = [word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)]
        if words[0].startswith("--"):
            there = all_flags()
        elif (run := module_of(words)) is not None and (flags or run[0] in WITH_COMMANDS):
            there = offered(*run)
        elif words[0] == ".ci/run":
            there = (ROOT / ".ci/run").read_text()
        elif Path(words[0]).name in OTHERS or not flags:
            continue
        elif (ROOT / words[0]).is_file():  # a script of the project
            there = (ROOT / words[0]).read_text()
        else:
            there = ""
        unknown += [flag for flag in flags if not re.search(rf"{flag}(?![\w-])", there)]
    return unknown


def shown_metrics() -> set[str]:
    """Return the names of all metrics, as Prometheus shows them."""
    made = [(one.name, one.type) for one in Metrics(version="1").registry.collect()]
    collected = (ROOT / "webhook" / "server" / "collectors.py").read_text()
    made += [
        (f"eem_guardrail{name}", TYPES[family])
        for family, name in re.findall(r'(\w+)\(\s*f"\{PREFIX\}(_\w+)"', collected)
    ]
    return {f"{name}{suffix}" for name, kind in made for suffix in SUFFIXES[kind]}


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file of this project or to a heading in it has a target."""
    assert dead_links(page) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    """A link to a missing file and a link to a missing heading are both reported."""
    page = tmp_path / "page.md"
    page.write_text("# At 3 a.m.\n[a](page.md#at-3-am) [b](#at-4-am) [c](other.md) [d](https://example.com/x)\n")

    assert dead_links(page) == ["#at-4-am", "other.md"]


@each_page
def test_files_and_tests_are_there(page: Path) -> None:
    """Every path, test file and test that a page names exists."""
    assert unknown_paths(page.read_text()) == []


def test_a_missing_file_is_found() -> None:
    """A missing path is reported in a sentence as well as in a block for the shell."""
    text = (
        "`docs/nowhere.md`, `test_nothing.py`, `test_nothing[2]`, `docs`\n```sh\nkubectl apply -k manifests/none\n```\n"
    )

    assert unknown_paths(text) == ["manifests/none", "docs/nowhere.md", "test_nothing.py", "test_nothing[2]"]


@each_page
def test_what_is_applied_is_a_kustomization(page: Path) -> None:
    """Every folder after `kubectl -k` holds a kustomization, or is the folder where the reader has just written one."""
    folders = [
        words[words.index("-k") + 1]
        for words in commands(page.read_text())
        if words[0] == "kubectl" and "-k" in words[:-1]
    ]

    assert [folder for folder in {*folders} - {"."} if not (ROOT / folder / "kustomization.yaml").exists()] == []
    assert folders or page.relative_to(ROOT).as_posix() not in {"README.md", "docs/install.md", "docs/operate.md"}


@each_page
def test_flags_are_those_of_the_command(page: Path) -> None:
    """Every command of this project that a page names exists and has the flags that it is named with."""
    assert unknown_flags(page.read_text()) == []


def test_an_unknown_flag_is_found() -> None:
    """An unknown flag is reported with a command, with another command's flag, alone, and with an unknown program."""
    text = "`python -m certs show --port 1` `eem-guardrail check --none x` `--never` `unheard --of` `kubectl --any`"

    assert unknown_flags(text) == ["--port", "--none", "--never", "--of"]


@each_page
def test_modules_are_there(page: Path) -> None:
    """Every module that a command runs belongs to this project or to the environment."""
    runs = [run[0] for words in commands(page.read_text()) if (run := module_of(words)) is not None]
    places = [ROOT, ROOT / "tests", ROOT / "tests/e2e"]

    def known(module: str) -> bool:
        path = module.replace(".", "/")
        files = (f"{path}.py", f"{path}/__main__.py")
        return module in {"pytest", "venv"} or any((place / file).exists() for place in places for file in files)

    assert [module for module in runs if not known(module)] == []


@each_page
def test_kinds_of_cluster_are_known(page: Path) -> None:
    """Every value of --cluster that a page names is one that the test suite accepts."""
    named = re.findall(r"--cluster[ =](\w+)", page.read_text())

    assert set(named) <= CLUSTERS.keys()


@each_page
def test_metrics_are_shown(page: Path) -> None:
    """Every metric that a page names exists, with the ending that Prometheus adds."""
    text = page.read_text()
    named = set(re.findall(r"\beem_guardrail_\w+", text))
    short = {f"eem_guardrail{name}" for name in spans(text) if re.fullmatch(r"_[a-z]\w+", name)}

    assert (named | short) - shown_metrics() == set()


@each_page
def test_variables_are_settings(page: Path) -> None:
    """Every environment variable that a page names belongs to a setting."""
    named = set(re.findall(r"\bEEM_GUARDRAIL_[A-Z_]+\b", page.read_text()))

    assert named <= {variable_of(setting.name) for setting in fields(Settings)}


@each_page
def test_names_of_the_interface_are_the_codes(page: Path) -> None:
    """Every annotation and webhook that a page names has that name in the code."""
    named = set(re.findall(r"[\w.-]*eem-guardrail\.io(?:/[\w-]*\w)?", page.read_text()))

    assert named <= {*ANNOTATIONS, *WEBHOOKS.values(), GROUP}


def linked_pages(page: Path) -> set[Path]:
    """Return the pages that *page* links to."""
    targets = re.findall(r"\]\(([^)#\s]+\.md)(?:#[^)\s]*)?\)", prose(page.read_text()))
    return {(page.parent / target).resolve() for target in targets if "://" not in target}


def test_every_page_is_linked_from_the_readme_or_from_a_page_that_is() -> None:
    """A reader who starts at the README reaches every page by links."""
    reached = {ROOT / "README.md"}
    left = list(reached)
    while left:
        new = linked_pages(left.pop()) - reached
        reached |= new
        left += new

    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in reached] == []


@each_page
def test_examples_are_those_of_the_files(page: Path) -> None:
    """A YAML block that begins with the path of an example is part of that file, word for word."""
    blocks = re.findall(r"^```yaml\n# (docs/examples/\S+)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)

    assert [name for name, text in blocks if text not in (ROOT / name).read_text()] == []


@each_page
def test_transcripts_are_what_the_commands_print(page: Path) -> None:
    """Below each `eem-guardrail` command of a `console` block stands its output: `python -m docs.transcripts`."""
    text = page.read_text()

    assert text == refreshed(text)


def missing_references(text: str) -> list[str]:
    """Return the references of the form `file.py` (`Name` or `Class.attribute`) whose file or name does not exist."""
    missing = []
    for path, dotted in re.findall(r"`([\w/]+\.py)`\s+\(`([\w.]+)`\)", text):
        nodes: Iterator[ast.AST] = ast.iter_child_nodes(ast.parse((ROOT / path).read_text()))
        for name in dotted.split("."):
            found = next((node for node in nodes if name in defined_by(node)), None)
            if found is None:
                missing.append(f"{path} ({dotted})")
                break
            nodes = ast.iter_child_nodes(found)
    return missing


def defined_by(node: ast.AST) -> set[str]:
    """Return the names that a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


@each_page
def test_references_to_code_exist(page: Path) -> None:
    """Every file with a name behind it in parentheses exists and defines that name."""
    assert missing_references(page.read_text()) == []


def test_a_missing_reference_is_found() -> None:
    """A name that the file does not define is reported, at the top level and in a class."""
    text = (
        "`webhook/version.py` (`VERSION`), `webhook/version.py` (`OTHER`), `webhook/eem/instances.py` (`Instance.none`)"
    )

    assert missing_references(text) == ["webhook/version.py (OTHER)", "webhook/eem/instances.py (Instance.none)"]
