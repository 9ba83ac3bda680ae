"""
Make the page of a report.

The template escapes every value, and the page's Content-Security-Policy names the digests of its two scripts and its
style, so nothing else on the page can run, load or connect.
"""

import base64
import hashlib
import tarfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from webhook.report_page.drawing import client, drawing_of
from webhook.version import VERSION

FOLDER: Final = Path(__file__).parent
LIBRARY: Final = FOLDER / "dagre-3.1.3.tgz"
STATES: Final = {"broken": "✕ closed", "not decided": "? not decided", "partly": "◐ in part", "holds": "✓ open"}
"""The states in words, the worst first; a sign goes with each colour."""

MOST_ROWS: Final = 100
"""Policies after which only those have a row of their own without which something is lost."""

Entry = Mapping[str, Any]


def report_page(found: Entry, *, at: str, live: bool) -> str:
    """
    Return the page of a report.

    Args:
        found: the report.
        at: the time of the state, as text; empty if it is not known.
        live: whether the page is served by the guard, which tells it of changes.
    """
    page: str = (
        _environment()
        .get_template("page.html")
        .render(
            report=found,
            namespaces=[{**one, "state": _worst(one)} for one in found["namespaces"]],
            drawings={one["namespace"]: drawing_of(one) for one in found["namespaces"]},
            at=at,
            live=live,
            policy=content_security_policy(live=live),
            version=VERSION,
        )
    )
    return page


def content_security_policy(*, live: bool) -> str:
    """Return the policy of the page: its own scripts and style by their digests, and nothing else."""
    style, library, script = (_digest(part) for part in (_style(), _library(), _script()))
    connect = "; connect-src 'self'" if live else ""
    return (
        f"default-src 'none'; script-src '{library}' '{script}'; style-src '{style}'; img-src data:{connect}; "
        "base-uri 'none'; form-action 'none'"
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["yaml"] = lambda value: yaml.safe_dump(value, sort_keys=False)
    environment.filters["client"] = client
    environment.globals.update(states=STATES, most_rows=MOST_ROWS, style=_style(), library=_library(), script=_script())
    return environment


def _worst(namespace: Entry) -> str:
    """Return the worst state of a requirement of a namespace; `holds` if it has none."""
    found = {one["state"] for instance in namespace["instances"] for one in instance["requirements"]}
    return next((state for state in STATES if state in found), "holds")


def _style() -> str:
    return (FOLDER / "page.css").read_text()


def _script() -> str:
    return (FOLDER / "page.js").read_text()


@lru_cache(maxsize=1)
def _library() -> str:
    """Return the library with its licence, without the reference to its source map."""
    with tarfile.open(LIBRARY) as package:
        licence, code = (_member(package, name) for name in ("dagre.min.js.LEGAL.txt", "dagre.min.js"))
    return licence + code.partition("//# sourceMappingURL=")[0]


def _member(package: tarfile.TarFile, name: str) -> str:
    member = package.extractfile(f"package/dist/{name}")
    return "" if member is None else member.read().decode()


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
