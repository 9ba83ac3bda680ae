"""
The rules for EventEndpointManagement and EventGateway: a table that can be read, and what applies it.

Everything here is a function of plain mappings and a `RuleContext`; it knows no cluster and no request.
"""

from webhook.eem.rules.conformance import installed_version, stored_form
from webhook.eem.rules.defaults import defaults
from webhook.eem.rules.judgement import judge
from webhook.eem.rules.neighbours import Neighbourhood
from webhook.eem.rules.object_rules import TOO_LARGE
from webhook.eem.rules.product_version import FIRST, NEWEST, ProductVersion
from webhook.eem.rules.rule import Platform, Rule, RuleContext, RuleSetting, Severity, Violation
from webhook.eem.rules.rule_table import all_rules, render, severities_of

__all__ = [
    "FIRST",
    "NEWEST",
    "TOO_LARGE",
    "Neighbourhood",
    "Platform",
    "ProductVersion",
    "Rule",
    "RuleContext",
    "RuleSetting",
    "Severity",
    "Violation",
    "all_rules",
    "defaults",
    "installed_version",
    "judge",
    "render",
    "severities_of",
    "stored_form",
]
