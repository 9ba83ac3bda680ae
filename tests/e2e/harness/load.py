"""
Ask the API server the same two changes again and again, on several connections, until standard input ends.

    python -m harness.load URL CA TOKEN NAMESPACE CONNECTIONS

The namespace has a gateway and no policy, so the first change, about pods that nobody has, must be admitted and the
second, a default-deny, refused; both are dry runs. A line says when every
connection has had an answer; in the end one JSON object says how often it was as it must be, and every other answer.
"""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

import aiohttp

from harness.api import ApiClient, ApiError
from harness.node import end_of_input
from harness.objects import Json, deny_all, policy

ADMITTED, REFUSED = "admitted", "refused"
REFUSAL = "denied the request"
AS_IT_MUST_BE = "as it must be"
ASKING = "asking\n"


async def ask(client: ApiClient, path: str, body: Json) -> str:
    """Send one change and say in a word or a sentence what came of it."""
    try:
        await client.ask("POST", path, body)
    except ApiError as error:
        return REFUSED if REFUSAL in str(error) else str(error)
    except (aiohttp.ClientError, TimeoutError) as error:
        return repr(error)
    return ADMITTED


class Load:
    """The same two changes on several connections."""

    def __init__(self, client: ApiClient, namespace: str, connections: int) -> None:
        self.answers: Counter[str] = Counter()
        self.ended = asyncio.Event()
        self.started = asyncio.Barrier(connections + 1)
        self._client = client
        self._namespace = namespace

    async def run(self, number: int) -> None:
        """Send both changes in turn on one connection, from when every connection has had an answer."""
        path = f"/apis/networking.k8s.io/v1/namespaces/{self._namespace}/networkpolicies?dryRun=All"
        harmless = policy(self._namespace, f"load-{number}", selector={"matchLabels": {"load": "nobody"}})
        wanted = {ADMITTED: harmless, REFUSED: deny_all(self._namespace, f"load-deny-{number}")}
        await ask(self._client, path, harmless)
        await self.started.wait()
        while not self.ended.is_set():
            for expected, change in wanted.items():
                answer = await ask(self._client, path, change)
                self.answers[AS_IT_MUST_BE if answer == expected else f"instead of {expected}: {answer}"] += 1


async def serve(url: str, ca: Path, token: str, namespace: str, connections: int) -> Counter[str]:
    """Load until standard input ends."""
    client = ApiClient(url, ca, token)
    load = Load(client, namespace, connections)
    tasks = [asyncio.create_task(load.run(number)) for number in range(connections)]
    await load.started.wait()
    print(ASKING, end="", flush=True)
    await end_of_input()
    load.ended.set()
    await asyncio.gather(*tasks)
    await client.close()
    return load.answers


def main() -> None:
    """Load as the arguments say."""
    url, ca, token, namespace, connections = sys.argv[1:]
    print(json.dumps(asyncio.run(serve(url, Path(ca), token, namespace, int(connections)))))


if __name__ == "__main__":
    main()
