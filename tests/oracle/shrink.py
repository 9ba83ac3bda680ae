"""Make a pair that disagrees as small as it gets, so that a person can read it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from oracle.generate import Pair
from oracle.naive import Settings

# Without these nothing is an object of the API any more.
KEPT = frozenset({"kind", "apiVersion", "metadata", "name", "namespace", "spec", "template", "containers", "labels"})


def smaller_trees(tree: Any) -> Iterator[Any]:
    """Yield every tree with one entry less, the largest entries first."""
    if isinstance(tree, dict):
        for key in tree:
            if key not in KEPT:
                yield {k: v for k, v in tree.items() if k != key}
        for key, value in tree.items():
            yield from ({**tree, key: smaller} for smaller in smaller_trees(value))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield [*tree[:index], *tree[index + 1 :]]
            yield from ([*tree[:index], smaller, *tree[index + 1 :]] for smaller in smaller_trees(value))


def smaller_pairs(pair: Pair) -> Iterator[Pair]:
    """Yield every pair with one thing less: an object, an entry of an object, or an entry of the change."""
    for objects in smaller_trees(pair.objects):
        yield replace(pair, objects=objects)
    if pair.settings != Settings():
        yield replace(pair, settings=Settings())
    for field in ("object", "old_object"):
        for smaller in smaller_trees(getattr(pair.change, field)):
            yield replace(pair, change=replace(pair.change, **{field: smaller}))


def still(pair: Pair, wanted: Callable[[Pair], bool]) -> bool:
    """Whether the pair still has the property; a pair that can no longer be read has not."""
    try:
        return wanted(pair)
    except (ValueError, LookupError, StopIteration, TypeError, AttributeError):
        return False


def shrink(pair: Pair, wanted: Callable[[Pair], bool]) -> Pair:
    """Remove what can go while the pair stays wanted."""
    while (found := next((small for small in smaller_pairs(pair) if still(small, wanted)), None)) is not None:
        pair = found
    return pair
