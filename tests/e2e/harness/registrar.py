"""
A program that keeps the registration as a replica does: the same parts, put together by hand.

It reads orders from its standard input, one on a line, and answers each with one line of JSON; it ends with its input.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webhook.cluster.client import ApiClient
from webhook.cluster.credentials import ApiServer, Credentials, Trust
from webhook.cluster.observed import Observed
from webhook.cluster.reflector import Reflector
from webhook.cluster.store import Store
from webhook.controllers.entries import (
    MUTATING,
    NAME,
    NAMESPACE,
    VALIDATING,
)
from webhook.controllers.events import Recorder
from webhook.controllers.lease import Election
from webhook.controllers.registrar import Inputs, Registrar
from webhook.controllers.self_check import Heartbeat, OwnPort
from webhook.eem import WATCHED


class Token:
    """The credentials of a service account, as they were handed over."""

    max_age_seconds = 3600.0

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.api_server = ApiServer(base_url=settings["url"])
        trust = Trust(ca_pem=Path(settings["ca"]).read_text())
        self._credentials = Credentials(authorization=f"Bearer {settings['token']}", trust=trust)

    def load(self) -> Credentials:
        """Return them."""
        return self._credentials


async def main(settings: Mapping[str, Any], bundle: bytes) -> None:
    """Put the parts together, run them, and answer orders."""
    async with ApiClient(Token(settings)) as client:
        store = Store()
        validating, mutating = Observed(VALIDATING, NAME), Observed(MUTATING, NAME)
        election = Election(client, namespace=NAMESPACE, name=NAME, identity=settings["identity"])
        recorder = Recorder(client, instance=settings["identity"])
        heartbeat = Heartbeat(client)
        configurations = [
            Reflector(one.resource, client, one, selection=one.selection) for one in (validating, mutating)
        ]
        registrar = Registrar(
            client,
            validating=validating,
            mutating=mutating,
            heartbeat=heartbeat,
            recorder=recorder,
            inputs=Inputs(
                leads=lambda: election.leads,
                holder=lambda: election.holder,
                bundle=None if settings["injected"] else lambda: bundle,
                namespaces=lambda: frozenset(store.snapshot.eem) if store.has_synced else None,
                cluster_policies=lambda: False,
                port_problem=OwnPort(settings["host"], 8443).problem,
                reopen_watches=lambda: [one.reopen() for one in configurations],
                definition_notes=dict,
            ),
        )
        seen = [Reflector(resource, client, store).run for resource in WATCHED]
        tasks = [
            asyncio.create_task(run())
            for run in (*(one.run for one in configurations), *seen, election.run, recorder.run, registrar.run)
        ]

        def status() -> dict[str, Any]:
            return {
                "leads": election.leads,
                "writes": registrar.writes,
                "problem": registrar.problem(),
                "drift": [one.field for one in registrar.drift],
                "registered": sorted(registrar.registered),
                "proven": heartbeat.proven,
                "ended": [repr(task) for task in tasks if task.done()],
            }

        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(None, sys.stdin.readline):
            print(json.dumps(status()), flush=True)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    asyncio.run(main(given, Path(given["bundle"]).read_bytes()))
