"""
Draw the pictures of the documentation from the code: `python -m docs.pictures` writes docs/*.svg.

docs/architecture.svg shows the packages in the layers that pyproject.toml allows, with an arrow for each import that
does not follow from others; docs/review.svg shows the way of one review, with the modules that it passes.
"""

import ast
import textwrap
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

import grimp

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 960
BOX_WIDTH, BOX_HEIGHT, ROW, MARGIN = 276, 64, 108, 20
SIDE = ("webhook.settings", "certs")  # beside the layers: the edges alone import them
LAYERS_CONTRACT = "Dependencies point inwards, to the meaning of NetworkPolicy"
STYLE = """\
<style>
  text { font: 12.5px system-ui, sans-serif; fill: #1f2328 }
  .name { font: 600 14px ui-monospace, monospace }
  rect { fill: #f6f8fa; stroke: #59636e; rx: 6px }
  .pure { fill: #ddf4ff }
  path { fill: none; stroke: #59636e; stroke-width: 1.5 }
  marker path { fill: #59636e; stroke: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    rect { fill: #212830; stroke: #9198a1 }
    .pure { fill: #0c2d6b }
    path { stroke: #9198a1 }
    marker path { fill: #9198a1 }
  }
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">
<path d="M0 0 L8 4 L0 8 z"/></marker></defs>
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A box with its middle at *x*, its top at *y*, in pixels."""

    name: str
    text: str
    x: int
    y: int
    pure: bool

    def svg(self) -> str:
        """Draw it."""
        left = self.x - BOX_WIDTH // 2
        lines = textwrap.wrap(self.text, 40)[:2]
        texts = "".join(
            f'<text x="{self.x}" y="{self.y + 38 + 16 * at}" text-anchor="middle">{escape(line)}</text>\n'
            for at, line in enumerate(lines)
        )
        kind = ' class="pure"' if self.pure else ""
        return (
            f'<rect{kind} x="{left}" y="{self.y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}"/>\n'
            f'<text class="name" x="{self.x}" y="{self.y + 20}" text-anchor="middle">{escape(self.name)}</text>\n'
            f"{texts}"
        )


def layers() -> list[list[str]]:
    """Read the layers, the outermost first, from the contract that holds them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (found,) = [one["layers"] for one in contracts if one["name"] == LAYERS_CONTRACT]
    return [layer.split(" | ") for layer in found]


def imports(packages: Iterable[str]) -> dict[str, set[str]]:
    """Give which package imports which, as the code does it now."""
    known = list(packages)
    graph = grimp.build_graph("webhook", "certs", cache_dir=None)
    for package in known:
        graph.squash_module(package)
    return {
        package: set(graph.find_modules_directly_imported_by(package)) & set(known) - {package} for package in known
    }


def reduced(graph: Mapping[str, set[str]]) -> Iterator[tuple[str, str]]:
    """Give the imports that do not follow from others."""

    def below(package: str) -> set[str]:
        return graph[package].union(*(below(one) for one in graph[package]))

    for package in sorted(graph):
        implied = set().union(*(below(one) for one in graph[package]))
        yield from ((package, one) for one in sorted(graph[package] - implied))


def purpose(package: str) -> str:
    """Give what a package is for: its docstring up to the first colon."""
    text = ast.get_docstring(ast.parse((ROOT / package.replace(".", "/") / "__init__.py").read_text())) or ""
    return " ".join(text.partition("\n\n")[0].split()).partition(":")[0].rstrip(".")


def architecture() -> str:
    """Draw the packages."""
    rows = layers()
    places: dict[str, Box] = {}
    for row, names in enumerate(rows):
        for at, name in enumerate(names):
            x = WIDTH // 2 + (2 * at - len(names) + 1) * (BOX_WIDTH + MARGIN) // 2
            pure = name in {"webhook.netpol", "webhook.eem", "webhook.admission"}
            places[name] = Box(name=name, text=purpose(name), x=x, y=MARGIN + row * ROW, pure=pure)
    for at, name in enumerate(SIDE):
        x = MARGIN + BOX_WIDTH // 2 if at else WIDTH - MARGIN - BOX_WIDTH // 2
        places[name] = Box(name=name, text=purpose(name), x=x, y=MARGIN + 2 * ROW, pure=False)
    arrows = [arrow(places[one], places[other]) for one, other in reduced(imports(places))]
    return page([*arrows, *(box.svg() for box in places.values())], height=len(rows) * ROW)


def arrow(start: Box, end: Box) -> str:
    """Draw an arrow from one box down to another; a side box that is imported from its own height is met sideways."""
    x, y, to_x, to_y = start.x, start.y + BOX_HEIGHT, end.x, end.y
    middle = (y + to_y) // 2
    return f'<path marker-end="url(#tip)" d="M{x} {y} C{x} {middle} {to_x} {middle} {to_x} {to_y}"/>\n'


REVIEW = (
    ("webhook.server.connection", "TLS 1.3, limits and deadlines of the connection", False),
    ("webhook.server.app", "Is there a place? How much time is left?", False),
    ("webhook.admission.review", "AdmissionReview to AdmissionRequest; a fault is a 400", True),
    ("webhook.guard.judging", "Is the cluster known? What was admitted and not seen yet?", False),
    ("webhook.admission.decide", "Before and after, for each requirement: is anything lost?", True),
    ("webhook.cluster.list_watch", "Before a refusal: one live list must agree", False),
    ("webhook.admission.refusal", "Which pods, which port, who, by which policy, what to add", True),
    ("webhook.admission.review", "AdmissionResponse to bytes; metrics and one log line", True),
)


def review() -> str:
    """Draw the way of one review."""
    boxes = []
    for at, (module, text, pure) in enumerate(REVIEW):
        if not (ROOT / f"{module.replace('.', '/')}.py").is_file():
            raise SystemExit(f"{module} is not there any more: draw the way of a review anew")
        column, row = divmod(at, 4)
        x = WIDTH // 4 + column * WIDTH // 2
        boxes.append(Box(name=module, text=text, x=x, y=MARGIN + row * ROW, pure=pure))
    arrows = [arrow(one, other) for one, other in pairwise(boxes) if one.x == other.x]
    last, first = boxes[3], boxes[4]
    x, y = last.x + BOX_WIDTH // 2, last.y + BOX_HEIGHT // 2
    to_x, to_y = first.x - BOX_WIDTH // 2, first.y + BOX_HEIGHT // 2
    middle = (x + to_x) // 2
    arrows.append(f'<path marker-end="url(#tip)" d="M{x} {y} C{middle} {y} {middle} {to_y} {to_x} {to_y}"/>\n')
    return page([*arrows, *(box.svg() for box in boxes)], height=4 * ROW)


def page(parts: Iterable[str], *, height: int) -> str:
    """Put an SVG together."""
    body = "".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">\n'
        f"{STYLE}{body}</svg>\n"
    )


PICTURES = {"architecture.svg": architecture, "review.svg": review}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (ROOT / "docs" / name).write_text(draw())
