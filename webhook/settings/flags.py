"""Read each setting from its flag, else from its environment variable, else from its default."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from typing import Any, Final

from webhook.settings.setting_fields import Settings

PREFIX: Final = "EEM_GUARDRAIL_"


class SettingError(ValueError):
    """Raised when a setting has a value that it cannot have; the message names the flag or the variable."""


class _Joined(argparse.Action):
    """Join the values of a repeated flag with commas, the form that the environment variable has."""

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


def flag_of(name: str) -> str:
    """Return the flag of a setting."""
    return "--" + name.replace("_", "-")


def variable_of(name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + name.upper()


def add_flags(parser: argparse._ActionsContainer, names: Iterable[str]) -> None:
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
    Return the settings of a command: from its flags, then from the environment, then the defaults.

    Raises:
        SettingError: a value is not one that the setting can have.
    """
    values: dict[str, Any] = {}
    for known in _known(vars(arguments)):
        text, origin = getattr(arguments, known.name), flag_of(known.name)
        if text is None:
            text, origin = environment.get(variable_of(known.name)), variable_of(known.name)
        if text is not None:
            try:
                values[known.name] = known.metadata["read"](text)
            except ValueError as error:
                raise SettingError(f"{origin}: {error}") from error
    return Settings(**values)


def _known(names: Iterable[str]) -> list[Field[Any]]:
    wanted = set(names)
    return [known for known in fields(Settings) if known.name in wanted]


def default_of(known: Field[Any]) -> str:
    """Return the text that shows the default of a setting."""
    if known.metadata["shown"]:
        return str(known.metadata["shown"])
    default = known.default
    if default is MISSING or default is None:
        return "none"
    if isinstance(default, bool):
        return "on" if default else "off"
    return f"{default:.12g}" if isinstance(default, float) else str(default)
