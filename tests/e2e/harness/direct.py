"""Ask one replica itself, as the API server would, and print each answer: for when there is no API server."""

import asyncio
import json
import ssl
import sys
from http import HTTPStatus
from typing import Any

import aiohttp

from harness.handshakes import PORT

PATH = "/validate-networkpolicy?timeout=5s"
PROBES_PORT = 8080


async def ask(settings: dict[str, Any]) -> dict[str, Any]:
    """
    Send the review that many times, and return what the replica reports about itself.

    Its certificate is not verified: with a life of seconds, it expires while no replica can renew it.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    address, answers = settings["address"], []
    async with aiohttp.ClientSession() as session:
        for _ in range(settings["times"]):
            url = f"https://{address}:{PORT}{PATH}"
            async with session.post(url, json=settings["review"], ssl=context) as answer:
                told = await answer.json() if answer.status == HTTPStatus.OK else {}
                answers.append([answer.status, answer.headers.get("Retry-After"), told.get("response")])
        async with session.get(f"http://{address}:{PROBES_PORT}/readyz?verbose") as answer:
            return {"answers": answers, "said": (await answer.text()).splitlines()}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(ask(json.loads(sys.argv[1])))))
