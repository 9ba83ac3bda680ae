"""The project agrees with itself: import contracts, lock files, README, generated pages and versions."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from docs.pictures import PICTURES
from webhook.settings import Settings, flag_of
from webhook.settings.flags import default_of
from webhook.version import VERSION

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
README_LINES = 150
FOLDERS = (".ci", ".github", "benchmarks", "certs", "docs", "manifests", "requirements", "tests", "webhook")
TOP_FILES = (
    ".dockerignore",
    ".gitignore",
    ".pre-commit-hooks.yaml",
    "CHANGELOG.md",
    "Dockerfile",
    "LICENSE",
    "action.yml",
)
# In pieces, so that this file does not contain the names either.
REGISTRY_HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("proxy", "golang", "org"),
        ("sum", "golang", "org"),
        ("npmjs", "org"),
        ("docker", "io"),
        ("ghcr", "io"),
        ("gcr", "io"),
        ("quay", "io"),
        ("registry", "k8s", "io"),
    )
)


def project_files() -> Iterator[Path]:
    """Yield the files that belong to the project, without what tools leave in a checkout."""
    for name in FOLDERS:
        for path in sorted((ROOT / name).rglob("*")):
            if path.is_file() and not {"__pycache__", "node_modules"} & set(path.parts):
                yield path
    for name in (*TOP_FILES, "README.md", "pyproject.toml"):
        if (ROOT / name).is_file():
            yield ROOT / name


def modules() -> Iterator[Path]:
    yield from sorted(path for name in ("webhook", "certs") for path in (ROOT / name).rglob("*.py"))


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    return subprocess.run([*command, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


def run_webhook(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "webhook", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def pins(lock: str) -> dict[str, str]:
    """Return the versions of a lock file by normalised name; every entry must have a hash."""
    text = (ROOT / "requirements" / lock).read_text()
    found = re.findall(
        r"^([a-z0-9-]+)(?:\[[a-z0-9,-]+\])?==(\S+) \\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE
    )

    assert len(found) == len(re.findall(r"^[^\s#]", text, re.MULTILINE))
    return dict(found)


def wanted(*extras: str) -> list[Requirement]:
    project = PROJECT["project"]
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return [Requirement(line) for line in lines]


def readme_commands() -> list[str]:
    """Return the commands of the README."""
    blocks = re.findall(
        r"^```(?:sh|bash|console)\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]


def test_import_contracts_hold() -> None:
    """Every import between the packages is one that pyproject.toml allows."""
    result = lint_imports(ROOT)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        pytest.param("webhook/netpol/ports.py", "import os", id="netpol imports the operating system"),
        pytest.param("webhook/admission/networkpolicy.py", "import time", id="the decision imports the clock"),
        pytest.param("webhook/netpol/ports.py", "import webhook.eem", id="netpol imports eem"),
        pytest.param("webhook/cluster/store.py", "import webhook.admission", id="the cache imports the decision"),
        pytest.param("webhook/server/app.py", "import webhook.settings", id="the server imports settings"),
        pytest.param("webhook/server/app.py", "import webhook.eem.rules", id="the server imports rules"),
        pytest.param("webhook/cluster/store.py", "import kubernetes", id="the service imports the Kubernetes client"),
        pytest.param("certs/authority.py", "import webhook.netpol", id="certificates import the service"),
        pytest.param("certs/authority.py", "import pathlib", id="issuing a certificate imports files"),
    ],
)
def test_a_forbidden_import_breaks_a_contract(tmp_path: Path, module: str, line: str) -> None:
    """One forbidden import fails the contracts."""
    for name in ("webhook", "certs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / module).open("a") as source:
        source.write(f"\n{line}\n")

    result = lint_imports(tmp_path)

    assert result.returncode == 1, result.stdout + result.stderr
    assert "BROKEN" in result.stdout


@pytest.mark.parametrize("package", ["kubernetes", "jinja2"])
def test_what_few_commands_need_is_not_loaded_by_default(package: str) -> None:
    """A command starts without importing the Kubernetes client and the template engine."""
    code = f"import sys, webhook.cli, webhook.main; sys.exit({package!r} in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)

    assert result.returncode == 0


@pytest.mark.parametrize(
    ("lock", "extras"),
    [("run.txt", ("uvloop",)), ("test.txt", ("uvloop", "kubeconfig", "test"))],
    ids=["to serve", "to develop"],
)
def test_locks_satisfy_the_requirements(lock: str, extras: tuple[str, ...]) -> None:
    """Each requirement is pinned to a version that it accepts."""
    pinned = pins(lock)
    missing = [str(ask) for ask in wanted(*extras) if pinned.get(ask.name.lower(), "0") not in ask.specifier]

    assert missing == []


def test_the_test_lock_contains_the_run_lock() -> None:
    """The tests run with the same versions as the service."""
    tested = pins("test.txt")
    served = pins("run.txt")

    assert {name: tested.get(name) for name in served} == served


def test_no_file_names_a_package_registry() -> None:
    """No file names a package registry: the user chooses where packages and images come from."""
    found = [
        f"{path.relative_to(ROOT)}: {host}"
        for path in project_files()
        for host in REGISTRY_HOSTS
        if host in path.read_text(errors="replace").lower()
    ]

    assert found == []


def test_every_module_has_a_docstring() -> None:
    """Each module says why it exists."""
    trees = {path: ast.parse(path.read_text()) for path in modules()}

    assert [str(path.relative_to(ROOT)) for path, tree in trees.items() if not ast.get_docstring(tree)] == []


def test_versions_agree() -> None:
    """The newest changelog entry, the command and the image of the manifests name the same version."""
    released = re.findall(r"^## \[(\d\S*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    images = re.findall(r"image: eem-guardrail:(\S+)", (ROOT / "manifests/base/deployment.yaml").read_text())

    assert released[0] == VERSION
    assert images == [VERSION]
    assert run_webhook("version").stdout == f"eem-guardrail {VERSION}\n"


def test_readme_is_short() -> None:
    """The README is short enough to be read at once."""
    lines = (ROOT / "README.md").read_text().splitlines()

    assert len(lines) <= README_LINES


def test_readme_shows_the_demos_refusal() -> None:
    """The transcript of the README is what the demo prints, apart from line breaks."""
    text = (ROOT / "README.md").read_text()
    (shown,) = re.findall(r"^```text\n(\$ kubectl.*?)^```", text, re.MULTILINE | re.DOTALL)
    demo = run_webhook("demo", "--once", "--https-port", "0", "--http-port", "0", "--local-port", "0")

    assert demo.returncode == 0, demo.stderr
    assert " ".join(shown.split()) in " ".join(demo.stdout.split())


def test_the_settings_page_is_up_to_date() -> None:
    """docs/settings.md is what its command prints, and lists every setting."""
    command = [sys.executable, "-m", "docs.settings_page"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    rows = re.findall(r"^\| `(--[a-z-]+)`", printed, re.MULTILINE)

    assert (ROOT / "docs/settings.md").read_text() == printed
    assert sorted(rows) == sorted(flag_of(setting.name) for setting in fields(Settings))


def test_readme_names_flags_that_exist() -> None:
    """Every flag in the README's table of settings exists, with that default."""
    rows = re.findall(r"^\| `(--[a-z-]+)` \| (.+?) \| .+ \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    known = {flag_of(setting.name): default_of(setting) for setting in fields(Settings)}

    assert rows
    assert [(flag, known.get(flag)) for flag, _ in rows] == [(flag, default.strip("`")) for flag, default in rows]


def test_the_check_command_runs_the_readmes_tests() -> None:
    """The check command runs the README's test command word for word."""
    (line,) = [command for command in readme_commands() if command.endswith("-m pytest")]

    assert line in (ROOT / ".ci/run").read_text().splitlines()


def test_the_image_contains_only_the_service() -> None:
    """The image contains the two packages and their environment, and does not run as root."""
    text = (ROOT / "Dockerfile").read_text()
    build, final = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]

    assert re.findall(r"^COPY (\S+)", build, re.MULTILINE) == ["requirements/run.txt", "webhook/", "certs/"]
    assert re.findall(r"^COPY (.+)", final, re.MULTILINE) == [
        "--from=build /opt/venv /opt/venv",
        "--from=build /app /app",
    ]
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["python", "-m", "webhook"\]$', final, re.MULTILINE)


def test_the_pictures_are_up_to_date() -> None:
    """Each picture in docs/ is the one that its command draws now."""
    drawn = {name: draw() for name, draw in PICTURES.items()}

    assert {name: (ROOT / "docs" / name).read_text() for name in drawn} == drawn
