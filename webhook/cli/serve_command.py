"""`eem-guardrail serve`: the service, its log and its event loop."""

import argparse
import asyncio
import importlib.util
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from webhook import main
from webhook.cli.output import BAD_USAGE, INTERRUPTED
from webhook.cli.state import unreadable
from webhook.cluster.credentials import CredentialsError
from webhook.cluster.garbage_collection import collect_seldom
from webhook.files.file_objects import FilesError
from webhook.server.logs import LineHandler, formatter
from webhook.settings import CONNECTION, DECISION, LOGGING, SERVING, Settings, add_flags, settings_from

STANDARD_ERROR = 2  # its file descriptor
# A thread that reads a large review gives way to the event loop after this time. With Python's 5 ms, an answer, which
# asks for its turn after every system call, takes some 50 ms longer meanwhile.
SWITCH_SECONDS = 0.0005
OUTSIDE = "outside a cluster, use --state, --kubeconfig or --context"
EPILOG = """\
examples:
  eem-guardrail serve
      in a pod, as the manifests run it: watch the cluster, make certificates,
      register the webhook
  eem-guardrail serve --state cluster.json --bind 127.0.0.1 --https-port 9443
      on files that stand for the cluster, with a certificate in memory

exit status:
  0  stopped by SIGTERM, after all reviews in progress were answered
  1  a part of the service failed; the log has the reason
  2  wrong usage, files that cannot be read, or a port that cannot be used
  130  stopped by Ctrl-C"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the files of the state and every setting of the service."""
    parser.add_argument_group("state").add_argument(
        "--state",
        nargs="+",
        action="extend",
        metavar="PATH",
        help="files or folders that stand for the cluster; they are read again when they change "
        "(default: watch the cluster)",
    )
    for title, names in (
        ("verdicts", DECISION),
        ("serving", SERVING),
        ("log", LOGGING),
        ("cluster, from outside", CONNECTION),
    ):
        add_flags(parser.add_argument_group(title), names)


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal."""
    settings = settings_from(arguments, os.environ)
    if settings.tls_dir is not None and not settings.tls_dir.is_dir():
        print(f"eem-guardrail serve: --tls-dir: {settings.tls_dir} is not a folder", file=sys.stderr)
        return BAD_USAGE
    if settings.tls_dir is None and not arguments.state and not main.is_inside(settings):
        print("eem-guardrail serve: outside a cluster, set --tls-dir, or use --state", file=sys.stderr)
        return BAD_USAGE
    start_logging(settings)
    collect_seldom()
    return run_loop("serve", _serve(settings, arguments.state))


async def _serve(settings: Settings, state: list[str] | None) -> int:
    if state:
        service = await main.from_files(settings, state)
    else:
        try:
            service = await main.from_cluster(settings)
        except CredentialsError as error:
            raise CredentialsError(f"{error}; {OUTSIDE}" if main.is_inside(settings) else str(error)) from error
    return await service.run()


def start_logging(settings: Settings) -> None:
    """Send the log to standard error, in the format of the settings."""
    handler = LineHandler(STANDARD_ERROR)
    handler.setFormatter(formatter(settings.log_format))
    # No line shows its source position, thread or process: finding them takes half the time of a line.
    logging._srcfile = None  # noqa: SLF001  as the library's own HOWTO advises
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)


def run_loop(command: str, work: Coroutine[Any, Any, int]) -> int:
    """Run *work* on the fastest event loop that is installed, and return its exit status."""
    on_interrupt = signal.getsignal(signal.SIGINT)
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(work)
    except FilesError as error:
        print(f"eem-guardrail {command}: {unreadable(error)}", file=sys.stderr)
    except (CredentialsError, OSError) as error:
        print(f"eem-guardrail {command}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, on_interrupt)  # the loop has replaced it
    return BAD_USAGE


def _loop_factory() -> Any:
    if importlib.util.find_spec("uvloop") is None:
        return asyncio.new_event_loop
    import uvloop  # noqa: PLC0415  an extra: it is imported if it is installed

    return uvloop.new_event_loop
