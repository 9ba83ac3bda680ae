"""The image that is built from the Dockerfile."""

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.objects import Json

from node import images
from webhook.version import VERSION

MOST_BYTES = 90 * 1000**2  # on top of the base, unpacked
SOURCES = ("Dockerfile", ".dockerignore", "webhook", "certs", "requirements")
UNCHECKED_HASH = 1  # PEP 552: the flags of bytecode that is never compared with its source
SBOM_SECONDS = 800  # it downloads a tool and the packages of the image


@pytest.fixture(scope="module")
def layers() -> tuple[str, list[tarfile.TarInfo], set[str]]:
    """Return the base's newest layer, the content of the layers on top of it, and its bytecode files."""
    images.ensure()
    base = images.inspected(images.BASE)["rootfs"]["diff_ids"]
    held: list[tarfile.TarInfo] = []
    bytecode: set[str] = set()
    with tarfile.open(images.archive(images.PROJECT)) as archive:
        manifest = archive.extractfile("manifest.json")
        assert manifest is not None
        for name in json.load(manifest)[0]["Layers"][len(base) :]:
            with tarfile.open(fileobj=archive.extractfile(name)) as layer:
                for one in layer:
                    held.append(one)
                    content = layer.extractfile(one) if one.name.endswith(".pyc") else None
                    if content is not None and content.read(8)[4] == UNCHECKED_HASH:
                        bytecode.add(one.name)
    return base[-1], held, bytecode


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Json]:
    """Build the image from a copy of the checkout with other file times and modes, and return its configuration."""
    checkout = tmp_path_factory.mktemp("checkout")
    for name in SOURCES:
        path = images.CHECKOUT / name
        copy = shutil.copytree if path.is_dir() else shutil.copyfile
        copy(path, checkout / name)
    for path in (checkout, *checkout.rglob("*")):
        os.utime(path, (0, 0), follow_symlinks=False)
        path.chmod(0o700 if path.is_dir() else 0o600)
    images.ensure()  # the base, too
    told = ("--build-arg", "REVISION=abc", "--build-arg", "SOURCE=https://git.example.com/eem-guardrail")
    images.build_project("localhost/eem-guardrail:elsewhere", context=checkout, arguments=told)
    yield images.inspected("localhost/eem-guardrail:elsewhere")
    images.remove("localhost/eem-guardrail:elsewhere")


def test_the_same_commit_makes_the_same_layers(elsewhere: Json) -> None:
    """An image from another checkout of the same sources has the same layers."""
    assert elsewhere["rootfs"] == images.inspected(images.PROJECT)["rootfs"]


def test_the_image_is_small(layers: tuple[str, list[tarfile.TarInfo], set[str]]) -> None:
    """The layers on top of the base are small."""
    _, held, _ = layers

    assert sum(one.size for one in held) <= MOST_BYTES


def test_only_root_can_write_the_files_of_the_image(layers: tuple[str, list[tarfile.TarInfo], set[str]]) -> None:
    """Every file belongs to root, and other users cannot write it."""
    _, held, _ = layers
    others = [one.name for one in held if not one.issym() and (one.mode & 0o022 or one.uid or one.gid)]

    assert others == []


def test_every_module_is_compiled(layers: tuple[str, list[tarfile.TarInfo], set[str]]) -> None:
    """Each module has its bytecode, which Python does not compare with the source at the start."""
    _, held, bytecode = layers
    modules = {Path(one.name) for one in held if one.name.endswith(".py") and one.name.startswith(("app/", "opt/"))}
    wanted = {str(path.parent / "__pycache__" / f"{path.stem}.cpython-313.pyc") for path in modules}

    assert len(wanted) > 100
    assert wanted <= bytecode


def test_the_image_contains_only_the_service(layers: tuple[str, list[tarfile.TarInfo], set[str]]) -> None:
    """The image has no installer, no Kubernetes client and no tests."""
    _, held, _ = layers
    packages = {one.name.split("/site-packages/")[1].split("/")[0] for one in held if "/site-packages/" in one.name}

    assert {"aiohttp", "cryptography"} <= packages
    assert packages.isdisjoint({"pip", "setuptools", "kubernetes", "pytest"})
    assert {one.name.split("/")[1] for one in held if one.name.startswith("app/")} == {"webhook", "certs"}


def test_the_image_has_labels_and_a_user(elsewhere: Json) -> None:
    """The labels name the image and, if the builder passes it, the revision."""
    config = elsewhere["config"]
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in config["Labels"].items()}

    assert {name: labels[name] for name in ("title", "version", "revision", "source", "licenses")} == {
        "title": "eem-guardrail",
        "version": VERSION,
        "revision": "abc",
        "source": "https://git.example.com/eem-guardrail",
        "licenses": "Apache-2.0",
    }
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["python", "-m", "webhook"]


@pytest.mark.timeout(900, func_only=True)
def test_the_bill_of_materials_lists_the_pinned_packages(tmp_path: Path) -> None:
    """The command lists every package of the image with its licence."""
    subprocess.run(
        [images.CHECKOUT / "requirements" / "sbom", str(tmp_path)],
        check=True,
        capture_output=True,
        timeout=SBOM_SECONDS,
    )
    bill = json.loads((tmp_path / "sbom.json").read_text())
    licences = [line.split("\t") for line in (tmp_path / "licences.txt").read_text().splitlines()]
    pinned = {
        line.split("==")[0].replace("_", "-")
        for line in (images.CHECKOUT / "requirements" / "run.txt").read_text().splitlines()
        if "==" in line and not line.startswith(("#", " "))
    }

    assert bill["bomFormat"] == "CycloneDX"
    assert {one["name"].lower().replace("_", "-") for one in bill["components"]} == pinned
    assert [name for name, _, licence in licences if licence == "not stated"] == []
