"""
What EEM needs: its instances, their components and pods, and the ingress that they require.

Pure: it knows the product and NetworkPolicies, and neither admission nor where the objects come from.
"""

from webhook.eem.resources import OPTIONAL_KINDS, WATCHED, ResourceType
from webhook.eem.snapshot import EemSnapshot, faults_of

__all__ = ["OPTIONAL_KINDS", "WATCHED", "EemSnapshot", "ResourceType", "faults_of"]
