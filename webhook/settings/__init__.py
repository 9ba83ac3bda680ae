"""
Every setting of the service and of the command line.

A setting is a flag; the service also reads it from the environment as EEM_GUARDRAIL_<FLAG>. A flag beats the
environment, the environment beats the default. Whoever adds a field to `Settings` gets the flag, the variable and the
documentation of both.
"""

from webhook.settings.definitions import Settings
from webhook.settings.flags import (
    CONNECTION,
    DECISION,
    LOGGING,
    SERVING,
    SettingError,
    add_flags,
    flag_of,
    settings_from,
    variable_of,
)

__all__ = [
    "CONNECTION",
    "DECISION",
    "LOGGING",
    "SERVING",
    "SettingError",
    "Settings",
    "add_flags",
    "flag_of",
    "settings_from",
    "variable_of",
]
