"""
Process 1 of the namespaces: control plane, then kubelet, until standard input ends.

Standard input is a pipe that the tests' process holds, so it ends when that process does, however it does.
"""

import asyncio
import json
import sys
from pathlib import Path

from harness.kubelet import Kubelet
from harness.plane import HOST, Plane, PlaneError
from harness.process import run


async def end_of_input() -> None:
    """Wait until whoever started us closes the pipe or is gone."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    await reader.read()


async def serve(folder: Path, binaries: dict[str, str], environment: dict[str, str]) -> None:
    """Bring the machine up, say so, and keep it up."""
    await run("ip", "link", "set", "lo", "up")
    await run("ip", "address", "add", f"{HOST}/32", "dev", "lo")
    client = await Plane(folder, binaries).start()
    kubelet = asyncio.create_task(Kubelet(client, folder, environment).run())
    ended = asyncio.create_task(end_of_input())
    print("ready", flush=True)
    await asyncio.wait({kubelet, ended}, return_when=asyncio.FIRST_COMPLETED)
    await client.close()
    if kubelet.done():
        kubelet.result()


def main() -> None:
    """Read what to run from the first argument."""
    settings = json.loads(sys.argv[1])
    try:
        asyncio.run(serve(Path(settings["folder"]), settings["binaries"], settings["environment"]))
    except PlaneError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
