"""Run the command line: `python -m webhook` is `eem-guardrail`."""

import os
import signal
from types import FrameType

INTERRUPTED = 130
"""The exit status that a shell reports for a program that SIGINT ended."""


def main() -> int:
    """Run one command and return its exit status. Ctrl-C ends it without a traceback, also while modules load."""
    signal.signal(signal.SIGINT, _end)
    from webhook.cli import main as run  # noqa: PLC0415  loading it takes long enough to be interrupted

    return run()


def _end(_signal: int, _frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    raise SystemExit(main())
