"""A program that lists a cluster into a store, as a replica does, and prints what it then has and its peak memory."""

import asyncio
import json
import sys
from pathlib import Path

from cluster_builders import Token

from webhook.cluster.client import ApiClient
from webhook.cluster.garbage_collection import collect_seldom
from webhook.cluster.reflector import Reflector
from webhook.cluster.store import Store
from webhook.eem import WATCHED


async def main(url: str) -> None:
    """List every kind once."""
    collect_seldom()
    store = Store()
    async with ApiClient(Token(url)) as client:
        tasks = [asyncio.create_task(Reflector(resource, client, store).run()) for resource in WATCHED]
        await store.wait_until(lambda: store.has_synced)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    objects = {status.resource.plural: status.objects for status in store.status.values() if status.objects}
    print(json.dumps({"objects": objects, "peak_mib": peak_mib()}))


def peak_mib() -> int:
    """Return the largest resident memory of this process so far."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
