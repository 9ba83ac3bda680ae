"""
What EEM needs: its instances, their components and pods, and the ingress that they require.

Pure: it knows the product and NetworkPolicies, and neither admission nor where the objects come from. The snapshot,
with all rules behind it, is imported when it is asked for: who only reads files needs none.
"""

from typing import TYPE_CHECKING

from webhook.eem.faults import faults_of, read
from webhook.eem.resources import OPTIONAL_KINDS, WATCHED, ResourceType

if TYPE_CHECKING:
    from webhook.eem.eem_snapshot import EemSnapshot

__all__ = ["OPTIONAL_KINDS", "WATCHED", "EemSnapshot", "ResourceType", "faults_of", "read"]


def __getattr__(name: str) -> object:
    """Import the snapshot."""
    if name == "EemSnapshot":
        from webhook.eem.eem_snapshot import EemSnapshot  # noqa: PLC0415  see above

        return EemSnapshot
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
