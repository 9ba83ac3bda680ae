"""
Become the process of one container: bring its volumes to where they are mounted, then run its command.

Runs in its own mount namespace, so its mounts are not visible elsewhere. The rest of the file system is the machine's.
"""

import ctypes
import json
import os
import sys
from pathlib import Path

MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18  # <sys/mount.h>
ST_RELATIME, MS_RELATIME = 4096, 1 << 21  # the one flag that statvfs(3) numbers otherwise
ST_SAME = os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME | os.ST_NODIRATIME

libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str | None, flags: int) -> None:
    """Mount, or say why it could not be."""
    encoded = [None if text is None else text.encode() for text in (source, target, kind)]
    if libc.mount(*encoded, ctypes.c_ulong(flags), None) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"mount {source} on {target}: {os.strerror(code)}")


def flags_of(path: Path) -> int:
    """Read the flags of a mount, which a user namespace does not let a remount drop."""
    flags = os.statvfs(path).f_flag
    return (flags & ST_SAME) | (MS_RELATIME if flags & ST_RELATIME else 0)


def make_mount_point(target: Path, keep: Path) -> None:
    """
    Make the folder *target* without writing to the machine's own file system.

    The deepest folder above it that exists gets a tmpfs with links to what was there, which *keep* goes on showing.
    """
    if target.is_dir():
        return
    existing = next(parent for parent in target.parents if parent.is_dir())
    kept = keep / str(len(list(keep.iterdir())))
    kept.mkdir()
    mount(str(existing), str(kept), None, MS_BIND | MS_REC)
    mount("tmpfs", str(existing), "tmpfs", 0)
    for entry in kept.iterdir():
        (existing / entry.name).symlink_to(entry)
    target.mkdir(parents=True)


def main() -> None:
    """Read the container's description, mount, and become its command."""
    spec = json.loads(Path(sys.argv[1]).read_text())
    keep = Path(spec["keep"])
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    for volume in spec["mounts"]:
        target = Path(volume["target"]).resolve()
        make_mount_point(target, keep)
        mount(volume["source"], str(target), None, MS_BIND | MS_REC)
        if volume["readOnly"]:
            mount("none", str(target), None, MS_REMOUNT | MS_BIND | MS_RDONLY | flags_of(target))
    os.chdir(spec["workingDirectory"])
    os.execvpe(spec["command"][0], spec["command"], spec["environment"])


if __name__ == "__main__":
    main()
