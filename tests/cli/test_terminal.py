"""What `check` prints on a terminal: wrapped, and coloured unless NO_COLOR is set."""

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from builders import (
    GATEWAY_KIND,
    ApiObject,
    eem_labels,
    from_,
    instance,
    namespace,
    pod,
    policy,
    port,
)

from webhook.cli.output import NARROWEST
from webhook.cli.progress import DELAY_SECONDS, watched_progress
from webhook.files.file_objects import READ_STATE, STDIN

COLUMNS = 72
PLAIN: Mapping[str, str] = {"NO_COLOR": "1"}
OBJECTS = [namespace("eem"), instance("gw", kind=GATEWAY_KIND)]
DENY = policy("deny", policy_types=["Ingress"])


def shown(  # noqa: PLR0913  each test changes one
    tmp_path: Path,
    columns: int = COLUMNS,
    *,
    objects: Sequence[ApiObject] = OBJECTS,
    change: ApiObject = DENY,
    errors: Path = Path(os.devnull),
    environment: Mapping[str, str] = PLAIN,
) -> str:
    """Return what a terminal of so many columns gets from a refused change; standard error goes to a file."""
    state, changed = tmp_path / "state.json", tmp_path / "change.json"
    state.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    changed.write_text(json.dumps(change))
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    inherited = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "COLUMNS", "TERM"}}
    command = [sys.executable, "-m", "webhook", "check", "--state", str(state), "--apply", str(changed)]
    try:
        with errors.open("wb") as file:
            subprocess.run(
                command, stdout=end, stderr=file, env={**inherited, "TERM": "xterm", **environment}, check=False
            )
        os.close(end)
        return os.read(terminal, 65_536).decode().replace("\r\n", "\n")
    finally:
        os.close(terminal)


def test_a_refusal_is_wrapped_on_a_terminal(tmp_path: Path) -> None:
    """Row 43: no line is longer than the terminal is wide, and the pieces are indented."""
    lines = shown(tmp_path).splitlines()

    assert max(map(len, lines)) <= COLUMNS
    assert lines[:3] == [
        "DENIED  CREATE NetworkPolicy eem/deny",
        "        would cut off required ingress:",
        "        - EventGateway eem/gw: gateway TCP/8092 of future pods (no pod",
    ]
    assert lines[3].startswith("          seen yet) with")


def test_the_advice_begins_with_what_to_add_and_ends_with_the_switch(tmp_path: Path) -> None:
    """Section 3 of the issue: a real pod is cut off; a small edit comes before the switch, `--fix` at the end."""
    old, new = (
        policy("allow", pod_selector={"matchLabels": eem_labels("gw")}, ingress=[from_(ports=[port(number, "TCP")])])
        for number in (8092, 9092)
    )
    state = [
        *OBJECTS,
        namespace("shop"),
        pod("gw-0", labels=eem_labels("gw"), ips=["10.9.0.1"]),
        pod("orders-0", "shop", labels={"app": "orders"}, ips=["10.9.0.2"]),
        old,
    ]
    errors = tmp_path / "errors"
    out = shown(tmp_path, 240, objects=state, change=new, errors=errors)

    assert out.splitlines() == [
        "DENIED  UPDATE NetworkPolicy eem/allow",
        "        would cut off required ingress:",
        (
            "        - EventGateway eem/gw: gateway TCP/8092 of pod gw-0 could not be reached from pod shop/orders-0, "
            "isolated by eem/allow"
        ),
        (
            "        First apply a NetworkPolicy that allows ingress on TCP/8092 without `from` to pods with "
            "app.kubernetes.io/instance=gw, app.kubernetes.io/name=ibm-event-endpoint-management."
        ),
        "        Or add port TCP/8092 to spec.ingress[0].ports.",
        "        Or set spec.deployNetworkPolicies: false on EventGateway gw: then you must open these ports yourself.",
    ]
    assert errors.read_text().splitlines()[-1].startswith("fix: run the command again with --fix")


def test_a_narrow_terminal_wraps_by_itself(tmp_path: Path) -> None:
    """Row 43: names would not fit."""
    assert shown(tmp_path, columns=20) == shown(tmp_path, columns=NARROWEST)


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [
        pytest.param({}, True, id="a terminal"),
        pytest.param({"NO_COLOR": "1"}, False, id="NO_COLOR"),
        pytest.param({"NO_COLOR": ""}, True, id="NO_COLOR is empty"),
        pytest.param({"TERM": "dumb"}, False, id="a dumb terminal"),
    ],
)
def test_words_are_coloured_on_a_terminal_unless_no_color_is_set(
    environment: dict[str, str],
    coloured: bool,  # noqa: FBT001
    tmp_path: Path,
) -> None:
    """Section 3 of the issue: https://no-color.org."""
    assert ("\x1b[1;31mDENIED \x1b[0m CREATE" in shown(tmp_path, environment=environment)) is coloured
    assert ("\x1b" in shown(tmp_path, environment=environment)) is coloured


def test_the_progress_of_reading_is_shown_on_a_terminal(tmp_path: Path) -> None:
    """Row 45: after two seconds; here, the state comes slowly on standard input."""
    change = tmp_path / "change.json"
    change.write_text(json.dumps(DENY))
    command = [sys.executable, "-m", "webhook", "check", "--state", "-", "--apply", str(change)]
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    began, seen = time.monotonic(), b""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=end) as process:
        os.close(end)
        assert process.stdin is not None
        process.stdin.write(b'{"apiVersion": "v1", "kind": "List", "items": [')
        while b"reading: " not in seen:
            process.stdin.write(b" " * 4 * 1024 * 1024)
            if select.select([terminal], [], [], 0.1)[0]:
                seen += os.read(terminal, 65_536)
        took = time.monotonic() - began
        process.stdin.write(b",".join(json.dumps(one).encode() for one in OBJECTS) + b"]}")
        process.stdin.close()
        assert process.wait(timeout=60) == 1
    os.close(terminal)

    assert took > DELAY_SECONDS


def test_no_progress_is_shown_elsewhere() -> None:
    """Standard error is a file here: a log would be full of it."""
    with watched_progress([STDIN], READ_STATE) as watched:
        assert watched is READ_STATE
