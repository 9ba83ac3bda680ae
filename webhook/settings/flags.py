"""A setting is a flag, and a variable of the environment; the flag beats the variable, which beats the default."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from typing import Any

from webhook.settings.definitions import Settings

PREFIX = "EEM_GUARDRAIL_"


class SettingError(ValueError):
    """Tell that a setting has a value that it cannot have; the message names the flag or the variable."""


class _Joined(argparse.Action):
    """Join the values of a repeated flag with commas, as the environment writes them."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Append one value."""
        del parser, option_string
        before = getattr(namespace, self.dest, None)
        setattr(namespace, self.dest, f"{before},{values}" if before else str(values))


DECISION = (
    "mode",
    "strict",
    "sources",
    "ipblock_matches_pods",
    "pod_cidr",
    "ip_families",
    "operator_service_account",
    "eem_version",
    "platform",
    "rule",
)
"""The settings that change verdicts: every command that judges has them."""

CONNECTION = ("kubeconfig", "context")
SERVING = (
    "defaults",
    "bind",
    "https_port",
    "http_port",
    "tls_dir",
    "tls_min_version",
    "drain_seconds",
    "stale_seconds",
    "register",
    "failure_policy",
    "ca_seconds",
    "leaf_seconds",
    "propagation_seconds",
    "service_account_dir",
)
LOGGING = ("log_format", "log_level")


def flag_of(name: str) -> str:
    """Give a setting's flag."""
    return "--" + name.replace("_", "-")


def variable_of(name: str) -> str:
    """Give a setting's environment variable."""
    return PREFIX + name.upper()


def add_flags(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """Add the flags of some settings; their values stay text until `settings_from` reads them."""
    for known in _known(names):
        default = default_of(known)
        text = f"{known.metadata['help']} (default: {default}; {variable_of(known.name)})".replace("%", "%%")
        if known.name == "rule":
            parser.add_argument(
                flag_of(known.name),
                action=_Joined,
                dest=known.name,
                metavar=known.metadata["metavar"],
                help=f"{text}; may be repeated",
            )
        elif known.name == "strict":
            parser.add_argument(flag_of(known.name), action="store_const", const="on", dest=known.name, help=text)
        else:
            parser.add_argument(flag_of(known.name), dest=known.name, metavar=known.metadata["metavar"], help=text)


def settings_from(arguments: argparse.Namespace, environment: Mapping[str, str]) -> Settings:
    """
    Read the settings that a command has: its flags, then the environment, then the defaults.

    Raises:
        SettingError: a value is not one that the setting can have.
    """
    values: dict[str, Any] = {}
    for known in _known(name for name in vars(arguments) if name in _NAMES):
        text, origin = getattr(arguments, known.name), flag_of(known.name)
        if text is None:
            text, origin = environment.get(variable_of(known.name)), variable_of(known.name)
        if text is not None:
            try:
                values[known.name] = known.metadata["read"](text)
            except ValueError as error:
                raise SettingError(f"{origin}: {error}") from error
    return Settings(**values)


_NAMES = frozenset(known.name for known in fields(Settings))


def _known(names: Iterable[str]) -> list[Field[Any]]:
    wanted = set(names)
    return [known for known in fields(Settings) if known.name in wanted]


def default_of(known: Field[Any]) -> str:
    """Say in words what holds where nobody sets it."""
    if known.metadata["shown"]:
        return str(known.metadata["shown"])
    default = known.default
    if default is MISSING or default is None:
        return "none"
    if isinstance(default, bool):
        return "on" if default else "off"
    return f"{default:.12g}" if isinstance(default, float) else str(default)
