"""
Read the value of a setting from text: one function for each form.

Each raises ValueError with the expected form. The rules are imported only when a setting of theirs is read, so that a
command that decides nothing starts without them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from webhook.netpol.model import LAST_PORT
from webhook.netpol.sources.universe import pod_ranges_of

if TYPE_CHECKING:
    from webhook.eem.rules import ProductVersion, RuleSetting

LEAST_SILENCE_SECONDS = 150.0  # a bookmark comes each 60 s, and a stream without one is closed within 90
FAMILIES = {"IPv4": 4, "IPv6": 6}


def one_of(*known: str) -> Callable[[str], str]:
    """Return a reader of one of the words *known*."""

    def read(text: str) -> str:
        if text not in known:
            raise ValueError(f"must be one of {', '.join(known)}, not {text!r}")
        return text

    return read


def port(text: str) -> int:
    """Read a port; 0 lets the system choose one."""
    if not (text.isascii() and text.isdigit() and int(text) <= LAST_PORT):
        raise ValueError(f"must be a port between 0 and {LAST_PORT}, not {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """Read a number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ValueError(f"must be a number of seconds, not {text!r}")
    return value


def duration(text: str) -> float:
    """Read a duration of at least one second, the unit of certificates."""
    value = seconds(text)
    if value < 1:
        raise ValueError(f"must be at least 1 second, not {text!r}")
    return value


def silence(text: str) -> float:
    """Read a limit for the API server's silence: longer than any silence of a healthy one."""
    value = seconds(text)
    if value < LEAST_SILENCE_SECONDS:
        raise ValueError(f"must be at least {LEAST_SILENCE_SECONDS:g} seconds, not {text!r}")
    return value


def switch(text: str) -> bool:
    """Read on or off."""
    if text.lower() not in {"on", "off", "true", "false"}:
        raise ValueError(f"must be on or off, not {text!r}")
    return text.lower() in {"on", "true"}


def cidrs(text: str) -> tuple[str, ...]:
    """Read the pod address ranges."""
    ranges = words(text)
    pod_ranges_of(ranges)
    return ranges


def families(text: str) -> tuple[int, ...]:
    """Read address families as their numbers, 4 and 6."""
    names = words(text)
    if not names or not all(name in FAMILIES for name in names):
        raise ValueError(f"must be IPv4, IPv6 or both with a comma between, not {text!r}")
    return tuple(sorted({FAMILIES[name] for name in names}))


def account(text: str) -> str:
    """Read the namespace and name of a service account."""
    namespace, slash, name = text.partition("/")
    if not (slash and namespace and name) or "/" in name:
        raise ValueError(f"must be NAMESPACE/NAME, not {text!r}")
    return text


def severities(text: str) -> Mapping[str, RuleSetting]:
    """Read the severities of rules by their ids."""
    from webhook.eem.rules import severities_of  # noqa: PLC0415  see above

    return severities_of(words(text))


def version(text: str) -> ProductVersion:
    """Read a version of EEM."""
    from webhook.eem.rules import ProductVersion  # noqa: PLC0415  see above

    return ProductVersion.parse(text)


def address(text: str) -> str:
    """Read an address to listen on."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise ValueError(f"must be an IP address to listen on, not {text!r}") from error


def words(text: str) -> tuple[str, ...]:
    """Read words with commas between."""
    return tuple(word.strip() for word in text.split(",") if word.strip())
