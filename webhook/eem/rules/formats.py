"""
What a value must look like to be what its field says it is.

A format is a function from a value to what is wrong with it, or None. Above it stands the sentence that the table of
rules prints for it. An empty string is checked only where the field may not be empty.
"""

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from webhook.netpol.names import (
    LONGEST_SUBDOMAIN,
    is_annotation_key,
    is_dns_label,
    is_dns_subdomain,
    is_label_key,
    is_label_value,
)
from webhook.netpol.reading import is_object, shown

Format = Callable[[object], str | None]

_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]+", re.ASCII)
# What RFC 3986 section 3.2.2 lets a host consist of, an IPv6 address without its brackets included.
_URL_HOST = re.compile(r"[A-Za-z0-9._~%!$&'()*+,;=:-]+", re.ASCII)
_OCTET = r"0*(?:25[0-5]|2[0-4]\d|1?\d{1,2})"
_IPV4_ADDRESS = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}", re.ASCII)
_QUANTITY = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>\d*)(?:\.(?P<part>\d*))?"
    r"(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?\d+))?",
    re.ASCII,
)
_FACTORS = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    "k": Fraction(10**3),
    **{suffix: Fraction(1000 ** (2 + power)) for power, suffix in enumerate("MGTPE")},
    **{f"{suffix}i": Fraction(1024 ** (1 + power)) for power, suffix in enumerate("KMGTPE")},
}
# Characters: no quantity needs more, since 2^63 has 19 digits, and a nano unit 9 digits after the point.
_LONGEST_QUANTITY = 64
# The API server clips every quantity beyond 10^±40 to its 63 bits and nano resolution.
_LARGEST_EXPONENT = 40
# What no URL has: control characters and spaces.
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f]")
_LONGEST_URL = 2048  # characters; a longer text is no address in use
_KEPT_URLS = 64  # several rules split the few URLs of one object; at most 0.5 MiB in all

_demands: dict[Format, str] = {}


def demand_of(check: Format) -> str:
    """Return the sentence that the table of rules prints for a format."""
    return _demands[check]


def _demands_that(sentence: str) -> Callable[[Format], Format]:
    """Register the sentence for the format below."""

    def register(check: Format) -> Format:
        _demands[check] = sentence
        return check

    return register


def quantity(text: str) -> Fraction | None:
    """
    Return the exact amount of a Kubernetes quantity such as `250M`, `1Gi` or `0.5Ti`; None where it is no quantity.

    Source: the grammar in k8s.io/apimachinery, pkg/api/resource, type Quantity.
    """
    match = _QUANTITY.fullmatch(text) if len(text) <= _LONGEST_QUANTITY else None
    if match is None:
        return None
    whole, part = match["whole"], match["part"] or ""
    if not whole and not part:
        return None
    amount = Fraction(int(whole + part), 10 ** len(part))
    if match["exponent"]:
        exponent = max(-_LARGEST_EXPONENT, min(_LARGEST_EXPONENT, int(match["exponent"])))
        amount *= Fraction(10) ** exponent
    elif match["suffix"]:
        amount *= _FACTORS[match["suffix"]]
    return -amount if match["sign"] == "-" else amount


def url_of(text: str) -> SplitResult | None:
    """Split an absolute URL; None where the text is none (RFC 3986)."""
    return _split(text) if text and len(text) <= _LONGEST_URL else None


@lru_cache(maxsize=_KEPT_URLS)
def _split(text: str) -> SplitResult | None:
    if _NOT_IN_URL.search(text):
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.scheme and _URL_HOST.fullmatch(parts.hostname or "") else None


@_demands_that("Must be the name of an object: lower-case letters, digits, '-' and '.' (RFC 1123).")
def object_name(value: object) -> str | None:
    """Check the name of another API object."""
    if is_dns_subdomain(str(value)):
        return None
    return f'must be the name of an object: lower-case letters, digits, "-" and ".", not "{shown(str(value))}"'


