"""How large an object is."""

import pytest

from webhook.netpol.size import MOST_VALUES, is_large

CASES = {
    "nothing": (None, 0, False),
    "a text is one value, however long": ({"a": "x" * 100}, 1, False),
    "an object with one value more": ({"a": 1, "b": 2}, 1, True),
    "a list with as many": ([1, 2, 3], 3, False),
    "what is in a list counts, and the list": ({"a": [1, {"b": 2}]}, 4, False),
    "and is too much for a smaller bound": ({"a": [1, {"b": 2}]}, 3, True),
    "a tuple counts as a list does": (([], (1, 2)), 3, True),
}


@pytest.mark.parametrize("name", CASES)
def test_values_are_counted_at_any_depth(name: str) -> None:
    """An object is large if there is more in it than the bound."""
    value, most, expected = CASES[name]

    assert expected == is_large(value, most)


def test_depth_does_no_harm() -> None:
    """An object that is nested more deeply than Python can call is counted like any other."""
    nested: list[object] = []
    for _ in range(MOST_VALUES + 1):
        nested = [nested]

    assert is_large(nested)
