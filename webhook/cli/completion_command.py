"""`eem-guardrail completion`: the script with which a shell completes commands, options and their values."""

import argparse
from typing import Any, Final

from webhook.cli import COMMANDS, parser_with
from webhook.cli.output import ALLOWED, show

EPILOG: Final = """\
examples:
  source <(eem-guardrail completion bash)
  eem-guardrail completion zsh > ~/.zfunc/_eem-guardrail
  eem-guardrail completion fish > ~/.config/fish/completions/eem-guardrail.fish

The folder of the zsh script has to be in $fpath, before compinit is run.

exit status: 0, or 2 for an unknown shell"""

SHELLS: Final = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the shell."""
    parser.add_argument("shell", choices=SHELLS, help="the shell that reads the script")


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    import shtab  # noqa: PLC0415  no other command needs it

    parser = parser_with(COMMANDS)
    for action in _actions(parser):
        if "PATH" in str(action.metavar) or action.metavar in {"FILE", "DIR"}:
            action.complete = shtab.DIRECTORY if action.metavar == "DIR" else shtab.FILE
    show(shtab.complete(parser, shell=arguments.shell))
    return ALLOWED


def _actions(parser: argparse.ArgumentParser) -> list[Any]:
    """Return the arguments of a parser and of its commands."""
    own = list(parser._actions)  # noqa: SLF001  as shtab itself, since argparse has no other way
    commands = [one for one in own if isinstance(one, argparse._SubParsersAction)]  # noqa: SLF001
    return own + [action for one in commands for command in one.choices.values() for action in _actions(command)]
