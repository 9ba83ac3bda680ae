"""
Every setting of the service and of the command line.

A setting is a flag. The service also reads it from the environment variable EEM_GUARDRAIL_<FLAG>. The flag wins over
the variable, and the variable over the default.
"""

from webhook.settings.flags import SettingError, add_flags, flag_of, settings_from, variable_of
from webhook.settings.setting_fields import CONNECTION, DECISION, LOGGING, SERVING, Settings

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
