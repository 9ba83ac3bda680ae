"""
Make of a manifest what `kubectl apply`, `kubectl replace` and `kubectl create` make of it, over the object as it is.

Source: k8s.io/kubectl pkg/cmd/apply, pkg/util/apply.go (GetModifiedConfiguration); k8s.io/kubernetes
pkg/apis/networking/v1/defaults.go.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, get_args

from webhook.files.server_side_apply import server_side_merge
from webhook.files.three_way_merge import json_merge, strategic_merge

ApplyMode = Literal["apply", "server-side", "replace", "create"]
APPLY_MODES: Final[tuple[ApplyMode, ...]] = get_args(ApplyMode)

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_OF_KUBERNETES: Final = frozenset({"", "apps", "batch", "networking.k8s.io", "storage.k8s.io"})
"""The groups whose kinds kubectl knows; the others are custom resources."""

_OF_THE_SERVER: Final = (
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
)
"""The metadata that no manifest changes."""

ApiObject = Mapping[str, Any]


class ApplyError(Exception):
    """Raised when kubectl would report an error instead of changing the object; the message is for the user."""


def applied(manifest: ApiObject, live: ApiObject | None, mode: ApplyMode) -> ApiObject:
    """
    Return the object as the API server stores it after a command of kubectl.

    Args:
        manifest: the object of the file.
        live: the object as it is; None where there is none.
        mode: the command; `replace` creates an object that does not exist.

    Raises:
        ApplyError: kubectl would report an error.
    """
    if live is None:
        return with_defaults(_annotated(manifest) if mode == "apply" else manifest)
    match mode:
        case "create":
            raise ApplyError(f"--apply-mode create: {_name(manifest)} exists already")
        case "replace":
            made = manifest
        case "server-side":
            made, conflicts = server_side_merge(manifest, with_defaults(live))
            if conflicts:
                raise ApplyError(f"--apply-mode server-side: {_name(manifest)}: conflict: {'; '.join(conflicts)}")
        case _:
            made = _client_side(manifest, with_defaults(live))
    return with_defaults(_with_fields_of_the_server(made, live))


def with_defaults(api_object: ApiObject) -> ApiObject:
    """Return an object with the defaults of the API server that change what a later merge does."""
    spec = api_object.get("spec")
    if api_object.get("kind") != "NetworkPolicy" or not isinstance(spec, Mapping) or spec.get("policyTypes"):
        return api_object
    types = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    return {**api_object, "spec": {**spec, "policyTypes": types}}


def kept_fields(manifest: ApiObject, made: ApiObject) -> tuple[str, ...]:
    """Return the fields of the spec that a merge has kept, although the manifest does not have them."""
    wanted, spec = with_defaults(manifest).get("spec"), made.get("spec")
    return tuple(_only_in_second(wanted, spec, "spec"))


def _only_in_second(first: object, second: object, path: str) -> Iterator[str]:
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key, value in second.items():
            if key not in first and value not in ({}, []):
                yield f"{path}.{key}"
            else:
                yield from _only_in_second(first.get(key), value, f"{path}.{key}")


def _client_side(manifest: ApiObject, live: ApiObject) -> dict[str, Any]:
    text = _mapping(_mapping(live.get("metadata")).get("annotations")).get(LAST_APPLIED)
    try:
        last = None if text is None else json.loads(text)
    except (TypeError, ValueError) as error:
        raise ApplyError(f"--apply: {_name(live)}: cannot read the annotation {LAST_APPLIED}: {error}") from error
    merge = strategic_merge if str(live.get("apiVersion")).rpartition("/")[0] in _OF_KUBERNETES else json_merge
    return merge(last, _annotated(manifest), live)


def _annotated(manifest: ApiObject) -> dict[str, Any]:
    """Return a manifest with the annotation by which the next `kubectl apply` knows what this one had."""
    metadata = _mapping(manifest.get("metadata"))
    written = _mapping(metadata.get("annotations")).items()
    annotations = {key: "" if value is None else value for key, value in written if key != LAST_APPLIED}
    plain = {**manifest, "metadata": {**metadata, "annotations": annotations}}
    text = json.dumps(plain, separators=(",", ":"), sort_keys=True, ensure_ascii=False) + "\n"
    return {**plain, "metadata": {**metadata, "annotations": {**annotations, LAST_APPLIED: text}}}


def _with_fields_of_the_server(made: ApiObject, live: ApiObject) -> dict[str, Any]:
    known = _mapping(live.get("metadata"))
    own = {key: value for key, value in _mapping(made.get("metadata")).items() if key not in _OF_THE_SERVER}
    kept = {key: known[key] for key in _OF_THE_SERVER if key in known}
    result = {key: value for key, value in made.items() if key != "status"}
    status = {"status": live["status"]} if "status" in live else {}
    return {**result, "metadata": {**own, **kept}, **status}


def _name(api_object: ApiObject) -> str:
    metadata = _mapping(api_object.get("metadata"))
    names = (metadata.get("namespace"), metadata.get("name"))
    return f"{api_object.get('kind')} {'/'.join(str(name) for name in names if name)}"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
