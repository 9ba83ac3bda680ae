"""
Make the screenshots of the report page: `python -m docs.screenshots`.

They show docs/examples/cluster.yaml as it is, and without one of its policies, and docs/examples/alert before and after
its policy is mended, in Chromium, which must be installed.
"""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from playwright.sync_api import Browser, sync_playwright

ROOT: Final = Path(__file__).resolve().parent.parent
STATE: Final = ROOT / "docs/examples/cluster.yaml"
FOLDER: Final = ROOT / "docs/screenshots"
TAKEN_AWAY: Final = "gw-ingress"
ALERT: Final = ROOT / "docs/examples/alert"
WIDE: Final = {"viewport": {"width": 1000, "height": 690}}
SHAPES: Final[Mapping[str, Mapping[str, Any]]] = {
    "-light": WIDE,
    "-dark": {**WIDE, "color_scheme": "dark"},
    "-phone": {"viewport": {"width": 390, "height": 844}},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """
    A page.

    Args:
        state: the file with the cluster.
        without: the name of an object that is left out.
        instead: a file with objects that replace those of the same name.
        fragment: what is chosen on the page.
        shapes: the settings of the browser, by the end of the file's name.
    """

    state: Path
    without: str = ""
    instead: Path | None = None
    fragment: str = ""
    shapes: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: SHAPES)

    def html(self) -> str:
        """Return the page as the command prints it."""
        changed = [] if self.instead is None else list(yaml.safe_load_all(self.instead.read_text()))
        gone = {self.without, *(one["metadata"]["name"] for one in changed)}
        objects = [one for one in yaml.safe_load_all(self.state.read_text()) if one["metadata"]["name"] not in gone]
        command = [sys.executable, "-m", "webhook", "report", "--state", "-", "-o", "html"]
        state = yaml.safe_dump_all([*objects, *changed])
        return subprocess.run(command, cwd=ROOT, input=state, capture_output=True, text=True, check=True).stdout


PAGES: Final = {
    "healthy": Shown(state=STATE, fragment=f"#in=eem&policy={TAKEN_AWAY}"),
    "broken": Shown(state=STATE, without=TAKEN_AWAY),
    "alert": Shown(state=ALERT / "state.yaml", shapes={"": WIDE}),
    "mended": Shown(state=ALERT / "state.yaml", instead=ALERT / "mended.yaml", shapes={"": WIDE}),
}


def take(browser: Browser, folder: Path) -> None:
    """Write every screenshot into *folder*."""
    for name, shown in PAGES.items():
        for shape, settings in shown.shapes.items():
            context = browser.new_context(**settings)
            page = context.new_page()
            with tempfile.NamedTemporaryFile("w", suffix=".html") as file:
                file.write(shown.html())
                file.flush()
                page.goto(f"file://{file.name}{shown.fragment}")
                page.locator("svg").wait_for()
                page.evaluate("scrollTo(0, 0)")
                page.wait_for_function("document.getAnimations().length === 0")
                page.screenshot(path=folder / f"{name}{shape}.png")
            context.close()


def main(browser_command: str) -> None:
    """Make the folder and the screenshots."""
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_command)
        take(browser, FOLDER)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else "/usr/bin/chromium")
