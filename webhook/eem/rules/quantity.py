"""
Kubernetes quantities: `250M`, `1Gi`, `1e3`, `0.5Ti`, but not `10GiB` and not `10 Gi`.

Source: the grammar in k8s.io/apimachinery, pkg/api/resource, type Quantity.
"""

import re
from fractions import Fraction
from functools import lru_cache

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
# No size needs more: 2^63 has 19 digits, a nano unit 9 behind the point.
_LONGEST_TEXT = 64
# Beyond 10^±40 every quantity is clipped by the API server's 63 bits and nano resolution.
_LARGEST_EXPONENT = 40
# Distinct texts whose amount is kept: a cluster has a handful of sizes.
_REMEMBERED = 1024


def quantity(value: str) -> Fraction | None:
    """Return the exact amount that *value* stands for, or None where it is no quantity."""
    return _short_quantity(value) if len(value) <= _LONGEST_TEXT else None


@lru_cache(maxsize=_REMEMBERED)
def _short_quantity(value: str) -> Fraction | None:
    match = _QUANTITY.fullmatch(value)
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
