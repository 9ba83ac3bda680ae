"""
What EEM needs: its instances, their components and pods, and the ingress that they require.

Pure: it knows the product and NetworkPolicies. It knows neither admission nor where the objects come from.
"""

from webhook.eem.eem_snapshot import EemSnapshot, read
from webhook.eem.policy_kinds import ForeignPolicy, PolicyKind
from webhook.eem.resources import OPTIONAL_KINDS, WATCHED, ResourceType

__all__ = ["OPTIONAL_KINDS", "WATCHED", "EemSnapshot", "ForeignPolicy", "PolicyKind", "ResourceType", "read"]
