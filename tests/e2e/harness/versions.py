"""Other versions of the service, as folders that a pod can run instead of this checkout."""

import io
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from harness.machine import CHECKOUT

# The first version that keeps its certificates and its registration by itself, and the changelog's word for it.
PREVIOUS = "f6060379887783ad327d3f315891527fa4222510"
PARTS = ("webhook", "certs")

# What a later version could hold: one more condition, and so another entry than this one writes.
ENTRIES = Path("webhook", "registration", "entries.py")
CONDITIONS = "_POLICY_CONDITIONS: Final = (\n"
LATER = '    {"name": "not-a-connect", "expression": \'request.operation != "CONNECT"\'},\n'

REFUSALS = Path("webhook", "server", "refusals.py")
ELSEWHERE = 'MappingProxyType({"Retry-After": "0"})'


def has_history() -> bool:
    """Whether this clone reaches back to the previous version."""
    command = ["git", "-C", str(CHECKOUT), "cat-file", "-e", f"{PREVIOUS}^{{commit}}"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def previous(folder: Path) -> str:
    """
    Write the previous version into *folder*, and say what it is.

    A clone without history has none: then it is this version under another address, which shows less.
    """
    if not has_history():
        _copy(folder)
        return "this version once more, for the clone has no history"
    unpack(folder, PARTS)
    return PREVIOUS[:7]


def unpack(folder: Path, parts: Sequence[str]) -> None:
    """Write parts of the previous version into *folder*, out of the history."""
    command = ["git", "-C", str(CHECKOUT), "archive", PREVIOUS, *parts]
    packed = subprocess.run(command, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")


def later(folder: Path) -> str:
    """Write into *folder* a version that writes another entry for NetworkPolicies, and say what it is."""
    _copy(folder)
    _change(folder / ENTRIES, CONDITIONS, CONDITIONS + LATER)
    return "a version with one more condition"


def without_retry_after(folder: Path) -> None:
    """Write this version into *folder*, changed so that it sends no Retry-After."""
    _copy(folder)
    _change(folder / REFUSALS, ELSEWHERE, "MappingProxyType({})")


def _change(path: Path, what: str, into: str) -> None:
    text = path.read_text()
    if text.count(what) != 1:
        raise AssertionError(f"{path} has no longer one {what!r}")
    path.write_text(text.replace(what, into))


def _copy(folder: Path) -> None:
    for part in PARTS:
        shutil.copytree(CHECKOUT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
