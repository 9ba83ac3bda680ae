"""
Stand-ins for the definitions of cert-manager: the fields that the component uses, with their types and values.

Strict validation rejects any other field, as the real definitions reject a misspelt field. The stand-ins do not show
that cert-manager makes certificates from these objects.

Source: cert-manager.io/v1 Certificate and Issuer, deploy/crds in cert-manager's repository.
"""

from typing import Any

Json = dict[str, Any]

GROUP = "cert-manager.io"
_TEXT: Json = {"type": "string"}
_TEXTS: Json = {"type": "array", "items": _TEXT}


def definitions() -> list[Json]:
    """Return a CustomResourceDefinition for each kind."""
    certificate = _fields(
        {
            "isCA": {"type": "boolean"},
            "commonName": _TEXT,
            "secretName": _TEXT,
            "duration": _TEXT,
            "dnsNames": _TEXTS,
            "usages": {
                "type": "array",
                "items": {**_TEXT, "enum": ["digital signature", "key encipherment", "server auth", "client auth"]},
            },
            "privateKey": _fields(
                {
                    "algorithm": {**_TEXT, "enum": ["RSA", "ECDSA", "Ed25519"]},
                    "size": {"type": "integer"},
                    "rotationPolicy": {**_TEXT, "enum": ["Never", "Always"]},
                }
            ),
            "issuerRef": _fields({"name": _TEXT, "kind": _TEXT, "group": _TEXT}, "name"),
        },
        "secretName",
        "issuerRef",
    )
    issuer = _fields(
        {"selfSigned": _fields({"crlDistributionPoints": _TEXTS}), "ca": _fields({"secretName": _TEXT}, "secretName")}
    )
    return [_definition("Certificate", certificate), _definition("Issuer", issuer)]


def _fields(properties: Json, *required: str) -> Json:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


def _definition(kind: str, spec: Json) -> Json:
    plural = f"{kind.lower()}s"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _fields({"spec": spec}, "spec")},
                }
            ],
        },
    }
