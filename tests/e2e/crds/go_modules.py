"""
Go modules that hold definitions of their authors.

The Go command downloads a version once, checks it against Go's database of checksums, and keeps it.
"""

import json
import subprocess
from functools import cache
from pathlib import Path

from controlplane.build import find_go


@cache
def downloaded(module: str, version: str) -> Path:
    """Return the folder with one version of a module."""
    answer = subprocess.run(
        [find_go(), "mod", "download", "-json", f"{module}@{version}"], check=True, capture_output=True, cwd="/"
    )
    return Path(json.loads(answer.stdout)["Dir"])
