"""Send requests with a stolen token, and print the status of each answer."""

import asyncio
import json
import ssl
import sys
from typing import Any

import aiohttp

from harness.plane import HOST, PORT


async def attack(settings: dict[str, Any]) -> list[int]:
    """Send each request with its body, or one that the API server would have to look at before it refused it."""
    context = ssl.create_default_context(cafile=settings["ca"])
    headers = {"Authorization": f"Bearer {settings['token']}", "User-Agent": settings["agent"]}
    statuses = []
    async with aiohttp.ClientSession(base_url=f"https://{HOST}:{PORT}", headers=headers) as session:
        for one in settings["asked"]:
            kind = "application/merge-patch+json" if one["method"] == "PATCH" else "application/json"
            sent = {"Content-Type": kind, **one["headers"]}
            data = None if one["method"] == "GET" else json.dumps(one.get("body", {}))
            async with session.request(one["method"], one["path"], data=data, headers=sent, ssl=context) as answer:
                statuses.append(answer.status)
    return statuses


if __name__ == "__main__":
    print(json.dumps(asyncio.run(attack(json.loads(sys.argv[1])))))
