"""What a replica says that it knows, and what it would say of what there is."""

import re
from collections.abc import Iterable
from zlib import crc32

# How many objects of a kind, and the checksum over the version of each; None of a replica that is too old to tell.
Known = tuple[int, int | None]


def gauge(metrics: str, name: str) -> float:
    """Read one value from metrics in text form; 0 where it is not there."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", metrics, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


def held(metrics: str, resource: str) -> Known:
    """Read what a replica holds of one resource, out of its metrics."""
    objects = gauge(metrics, f'eem_guardrail_cache_objects{{resource="{resource}"}}')
    checksum = f'eem_guardrail_cache_checksum{{resource="{resource}"}}'
    return int(objects), int(gauge(metrics, checksum)) if checksum in metrics else None


def same(found: Known, present: Known) -> bool:
    """Whether a replica reports the objects that exist."""
    return found == present if found[1] is not None else found[0] == present[0]


def summed_up(states: Iterable[str]) -> Known:
    """Sum up objects as the service does, each told as `<namespace>/<name> <resourceVersion>`."""
    there = list(states)
    return len(there), sum(crc32(one.encode()) for one in there) % 2**32
