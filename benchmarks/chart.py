"""Draw the cost against the size of the cluster, as a self-contained SVG."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from benchmarks.cluster import Size
from benchmarks.figures import AFTER_CHANGE, CPU, DECISION, POD_EVENT, Figures, Quantity

WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 64, 250, 64, 52
# Every colour is readable on white and on black, because a page may have either background.
INK = "#757b82"
LINES: Sequence[tuple[Quantity, float, str, str]] = (
    (CPU, 1000.0, "whole review over TLS", "#2f81f7"),
    (AFTER_CHANGE, 1.0, "decision after a change", "#bb6b00"),
    (DECISION, 1.0, "decision, warm", "#2da44e"),
    (POD_EVENT, 1.0, "event of a pod", "#a475f9"),
)
"""The quantity, the microseconds of its unit, the label and the colour."""


def draw(figures: Figures) -> str:
    """Return the picture."""
    known = [(label, colour, _microseconds(figures, quantity, unit)) for quantity, unit, label, colour in LINES]
    sizes = sorted({size for _, _, values in known for size in values}, key=lambda size: size.pods)
    decades = _decades([value for _, _, values in known for value in values.values()])
    body = "\n".join([*_frame(sizes, decades), *_lines(known, sizes, decades)])
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"
 role="img" aria-label="Cost against the size of the cluster">
<style>text {{ font: 13px system-ui, sans-serif; fill: {INK} }} .title {{ font-weight: 600; font-size: 15px }}</style>
<text class="title" x="{LEFT}" y="24">Cost against the size of the cluster</text>
<text x="{LEFT}" y="44">microseconds of one core</text>
{body}
</svg>
"""


def _microseconds(figures: Figures, quantity: Quantity, unit: float) -> Mapping[Size, float]:
    return {size: value * unit for size, value in figures.of(quantity).items()}


def _x(size: Size, sizes: Sequence[Size]) -> float:
    """Return the place of a size on the scale: by the logarithm of its pods."""
    first, last = math.log10(sizes[0].pods), math.log10(sizes[-1].pods)
    share = (math.log10(size.pods) - first) / (last - first) if last > first else 0.5
    return LEFT + 16 + share * (WIDTH - LEFT - RIGHT - 32)


def _decades(values: Sequence[float]) -> Sequence[int]:
    """Return the exponents of the scale: whole decades that contain all values, at least two."""
    first = math.floor(math.log10(min(values, default=10)))
    return range(first, max(math.ceil(math.log10(max(values, default=10))), first + 2) + 1)


def _y(value: float, decades: Sequence[int]) -> float:
    share = (math.log10(value) - decades[0]) / (decades[-1] - decades[0])
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _frame(sizes: Sequence[Size], decades: Sequence[int]) -> Iterator[str]:
    for decade in decades:
        y = _y(10.0**decade, decades)
        yield f'<path d="M{LEFT} {y:.1f} H{WIDTH - RIGHT}" stroke="{INK}" stroke-opacity="0.4"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0**decade:,.0f}</text>'
    for size in sizes:
        x = _x(size, sizes)
        yield f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{size.pods:,} pods</text>'
        yield f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 37}" text-anchor="middle">{size.policies:,} policies</text>'


def _lines(
    known: Sequence[tuple[str, str, Mapping[Size, float]]], sizes: Sequence[Size], decades: Sequence[int]
) -> Iterator[str]:
    ends = _apart([_y(values[sizes[-1]], decades) if sizes and sizes[-1] in values else 0.0 for _, _, values in known])
    for (label, colour, values), end in zip(known, ends, strict=True):
        points = [(_x(size, sizes), _y(values[size], decades)) for size in sizes if size in values]
        if not points:
            continue
        path = " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>'
        yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in points)
        last = values[max(values, key=lambda size: size.pods)]
        style = f'style="fill: {colour}"'
        yield f'<text x="{WIDTH - RIGHT + 12}" y="{end + 4:.1f}" {style}>{label}: {last:,.0f} µs</text>'


def _apart(places: Sequence[float]) -> list[float]:
    """Return the places of labels, moved down so that no label covers another."""
    moved = list(places)
    order = sorted(range(len(places)), key=lambda index: places[index])
    for above, below in pairwise(order):
        moved[below] = max(moved[below], moved[above] + 16)
    return moved
