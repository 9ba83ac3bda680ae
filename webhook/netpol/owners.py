"""Read whose an object is. Source: metav1.OwnerReference."""

from collections.abc import Mapping
from typing import Any

from webhook.netpol.model import OwnerReference
from webhook.netpol.reading import Faults, boolean, items, mapping, string


def read_owners(metadata: Mapping[str, Any], faults: Faults) -> tuple[OwnerReference, ...]:
    """Read `metadata.ownerReferences`."""
    return tuple(
        OwnerReference(
            api_version=string(owner.get("apiVersion"), f"{path}.apiVersion", faults),
            kind=string(owner.get("kind"), f"{path}.kind", faults),
            name=string(owner.get("name"), f"{path}.name", faults),
            uid=string(owner.get("uid"), f"{path}.uid", faults),
            controller=boolean(owner.get("controller"), f"{path}.controller", faults) is True,
        )
        for path, item in items(
            {"ownerReferences": None, **metadata}["ownerReferences"], "metadata.ownerReferences", faults
        )
        for owner in (mapping(item, path, faults),)
    )
