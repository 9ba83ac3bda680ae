"""
Process 1 of the namespaces: control plane, then kubelet and what the tests order, until standard input ends.

Standard input is a pipe that the tests' process holds, so it ends when that process does, however it does.
"""

import asyncio
import json
import sys
from pathlib import Path

from harness.api import PatientClient
from harness.kubelet import Kubelet
from harness.orders import Orders
from harness.plane import ADMIN_TOKEN, HOST, Plane, PlaneError
from harness.process import run


async def take_orders(orders: Orders) -> None:
    """Execute and confirm each line of standard input, until the parent process closes the pipe or ends."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while line := await reader.readline():
        print(json.dumps(await orders.obey(json.loads(line))), flush=True)


async def serve(folder: Path, binaries: dict[str, str], environment: dict[str, str]) -> None:
    """Bring the machine up, say so, and keep it up."""
    await run("ip", "link", "set", "lo", "up")
    await run("ip", "address", "add", f"{HOST}/32", "dev", "lo")
    plane = Plane(folder, binaries)
    client = await plane.start()
    patient = PatientClient(plane.url, plane.ca, ADMIN_TOKEN)
    kubelet = Kubelet(patient, folder, environment)
    running = asyncio.create_task(kubelet.run())
    ended = asyncio.create_task(take_orders(Orders(plane, kubelet, client)))
    print("ready", flush=True)
    await asyncio.wait({running, ended}, return_when=asyncio.FIRST_COMPLETED)
    await client.close()
    await patient.close()
    for task in (running, ended):
        if task.done():
            task.result()


def main() -> None:
    """Read what to run from the first argument."""
    settings = json.loads(sys.argv[1])
    try:
        asyncio.run(serve(Path(settings["folder"]), settings["binaries"], settings["environment"]))
    except PlaneError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
