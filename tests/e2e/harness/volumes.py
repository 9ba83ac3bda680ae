"""Write what a pod's volumes hold, as the kubelet does."""

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.api import ApiClient

Json = Mapping[str, Any]


class UnsupportedVolumeError(ValueError):
    """Raised when the stand-in does not know a kind of volume; a test that needs the kind must add it."""


async def write_volume(client: ApiClient, pod: Json, volume: Json, folder: Path) -> None:
    """
    Fill *folder* with what *volume* of *pod* holds.

    Raises:
        ApiError: with status 404, what it names is not there (yet).
    """
    namespace = pod["metadata"]["namespace"]
    match volume:
        case {"emptyDir": _}:
            return
        case {"secret": {"secretName": name} as source}:
            await write_keys(client, f"/api/v1/namespaces/{namespace}/secrets/{name}", source, folder)
        case {"configMap": {"name": name} as source}:
            await write_keys(client, f"/api/v1/namespaces/{namespace}/configmaps/{name}", source, folder)
        case {"projected": {"sources": sources}}:
            for source in sources:
                await write_projection(client, pod, source, folder)
        case _:
            raise UnsupportedVolumeError(f"volume {volume.get('name')}")


async def write_projection(client: ApiClient, pod: Json, source: Json, folder: Path) -> None:
    """Write one source of a projected volume."""
    match source:
        case {"serviceAccountToken": wanted}:
            replace_file(folder / wanted["path"], (await request_token(client, pod, wanted)).encode())
        case {"downwardAPI": {"items": items}}:
            for item in items:
                (folder / item["path"]).write_text(field_of(pod, item["fieldRef"]["fieldPath"]))
        case _:
            await write_volume(client, pod, source, folder)


async def request_token(client: ApiClient, pod: Json, wanted: Json) -> str:
    """Ask for a token that is bound to the pod (TokenRequest)."""
    metadata = pod["metadata"]
    account = f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{pod['spec']['serviceAccountName']}"
    bound = {"kind": "Pod", "apiVersion": "v1", "name": metadata["name"], "uid": metadata["uid"]}
    spec = {
        "audiences": [wanted["audience"]] if "audience" in wanted else [],
        "expirationSeconds": wanted.get("expirationSeconds", 3600),
        "boundObjectRef": bound,
    }
    answer = await client.ask("POST", f"{account}/token", {"spec": spec})
    return str(answer["status"]["token"])


async def write_keys(client: ApiClient, path: str, source: Json, folder: Path) -> None:
    """Write the keys of a Secret or a ConfigMap, or those that are picked, as files."""
    found = await client.ask("GET", path)
    contents = dict(decoded(found))
    picked = {item["key"]: item["path"] for item in source.get("items", ())} or {key: key for key in contents}
    for key, name in picked.items():
        replace_file(folder / name, contents[key])


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new one, never a part."""
    written = path.with_name(f".{path.name}")
    written.write_bytes(content)
    written.replace(path)


def decoded(found: Json) -> Iterator[tuple[str, bytes]]:
    """Yield the keys of a Secret or ConfigMap with their bytes."""
    for key, value in (found.get("data") or {}).items():
        yield key, base64.b64decode(value) if found["kind"] == "Secret" else value.encode()


def field_of(pod: Json, path: str) -> str:
    """Read the field of *pod* that a fieldRef names."""
    value: Any = pod
    for part in path.split("."):
        value = value[part]
    return str(value)
