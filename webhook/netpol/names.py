"""
Check the names that Kubernetes gives a form: label keys and values, and DNS names.

This is the one place for these checks. Nothing here reports a fault: each function says whether a text has the form.

Source: k8s.io/apimachinery, pkg/util/validation (IsQualifiedName, IsValidLabelValue, IsDNS1123Label,
IsDNS1123Subdomain) and pkg/api/validation (ValidateAnnotations).
"""

import re
from typing import Final

LONGEST_SUBDOMAIN: Final = 253
"""Characters of a DNS subdomain, which most object names are (RFC 1123 section 2.1)."""

LONGEST_LABEL: Final = 63
"""Characters of one label of a DNS name (RFC 1035 section 2.3.4), of a label value, and of the name in a label key."""

# Runs of letters and digits between runs of marks, without backtracking: a policy of a megabyte has 50,000 of them.
_NAME: Final = r"[A-Za-z0-9]++(?:[-_.]++[A-Za-z0-9]++)*+"
_VALUE: Final = re.compile(rf"(?:{_NAME})?+")
_DNS_LABEL: Final = r"[a-z0-9]++(?:-++[a-z0-9]++)*+"
_SUBDOMAIN: Final = re.compile(rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*+")
_LABEL_KEY: Final = re.compile(rf"(?:{_SUBDOMAIN.pattern}/)?+{_NAME}")


def is_label_key(text: str) -> bool:
    """Whether *text* can be the key of a label: a name of at most 63 characters, perhaps after a DNS prefix and `/`."""
    if _LABEL_KEY.fullmatch(text) is None:
        return False
    if len(text) <= LONGEST_LABEL:
        return True
    prefix, _, name = text.rpartition("/")
    return len(prefix) <= LONGEST_SUBDOMAIN and len(name) <= LONGEST_LABEL


def is_annotation_key(text: str) -> bool:
    """Whether *text* can be the key of an annotation: the API server checks it in lower case, as a label key."""
    return is_label_key(text.lower())


def is_label_value(text: str) -> bool:
    """Whether *text* can be the value of a label: empty, or at most 63 characters of a limited alphabet."""
    return len(text) <= LONGEST_LABEL and _VALUE.fullmatch(text) is not None


def is_dns_subdomain(text: str) -> bool:
    """Whether *text* is a DNS subdomain (RFC 1123), as names of Secrets, claims and most other objects are."""
    return len(text) <= LONGEST_SUBDOMAIN and _SUBDOMAIN.fullmatch(text) is not None


def is_dns_label(text: str) -> bool:
    """Whether *text* is one label of a DNS name (RFC 1123), as names of Services and namespaces are."""
    return len(text) <= LONGEST_LABEL and "." not in text and is_dns_subdomain(text)
