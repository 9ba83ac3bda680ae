"""The image, as far as its text tells; tests/e2e/node builds it."""

import re
import tomllib
from pathlib import Path

import pytest

from webhook.version import VERSION

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
# What another base lacks: tools of one distribution and of shadow-utils; and what fetches things past the hashes.
FOREIGN = ("apt", "apt-get", "apk", "dnf", "microdnf", "yum", "useradd", "adduser", "groupadd", "curl", "wget", "bash")


def instructions(stage: str) -> list[str]:
    """Return the instructions of one stage, each on one line."""
    text = "\n".join(line for line in stage.splitlines() if not line.lstrip().startswith("#"))
    return [" ".join(one.split()) for one in text.replace("\\\n", " ").splitlines() if one.strip()]


def stages() -> tuple[list[str], list[str], list[str]]:
    """Return the instructions before the stages, and those of each of the two stages."""
    before, build, final = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)
    return instructions(before), instructions(build), instructions(final)


def labels() -> dict[str, str]:
    """Return the labels of the image, by their names without the common prefix."""
    return dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', DOCKERFILE))


def test_the_base_is_an_argument() -> None:
    """Both stages are made from the one base that the builder names."""
    before, build, final = stages()

    assert before == ["ARG PYTHON_IMAGE=python:3.13-slim"]
    assert build[0] == "${PYTHON_IMAGE} AS build"
    assert final[0] == "${PYTHON_IMAGE}"


def test_the_build_asks_little_of_its_base() -> None:
    """The steps run python and chmod, as a user that may write, and nothing that only some bases have."""
    _, build, final = stages()
    steps = [one.removeprefix("RUN ") for one in build if one.startswith("RUN ")]
    commands = [part.split() for step in steps for part in step.split(" && ")]

    assert "USER 0:0" in build
    assert {command[0] for command in commands} == {"python", "chmod"}
    assert not set(FOREIGN) & {word for command in commands for word in command}
    assert [one for one in final if one.startswith("RUN ")] == []


def test_dependencies_are_the_hashed_ones() -> None:
    """Nothing is installed that requirements/run.txt does not pin by hash, and nothing of it is kept twice."""
    _, build, _ = stages()
    (install,) = re.findall(r"pip --python .*?run\.txt", " ".join(build))

    assert {"--require-hashes", "--no-compile", "--no-cache-dir"} <= set(install.split())
    assert "kubernetes" not in (ROOT / "requirements/run.txt").read_text()


def test_what_lists_the_parts_is_hashed_too() -> None:
    """The tool that writes the bill of materials is pinned by hash, apart from what is served."""
    asked = re.findall(r"^([a-z-]+)>=", (ROOT / "requirements/sbom.in").read_text(), re.MULTILINE)
    pinned = re.findall(
        r"^(\S+?)(?:\[\S+\])?==\S+ \\\n    --hash=sha256:", (ROOT / "requirements/sbom.txt").read_text(), re.MULTILINE
    )

    assert asked
    assert set(asked) <= set(pinned)
    assert len(pinned) == len(re.findall(r"^[^\s#]", (ROOT / "requirements/sbom.txt").read_text(), re.MULTILINE))


def test_bytecode_depends_on_the_sources_alone() -> None:
    """One process and one seed compile, and what they write holds no time."""
    _, build, _ = stages()
    (compiled,) = re.findall(r"python -m compileall ([^&]+)", " ".join(build))

    assert "--invalidation-mode unchecked-hash" in compiled
    assert not re.search(r"(^|\s)(-j|--workers)", compiled)
    assert any("PYTHONHASHSEED=0" in one for one in build if one.startswith("ENV "))


def test_no_public_authority_is_trusted() -> None:
    """A start does not read who else could be trusted: the one authority that counts is mounted."""
    _, _, final = stages()

    assert any("SSL_CERT_FILE=/dev/null" in one for one in final if one.startswith("ENV "))


def test_labels_say_what_the_image_is() -> None:
    """The labels that do not change agree with the project; the others are build arguments."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert labels() == {
        "title": project["name"],
        "description": project["description"],
        "version": "${VERSION}",
        "revision": "${REVISION}",
        "source": "${SOURCE}",
        "licenses": project["license"],
    }
    assert f"ARG VERSION={VERSION}" in stages()[2]


@pytest.mark.parametrize(
    "line",
    ["USER 10001:10001", 'ENTRYPOINT ["python", "-m", "webhook"]', 'CMD ["serve"]', "EXPOSE 8443 8080", "WORKDIR /app"],
)
def test_the_image_runs_as_the_manifests_expect(line: str) -> None:
    """It serves without a shell, as a user above 10000, on the ports of the manifests."""
    assert line in stages()[2]


def test_the_context_is_what_the_image_is_made_of() -> None:
    """The builder is sent the sources of the service, and never a key."""
    sent = (ROOT / ".dockerignore").read_text().splitlines()

    assert [line for line in sent if line.startswith("!")] == ["!webhook", "!certs", "!requirements/run.txt"]
    assert "*" in sent
    assert {"**/*.pem", "**/*.key", "**/*.crt", "**/__pycache__"} <= set(sent)
