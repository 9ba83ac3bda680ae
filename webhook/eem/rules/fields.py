"""
Rows of the schema: what one field of an instance may hold, and from which version to which.

The tables themselves stand in manager_fields.py and gateway_fields.py; what both kinds share is here.
"""

from dataclasses import dataclass, replace
from typing import Literal

from webhook.eem.rules.formats import (
    Format,
    annotations,
    data_key,
    host,
    http_url,
    json_pointer,
    labels,
    object_name,
)
from webhook.eem.rules.version import FIRST, Version

Type = Literal["string", "integer", "boolean", "object", "array", "map", "opaque"]

CRD = "CRD of EEM 11.8.1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One value that a field may have, and since when."""

    value: str
    since: Version = FIRST


@dataclass(frozen=True, kw_only=True, slots=True)
class Deprecation:
    """Since when a field is deprecated, and what takes its place."""

    since: Version
    instead: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """
    One row.

    Args:
        path: with `[]` for the entries of a list.
        type: `map` holds texts by any key; `opaque` is an object that is not looked into.
        required: whenever the parent is there.
        required_until: the last version in which it is required; None for all.
        only_item: the list has exactly one entry.
        format: what finds fault with a value of the right type.
        never_empty: an empty text is a fault of the format too.
        rule_name: what rule ids call the field; its path where empty.
        source: of the limits beyond the CRD.
    """

    path: str
    type: Type
    since: Version = FIRST
    required: bool = False
    required_until: Version | None = None
    choices: tuple[Choice, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    only_item: bool = False
    format: Format | None = None
    never_empty: bool = False
    deprecated: Deprecation | None = None
    rule_name: str = ""
    source: str = CRD

    @property
    def name(self) -> str:
        """What rule ids call the field: the path without `spec.` and `[]`, the entries of a list apart."""
        plain = self.path.removesuffix("[]") + (".items" if self.path.endswith("[]") else "")
        return self.rule_name or plain.replace("[]", "").removeprefix("spec.")


def v(text: str) -> Version:
    """Read a version in a table."""
    return Version.parse(text)


def choices(*values: str) -> tuple[Choice, ...]:
    """Return values that every version knows."""
    return tuple(Choice(value=value) for value in values)


def strings(prefix: str, *names: str, since: Version = FIRST) -> tuple[Field, ...]:
    """Return optional texts of any content."""
    return tuple(Field(path=f"{prefix}.{name}", type="string", since=since) for name in names)


def keys(prefix: str, *names: str, since: Version = FIRST) -> tuple[Field, ...]:
    """Return optional names of entries of a Secret."""
    return tuple(Field(path=f"{prefix}.{name}", type="string", since=since, format=data_key) for name in names)


def secret(path: str, *, since: Version = FIRST, required: bool = False) -> Field:
    """Return the name of a Secret; empty counts as not set."""
    return Field(path=path, type="string", since=since, required=required, format=object_name)


def deprecated(rows: tuple[Field, ...], *, since: Version, instead: str) -> tuple[Field, ...]:
    """Return the same rows, deprecated."""
    note = Deprecation(since=since, instead=instead)
    return tuple(replace(row, deprecated=note) for row in rows)


def licence() -> tuple[Field, ...]:
    """Return what both kinds require first of all."""
    return (
        Field(path="spec", type="object", required=True, source="EEM 11.8 references: licence is required"),
        Field(path="spec.license", type="object", required=True),
        Field(path="spec.license.accept", type="boolean", required=True),
        *(Field(path=f"spec.license.{name}", type="string", required=True) for name in ("license", "metric", "use")),
        Field(path="spec.deployNetworkPolicies", type="boolean"),
    )


def certificate_reference(path: str, *, since: Version = FIRST, required: bool = True) -> tuple[Field, ...]:
    """Return a certificate in a Secret: `{secretName, certificate}`."""
    return (
        Field(path=path, type="object", since=since),
        secret(f"{path}.secretName", since=since, required=required),
        Field(path=f"{path}.certificate", type="string", since=since, required=required, format=data_key),
    )


def trusted_certificates(prefix: str) -> tuple[Field, ...]:
    """Return the list of certificates that an instance trusts."""
    path = f"{prefix}.trustedCertificates"
    return Field(path=path, type="array"), *certificate_reference(f"{path}[]")


def server_certificate(prefix: str, *, since: Version = FIRST) -> tuple[Field, ...]:
    """Return a key pair in a Secret and the names of its entries."""
    return (
        secret(f"{prefix}.secretName", since=since),
        *keys(prefix, "key", "serverCertificate", "caCertificate", since=since),
    )


def endpoints(prefix: str) -> tuple[Field, ...]:
    """Return the list of named endpoints."""
    path = f"{prefix}.endpoints"
    return (
        Field(path=path, type="array"),
        Field(path=f"{path}[]", type="object"),
        Field(path=f"{path}[].name", type="string", required=True),
        *exposure(f"{path}[]"),
        *strings(f"{path}[]", "type", since=v("11.1.0")),
    )


def exposure(prefix: str, *, since: Version = FIRST) -> tuple[Field, ...]:
    """Return what says how an endpoint is reached from outside."""
    return (
        Field(path=f"{prefix}.host", type="string", since=since, format=host),
        Field(path=f"{prefix}.class", type="string", since=since),
        Field(path=f"{prefix}.annotations", type="map", since=since, format=annotations),
    )


def telemetry(prefix: str, *, enablement_since: str) -> tuple[Field, ...]:
    """Return OpenTelemetry's settings, the same in both kinds but for when the enablement lists came."""
    path, since = f"{prefix}.openTelemetry", v("11.3.1")
    lists = (("instrumentations", since), *((f"{n}Enablement", v(enablement_since)) for n in ("metrics", "traces")))
    return (
        Field(path=path, type="object", since=since),
        Field(
            path=f"{path}.endpoint",
            type="string",
            since=since,
            required=True,
            format=http_url,
            never_empty=True,
            source="EEM 11.8, exporting metrics",
        ),
        *strings(path, "protocol", since=since),
        Field(path=f"{path}.interval", type="integer", since=since),
        Field(path=f"{path}.tls", type="object", since=since),
        secret(f"{path}.tls.secretName", since=since),
        *keys(f"{path}.tls", "clientKey", "clientCertificate", since=since),
        *certificate_reference(f"{path}.tls.trustedCertificate", since=since),
        *(row for name, first in lists for row in _enablement(f"{path}.{name}", first)),
    )


def _enablement(path: str, since: Version) -> tuple[Field, ...]:
    return (
        Field(path=path, type="array", since=since),
        Field(path=f"{path}[]", type="object", since=since),
        Field(path=f"{path}[].name", type="string", since=since, required=True),
        Field(path=f"{path}[].enabled", type="boolean", since=since),
    )


def operations(prefix: str) -> tuple[Field, ...]:
    """Return what both kinds have for running the pods: FIPS, template, trace."""
    return (
        Field(path=f"{prefix}.fips", type="object", since=v("11.1.0")),
        Field(
            path=f"{prefix}.fips.mode",
            type="string",
            since=v("11.1.0"),
            choices=choices("wall"),
            source="EEM 11.8 references, fips.mode",
        ),
        Field(path=f"{prefix}.template", type="object"),
        Field(path=f"{prefix}.template.labels", type="map", format=labels),
        Field(path=f"{prefix}.template.annotations", type="map", format=annotations),
        Field(path=f"{prefix}.template.pod", type="object"),
        Field(path=f"{prefix}.template.pod.spec", type="opaque"),
        *strings(prefix, "traceSpec", since=v("11.5.1")),
    )


def pointers(prefix: str, **since: str) -> tuple[Field, ...]:
    """Return fields that hold a JSON pointer, each with the version that brought it."""
    return tuple(
        Field(
            path=f"{prefix}.{name}",
            type="string",
            since=v(first),
            format=json_pointer,
            source="RFC 6901; EEM 11.8 manager reference",
        )
        for name, first in since.items()
    )
