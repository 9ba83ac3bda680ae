"""`eem-guardrail serve`: the service itself."""

import argparse
import os
import sys

from webhook import main
from webhook.cli.running import BAD_USAGE, run_loop, start_logging
from webhook.cluster.garbage_collection import collect_seldom
from webhook.settings import CONNECTION, DECISION, LOGGING, SERVING, Settings, add_flags, settings_from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the state's files and every setting of the service."""
    parser.add_argument(
        "--state",
        nargs="+",
        action="extend",
        metavar="PATH",
        help="files or folders that stand for the cluster, read again when they change (default: watch the cluster)",
    )
    add_flags(parser, (*DECISION, *SERVING, *LOGGING, *CONNECTION))


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal."""
    settings = settings_from(arguments, os.environ)
    if settings.tls_dir is not None and not settings.tls_dir.is_dir():
        print(f"eem-guardrail serve: --tls-dir: {settings.tls_dir} is not a folder", file=sys.stderr)
        return BAD_USAGE
    if settings.tls_dir is None and not arguments.state and not main.is_inside(settings):
        print("eem-guardrail serve: --tls-dir must be given outside a cluster, or --state", file=sys.stderr)
        return BAD_USAGE
    start_logging(settings)
    collect_seldom()
    return run_loop("serve", _serve(settings, arguments.state))


async def _serve(settings: Settings, state: list[str] | None) -> int:
    service = await (main.from_files(settings, state) if state else main.from_cluster(settings))
    return await service.run()
