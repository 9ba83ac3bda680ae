"""
Draw the pictures of the documentation from the code: `python -m docs.pictures` writes docs/*.svg.

docs/architecture.svg shows the packages in the layers that pyproject.toml allows, with an arrow for each import that
does not follow from others. docs/review.svg shows the steps of one review, with the module of each step.
"""

import ast
import textwrap
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import grimp

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 960
BOX_WIDTH, BOX_HEIGHT, ROW, MARGIN = 276, 64, 108, 20
SIDE = ("webhook.settings", "certs")  # beside the layers: only webhook.main and webhook.cli import them
LAYERS_CONTRACT = "Dependencies point inwards, to the meaning of NetworkPolicy"
PURE_CONTRACT = "Deciding does no IO, and asks neither clock nor dice"
REVIEW = (
    ("webhook.server.connection", "TLS 1.3, limits and deadlines of the connection"),
    ("webhook.server.app", "Is there a place in the queue? How much time is left?"),
    ("webhook.admission.wire", "Decode the AdmissionReview; a fault is a 400"),
    ("webhook.guard.judging", "Are the caches complete? Which changes are in flight?"),
    ("webhook.admission.networkpolicy", "Before and after, for each requirement: is anything lost?"),
    ("webhook.cluster.lists", "Before a refusal: a live list must agree"),
    ("webhook.admission.refusal", "Explain: pods, port, source, policy, what to add"),
    ("webhook.admission.wire", "Encode the response; metrics and one log line"),
)
"""The steps of one review, in order: the module, and what it does or asks in at most two lines of 40 characters."""

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
    """A box whose middle is at *x* and whose top is at *y*, in pixels."""

    name: str
    text: str
    x: int
    y: int
    pure: bool

    def svg(self) -> str:
        """Return the box as SVG."""
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


def contract(name: str) -> Mapping[str, Any]:
    """Return one import contract of pyproject.toml."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (found,) = [one for one in contracts if one["name"] == name]
    return found


def layers() -> list[list[str]]:
    """Return the layers, the outermost first."""
    return [layer.split(" | ") for layer in contract(LAYERS_CONTRACT)["layers"]]


def is_pure(module: str) -> bool:
    """Whether a contract keeps IO out of the module."""
    return any(f"{module}.".startswith(f"{pure}.") for pure in contract(PURE_CONTRACT)["source_modules"])


def imports(packages: Iterable[str]) -> dict[str, set[str]]:
    """Return which package imports which."""
    known = list(packages)
    graph = grimp.build_graph("webhook", "certs", cache_dir=None)
    for package in known:
        graph.squash_module(package)
    return {
        package: set(graph.find_modules_directly_imported_by(package)) & set(known) - {package} for package in known
    }


def reduced(graph: Mapping[str, set[str]]) -> Iterator[tuple[str, str]]:
    """Yield the imports that do not follow from others."""

    def below(package: str) -> set[str]:
        return graph[package].union(*(below(one) for one in graph[package]))

    for package in sorted(graph):
        implied = set().union(*(below(one) for one in graph[package]))
        yield from ((package, one) for one in sorted(graph[package] - implied))


def purpose(package: str) -> str:
    """Return what a package is for: its docstring up to the first colon."""
    text = ast.get_docstring(ast.parse((ROOT / package.replace(".", "/") / "__init__.py").read_text())) or ""
    return " ".join(text.partition("\n\n")[0].split()).partition(":")[0].rstrip(".")


def architecture() -> str:
    """Return the picture of the packages."""
    rows = layers()
    places: dict[str, Box] = {}
    for row, names in enumerate(rows):
        for at, name in enumerate(names):
            x = WIDTH // 2 + (2 * at - len(names) + 1) * (BOX_WIDTH + MARGIN) // 2
            places[name] = Box(name=name, text=purpose(name), x=x, y=MARGIN + row * ROW, pure=is_pure(name))
    for at, name in enumerate(SIDE):
        x = MARGIN + BOX_WIDTH // 2 if at else WIDTH - MARGIN - BOX_WIDTH // 2
        places[name] = Box(name=name, text=purpose(name), x=x, y=MARGIN + 2 * ROW, pure=False)
    arrows = [arrow(places[one], places[other]) for one, other in reduced(imports(places))]
    return page([*arrows, *(box.svg() for box in places.values())], height=len(rows) * ROW)


def arrow(start: Box, end: Box) -> str:
    """Return an arrow from the bottom of one box to the top of another."""
    x, y, to_x, to_y = start.x, start.y + BOX_HEIGHT, end.x, end.y
    middle = (y + to_y) // 2
    return f'<path marker-end="url(#tip)" d="M{x} {y} C{x} {middle} {to_x} {middle} {to_x} {to_y}"/>\n'


def review() -> str:
    """Return the picture of one review."""
    boxes = []
    for at, (module, text) in enumerate(REVIEW):
        if not (ROOT / f"{module.replace('.', '/')}.py").is_file():
            raise SystemExit(f"{module} does not exist: change REVIEW in docs/pictures.py")
        column, row = divmod(at, 4)
        x = WIDTH // 4 + column * WIDTH // 2
        boxes.append(Box(name=module, text=text, x=x, y=MARGIN + row * ROW, pure=is_pure(module)))
    arrows = [arrow(one, other) for one, other in pairwise(boxes) if one.x == other.x]
    last, first = boxes[3], boxes[4]
    x, y = last.x + BOX_WIDTH // 2, last.y + BOX_HEIGHT // 2
    to_x, to_y = first.x - BOX_WIDTH // 2, first.y + BOX_HEIGHT // 2
    middle = (x + to_x) // 2
    arrows.append(f'<path marker-end="url(#tip)" d="M{x} {y} C{middle} {y} {middle} {to_y} {to_x} {to_y}"/>\n')
    return page([*arrows, *(box.svg() for box in boxes)], height=4 * ROW)


def page(parts: Iterable[str], *, height: int) -> str:
    """Return an SVG of these parts."""
    body = "".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">\n'
        f"{STYLE}{body}</svg>\n"
    )


PICTURES = {"architecture.svg": architecture, "review.svg": review}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (ROOT / "docs" / name).write_text(draw())
