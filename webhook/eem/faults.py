"""Read one API object and tell what is wrong with its form: what a file may not hold, whoever reads it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from webhook.eem.instances import Instance, read_instance
from webhook.netpol.faults import Fault
from webhook.netpol.reading import Faults, mapping, strings
from webhook.netpol.snapshot import Parsed, read_object


def read(api_object: Mapping[str, Any]) -> tuple[Parsed | Instance | None, tuple[Fault, ...]]:
    """Read one API object, and give every structural fault of it; None for a kind that does not matter."""
    faults = Faults()
    instance = read_instance(api_object, faults)
    if instance is None:
        return read_object(api_object)
    if not instance.name:
        faults.add("metadata.name", "must be set", "Required")
    metadata = mapping(api_object.get("metadata"), "metadata", Faults())
    for key in ("labels", "annotations"):
        strings(metadata.get(key), f"metadata.{key}", faults)
    owner = f"{instance.namespace}/{instance.name or '(no name)'}"
    return instance, tuple(replace(fault, kind=instance.kind, name=owner) for fault in faults.found)


def faults_of(api_object: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Give every structural fault of one API object; none for a kind that does not matter."""
    return read(api_object)[1]
