"""
What a text must look like to be what its field says it is.

Each format is a function from the value to what is wrong with it, or None. An empty text is no concern of a format.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from webhook.eem.rules.paths import shown
from webhook.eem.rules.quantity import quantity

Format = Callable[[object], str | None]

_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]+", re.ASCII)
_QUALIFIED_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?", re.ASCII)
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*", re.DOTALL)
# What RFC 3986 section 3.2.2 lets a host consist of, an IPv6 address without its brackets included.
_URL_HOST = re.compile(r"[A-Za-z0-9._~%!$&'()*+,;=:-]+", re.ASCII)
_NAME_LENGTH = 253  # octets of a DNS name, RFC 1123 section 2.1
_LABEL_LENGTH = 63  # octets of one label of a DNS name, RFC 1035 section 2.3.4; also of a Kubernetes label's value
_LONGEST_URL = 2048  # characters; what is longer is no address that anybody serves, and must not fill the memory
_REMEMBERED = 4096  # distinct texts whose answer is kept: more than the names and URLs of 200 instances


def is_subdomain(value: str) -> bool:
    """Say whether *value* can name a Secret, a claim or a StorageClass (DNS subdomain, RFC 1123)."""
    return len(value) <= _NAME_LENGTH and _is_short_subdomain(value)


@lru_cache(maxsize=_REMEMBERED)
def _is_short_subdomain(value: str) -> bool:
    return _SUBDOMAIN.fullmatch(value) is not None


def is_label(value: str) -> bool:
    """Say whether *value* is one label of a DNS name (RFC 1123)."""
    return len(value) <= _LABEL_LENGTH and "." not in value and is_subdomain(value)


def url_of(value: str) -> SplitResult | None:
    """Split an absolute URL, or return None where it is none (RFC 3986)."""
    return _url_of_short(value) if len(value) <= _LONGEST_URL else None


@lru_cache(maxsize=_REMEMBERED)
def _url_of_short(value: str) -> SplitResult | None:
    if any(character <= " " or character == "\x7f" for character in value):
        return None
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.scheme and _URL_HOST.fullmatch(parts.hostname or "") else None


def object_name(value: object) -> str | None:
    """Find fault with the name of another API object."""
    if is_subdomain(str(value)):
        return None
    return f'"{shown(str(value))}" cannot be the name of an object: expected lower-case letters, digits, "-" and "."'


def data_key(value: object) -> str | None:
    """Find fault with the name of an entry of a Secret."""
    if len(str(value)) <= _NAME_LENGTH and _DATA_KEY.fullmatch(str(value)):
        return None
    return f'"{shown(str(value))}" cannot be a key of a Secret: expected letters, digits, "-", "_" and "."'


def size(value: object) -> str | None:
    """Find fault with a size of storage."""
    amount = quantity(str(value))
    if amount is None:
        return f'"{shown(str(value))}" is not a Kubernetes quantity: expected one such as 500Mi or 10Gi'
    return None if amount > 0 else f'"{shown(str(value))}" is no size: expected more than nothing, such as 500Mi'


def host(value: object) -> str | None:
    """
    Find fault with the host name of an endpoint.

    Source: IngressRule.host (networking.k8s.io/v1): a DNS name, no address, no port; `*.` may lead.
    """
    labels_of = str(value).removeprefix("*.").split(".")
    if all(is_label(label) for label in labels_of) and len(str(value)) <= _NAME_LENGTH:
        # A last label of digits is no top-level domain, so the whole can only be an address (RFC 3696 section 2).
        is_address = labels_of[-1].isdecimal()
        return f'"{shown(str(value))}" is an address: expected a host name' if is_address else None
    return f'"{shown(str(value))}" is not a host name: expected one such as eem.example.com, no scheme, no port'


def http_url(value: object) -> str | None:
    """Find fault with an address that begins `http://` or `https://`."""
    parts = url_of(str(value))
    if parts is not None and parts.scheme in ("http", "https"):
        return None
    return f'"{shown(str(value))}" is not an http or https URL: expected one such as https://example.com'


def https_url(value: object) -> str | None:
    """Find fault with an address that must begin `https://`."""
    parts = url_of(str(value))
    if parts is not None and parts.scheme == "https":
        return None
    return f'"{shown(str(value))}" is not an https URL: expected one such as https://example.com'


def json_pointer(value: object) -> str | None:
    """
    Find fault with a JSON pointer.

    Source: RFC 6901 section 3.
    """
    if _POINTER.fullmatch(str(value)):
        return None
    return f'"{shown(str(value))}" is not a JSON pointer: expected "/" before each name, "~0" for "~", "~1" for "/"'


def is_label_key(key: str) -> bool:
    """Say whether *key* can be the key of a label or an annotation: `name` or `prefix/name`."""
    prefix, slash, name = key.rpartition("/")
    if slash and not is_subdomain(prefix):
        return False
    return len(name) <= _LABEL_LENGTH and _QUALIFIED_NAME.fullmatch(name) is not None


def labels(value: object) -> str | None:
    """Find the first fault of a map of labels."""
    fault = annotations(value)
    if fault is not None:
        return fault
    for key, entry in _pairs(value):
        fits = len(entry) <= _LABEL_LENGTH and (not entry or _QUALIFIED_NAME.fullmatch(entry) is not None)
        if not fits:
            return f'"{shown(entry)}" cannot be the value of the label {shown(key)}: at most 63 letters, digits, -_.'
    return None


def annotations(value: object) -> str | None:
    """Find the first fault of a map of annotations."""
    for key, _ in _pairs(value):
        if not is_label_key(key):
            return f'"{shown(key)}" cannot be a key: expected name or prefix/name, the name at most 63 characters'
    return None


def _pairs(value: object) -> tuple[tuple[str, str], ...]:
    """Return the entries that are texts; the schema finds fault with the others."""
    pairs = value.items() if isinstance(value, Mapping) else ()
    return tuple((str(key), entry) for key, entry in pairs if isinstance(entry, str))
