"""Run the service from the command line: its log, its event loop, and what stops it from starting."""

import asyncio
import importlib.util
import logging
import sys
from collections.abc import Coroutine
from typing import Any

from webhook.cluster.credentials import CredentialsError
from webhook.files.file_objects import FilesError
from webhook.server.logs import LineHandler, formatter
from webhook.settings import Settings

BAD_USAGE = 2
STANDARD_ERROR = 2  # its file descriptor


def start_logging(settings: Settings) -> None:
    """Send the log to standard error in the form that was asked for."""
    handler = LineHandler(STANDARD_ERROR)
    handler.setFormatter(formatter(settings.log_format))
    # No line shows who wrote it, in which thread and process: to find that out takes half the time of a line.
    logging._srcfile = None  # noqa: SLF001  as the library's own HOWTO advises
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)


def run_loop(command: str, work: Coroutine[Any, Any, int]) -> int:
    """Run *work* to its end on the fastest event loop that is installed, and give its exit status."""
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(work)
    except (CredentialsError, FilesError) as error:
        print(f"eem-guardrail {command}: {error}", file=sys.stderr)
    except OSError as error:
        print(f"eem-guardrail {command}: cannot listen: {error.strerror or error}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return BAD_USAGE


def _loop_factory() -> Any:
    if importlib.util.find_spec("uvloop") is None:
        return asyncio.new_event_loop
    import uvloop  # noqa: PLC0415  an extra: it is imported where it is installed

    return uvloop.new_event_loop
