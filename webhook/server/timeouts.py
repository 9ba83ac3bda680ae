"""Read the timeout that the API server puts into each call's URL."""

import re
from functools import lru_cache
from urllib.parse import parse_qsl

from webhook.server.limits import DEFAULT_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS

MIN_TIMEOUT_SECONDS = 1.0  # the smallest that a webhook configuration can hold
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|us|µs|ns|h|m|s)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")


@lru_cache(maxsize=64)  # a cluster has a handful of different ones; strangers cannot make it grow
def timeout_of(raw_path: str) -> float:
    """
    Give the seconds after which the caller hangs up; the API's default where the URL does not say.

    Args:
        raw_path: the request's target as sent, `/validate-eem?timeout=5s`.

    Source: k8s.io/apiserver webhook dispatchers (`r.Timeout`), Go's time.Duration.String.
    """
    _, _, query = raw_path.partition("?")
    for key, value in parse_qsl(query):
        if key == "timeout" and _DURATION.fullmatch(value):
            seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))
            return min(max(seconds, MIN_TIMEOUT_SECONDS), MAX_TIMEOUT_SECONDS)
    return DEFAULT_TIMEOUT_SECONDS
