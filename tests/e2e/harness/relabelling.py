"""Change labels of pods thousands of times, with reviews beside it, and print how the reviews were answered."""

import asyncio
import json
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any

from harness.api import ApiClient, ApiError
from harness.plane import ADMIN_TOKEN, HOST, PORT

MOST_AT_ONCE = 16


async def relabel(client: ApiClient, settings: dict[str, Any]) -> None:
    """Set the label of each pod to one value after the other; null removes it."""
    turns = asyncio.Semaphore(MOST_AT_ONCE)

    async def change(pod: str) -> None:
        for value in settings["values"]:
            body = {"metadata": {"labels": {settings["label"]: value}}}
            async with turns:
                await client.ask("PATCH", f"/api/v1/namespaces/{settings['namespace']}/pods/{pod}", body)

    await asyncio.gather(*(change(pod) for pod in settings["pods"]))


async def review(client: ApiClient, policies: list[dict[str, Any]], ended: asyncio.Event) -> list[list[Any]]:
    """Try each policy again and again; return its name, the status of the answer and the seconds that it took."""
    found: list[list[Any]] = []
    for number in count():
        if ended.is_set():
            break
        policy = policies[number % len(policies)]["metadata"]
        path = f"/apis/networking.k8s.io/v1/namespaces/{policy['namespace']}/networkpolicies?dryRun=All"
        began, status = time.monotonic(), 201
        try:
            await client.ask("POST", path, policies[number % len(policies)])
        except ApiError as error:
            status = error.status
        found.append([policy["name"], status, time.monotonic() - began])
    return found


async def run(settings: dict[str, Any]) -> dict[str, Any]:
    """Do both; without policies there is no review."""
    client, ended = ApiClient(f"https://{HOST}:{PORT}", Path(settings["ca"]), ADMIN_TOKEN), asyncio.Event()
    began = time.monotonic()
    reviewing = asyncio.create_task(review(client, settings["policies"], ended)) if settings["policies"] else None
    try:
        await relabel(client, settings)
        seconds = time.monotonic() - began
        ended.set()
        return {"seconds": seconds, "reviews": [] if reviewing is None else await reviewing}
    finally:
        await client.close()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.loads(sys.argv[1])))))
