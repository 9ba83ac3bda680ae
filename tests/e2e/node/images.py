"""Build the images of the node without a registry: a base with Python, a stand-in for others, and the project's."""

import functools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from controlplane.build import locked
from harness.versions import PREVIOUS, has_history, unpack

from node.availability import CERTIFICATES, mirror
from node.binaries import folder_of, pause

CHECKOUT = Path(__file__).resolve().parents[3]
FOLDER = folder_of("images")
LOCK = FOLDER / "lock"
BASE = "localhost/node/python:3.13-slim"
PAUSE = "localhost/node/pause:e2e"
# The program of the suite's pods: they have an address, and listen on the ports that a test names.
STAND_INS = tuple(f"localhost/{name}:e2e" for name in ("egw", "manager", "ibm-eem-operator", "client"))
PROJECT = "localhost/eem-guardrail:e2e"
# The sources of the image from which an upgrade starts.
EARLIER_SOURCES = ("Dockerfile", ".dockerignore", "webhook", "certs", "requirements/run.txt")
RELEASE = "trixie"  # the Debian release of python:3.13-slim, with Python 3.13
PACKAGES = "python3,python3-pip,python3-venv,ca-certificates"
STEP_SECONDS = 900
SEARCH_PATH = "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"


class ImageError(RuntimeError):
    """Raised when a step of an image failed; the text has its last output."""


def run(*command: str) -> str:
    """Run one step and return its standard output."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=STEP_SECONDS, check=False)
    if done.returncode != 0:
        raise ImageError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout.strip()


def buildah(*arguments: str) -> str:
    """Run buildah on a store of the tests."""
    store = ("--root", str(FOLDER / "store"), "--runroot", str(FOLDER / "run"), "--storage-driver", "overlay")
    return run("buildah", *store, *arguments)


def exists(image: str) -> bool:
    """Whether the store has *image*."""
    return image in buildah("images", "--format", "{{.Name}}:{{.Tag}}").splitlines()


def make_base() -> None:
    """Bootstrap a stand-in for python:3.13-slim."""
    work = FOLDER / "base"
    shutil.rmtree(work, ignore_errors=True)
    root = work / "root"
    root.mkdir(parents=True)
    run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", RELEASE, str(root), mirror() or "")
    for pattern in ("var/cache/apt/archives/*.deb", "var/lib/apt/lists/*", "usr/share/doc/*", "usr/share/man/*"):
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    (root / "usr/lib/python3.13/EXTERNALLY-MANAGED").unlink(missing_ok=True)
    for name in ("python", "python3"):
        (root / "usr/local/bin" / name).symlink_to("/usr/bin/python3")
    for name in ("etc/resolv.conf", "etc/hostname"):
        (root / name).unlink(missing_ok=True)
    archive = work / "root.tar"
    run("tar", "-C", str(root), "--numeric-owner", "-cf", str(archive), ".")
    container = buildah("from", "scratch")
    buildah("add", "-q", container, str(archive), "/")
    variables = ("--env", f"PATH={SEARCH_PATH}", "--env", "LANG=C.UTF-8")
    buildah("config", *variables, "--cmd", '["python3"]', container)
    buildah("commit", "--rm", "-q", container, BASE)
    shutil.rmtree(work)


def make_pause() -> None:
    """Make the image of the command that runs in every other pod, and listens."""
    container = buildah("from", "scratch")
    buildah("copy", "-q", container, pause()["pause"], "/pause")
    buildah("config", "--entrypoint", '["/pause"]', "--cmd", "", "--user", "65535:65535", container)
    buildah("commit", "--rm", "-q", container, PAUSE)


def build_project(tag: str, *, context: Path = CHECKOUT, arguments: Sequence[str] = ()) -> None:
    """
    Build the image from the Dockerfile in *context* without a cache, with more arguments for buildah.

    The steps that download use the CA certificates of this machine; they are not in the image.
    """
    lent = f"{CERTIFICATES}:{CERTIFICATES}:ro"
    steps = ("--isolation", "chroot", "--pull-never", "--network", "host", "--volume", lent)
    base = ("--build-arg", f"PYTHON_IMAGE={BASE}")
    same = ("--no-cache", "--timestamp", commit_time())
    buildah("bud", *steps, *base, *same, *arguments, "--tag", tag, str(context))


def commit_time() -> str:
    """Return the time of the commit that is checked out, in seconds; every file of the image has this date."""
    return run("git", "-C", str(CHECKOUT), "log", "-1", "--format=%ct")


def inspected(image: str) -> dict[str, Any]:
    """Read the configuration of *image*, as the OCI image specification has it."""
    found: dict[str, Any] = json.loads(buildah("inspect", "--type", "image", image))["OCIv1"]
    return found


def remove(image: str) -> None:
    """Remove *image* from the store."""
    buildah("rmi", image)


def archive(image: str) -> Path:
    """Write *image* as an archive for a container runtime."""
    path = FOLDER / f"{image.replace('/', '-').replace(':', '-')}.tar"
    path.unlink(missing_ok=True)
    buildah("push", "-q", image, f"docker-archive:{path}:{image}")
    return path


def earlier() -> tuple[str, Path]:
    """Return the image from which an upgrade starts, and its archive: of an earlier commit, or with another label."""
    if not has_history():
        name = "localhost/eem-guardrail:relabelled"
        with locked(LOCK):
            build_project(name, arguments=("--build-arg", "VERSION=0.0.0"))
            return name, archive(name)
    name = f"localhost/eem-guardrail:{PREVIOUS}"
    with locked(LOCK), tempfile.TemporaryDirectory() as folder:
        if not exists(name):
            unpack(Path(folder), EARLIER_SOURCES)
            build_project(name, context=Path(folder))
        return name, archive(name)


@functools.cache
def ensure() -> dict[str, Path]:
    """Build the missing images and, once, the image of the checkout, and return the archive of each image."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with locked(LOCK):
        if not exists(BASE):
            make_base()
        make_pause()
        for name in STAND_INS:
            buildah("tag", PAUSE, name)
        build_project(PROJECT)
        return {image: archive(image) for image in (PAUSE, *STAND_INS, PROJECT)}
