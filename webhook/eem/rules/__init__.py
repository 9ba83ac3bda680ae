"""
The rules for EventEndpointManagement and EventGateway: a table that can be read, and what applies it.

Everything here is a function of plain mappings and a `RuleContext`; it knows no cluster and no request.
"""

from webhook.eem.rules.defaults import defaults
from webhook.eem.rules.judge import judge
from webhook.eem.rules.model import Finding, Platform, Reason, Rule, RuleContext, Setting, Severity
from webhook.eem.rules.neighbours import Neighbourhood
from webhook.eem.rules.render import render
from webhook.eem.rules.table import all_rules, severities_of
from webhook.eem.rules.version import FIRST, NEWEST, Version

__all__ = [
    "FIRST",
    "NEWEST",
    "Finding",
    "Neighbourhood",
    "Platform",
    "Reason",
    "Rule",
    "RuleContext",
    "Setting",
    "Severity",
    "Version",
    "all_rules",
    "defaults",
    "judge",
    "render",
    "severities_of",
]