@_demands_that("Must be a key of a Secret: letters, digits, '-', '_' and '.'.")
def data_key(value: object) -> str | None:
    """Check the key of an entry of a Secret."""
    if len(str(value)) <= LONGEST_SUBDOMAIN and _DATA_KEY.fullmatch(str(value)):
        return None
    return f'must be a key of a Secret: letters, digits, "-", "_" and ".", not "{shown(str(value))}"'


@_demands_that("Must be a Kubernetes quantity above zero, such as 500Mi, 250M or 0.5Ti.")
def size(value: object) -> str | None:
    """Check a size of storage."""
    amount = quantity(str(value))
    if amount is None:
        return f'must be a Kubernetes quantity such as 500Mi or 10Gi, not "{shown(str(value))}"'
    return None if amount > 0 else f'must be above zero, such as 500Mi, not "{shown(str(value))}"'


@_demands_that("Must be a host name in lower case (RFC 1123), without scheme, port or path, and not an IP address.")
def host(value: object) -> str | None:
    """
    Check the host name of an endpoint.

    Source: IngressRule.host (networking.k8s.io/v1): a DNS name, no IP address and no port; `*.` may come first.
    """
    text = str(value)
    is_short = len(text) <= LONGEST_SUBDOMAIN
    if is_short and _IPV4_ADDRESS.fullmatch(text):
        return f'must be a host name, not the IP address "{text}"'
    if is_short and all(is_dns_label(label) for label in text.removeprefix("*.").split(".")):
        return None
    return f'must be a host name such as eem.example.com, without scheme and port, not "{shown(text)}"'


@_demands_that("Must be an absolute URL that begins with http:// or https:// (RFC 3986).")
def http_url(value: object) -> str | None:
    """Check an address that begins with `http://` or `https://`."""
    parts = url_of(str(value))
    if parts is not None and parts.scheme in ("http", "https"):
        return None
    return f'must be an http or https URL such as https://example.com, not "{shown(str(value))}"'


@_demands_that("Must be an absolute URL that begins with https:// (RFC 3986).")
def https_url(value: object) -> str | None:
    """Check an address that must begin with `https://`."""
    parts = url_of(str(value))
    if parts is not None and parts.scheme == "https":
        return None
    return f'must be an https URL such as https://example.com, not "{shown(str(value))}"'


@_demands_that("Must be a JSON pointer such as /realm_access/roles (RFC 6901).")
def json_pointer(value: object) -> str | None:
    """
    Check a JSON pointer.

    Source: RFC 6901 section 3. Every `~` begins `~0` or `~1`, so counting them is enough, however long the text is.
    """
    text = str(value)
    if (not text or text.startswith("/")) and text.count("~") == text.count("~0") + text.count("~1"):
        return None
    return f'must be a JSON pointer: "/" before each name, "~0" for "~", "~1" for "/", not "{shown(text)}"'


@_demands_that("Must be labels: keys name or prefix/name, values of at most 63 letters, digits, '-', '_' and '.'.")
def labels(value: object) -> str | None:
    """Check a map of labels; the message names the first fault."""
    for key, entry in _strings(value):
        if not is_label_key(key):
            return _not_a_key(key)
        if not is_label_value(entry):
            return (
                f'must have at most 63 letters, digits, "-", "_" and "." as the value of the label {shown(key)}, '
                f'not "{shown(entry)}"'
            )
    return None


@_demands_that("Must be annotations: keys name or prefix/name.")
def annotations(value: object) -> str | None:
    """Check a map of annotations; the message names the first fault."""
    return next((_not_a_key(key) for key, _ in _strings(value) if not is_annotation_key(key)), None)


def _not_a_key(key: str) -> str:
    return f'must have keys of the form name or prefix/name, the name at most 63 characters, not "{shown(key)}"'


def _strings(value: object) -> list[tuple[str, str]]:
    """Return the entries that are strings; the check of the type reports the others."""
    pairs: Mapping[str, object] = value if is_object(value) else {}
    return [(str(key), entry) for key, entry in pairs.items() if isinstance(entry, str)]
