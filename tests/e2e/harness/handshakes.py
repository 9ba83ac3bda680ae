"""
Meet each replica afresh, trusting what the registration says at that moment and nothing else.

The API server keeps its connections, so an untrusted certificate may go unnoticed for a while. Here every handshake
is a new one, to every replica that the Service leads to, with the name that the API server asks for.
"""

import asyncio
import base64
import contextlib
import ssl
import time
from typing import Any

import aiohttp

NAMESPACE = "eem-guardrail"
CONFIGURATION = f"/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{NAMESPACE}"
ENDPOINTS = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
OF_THE_SERVICE = {"labelSelector": f"kubernetes.io/service-name={NAMESPACE}"}
PORT = 8443
SERVER_NAME = f"{NAMESPACE}.{NAMESPACE}.svc"
HANDSHAKE_SECONDS = 10.0  # what the API server's own client allows


class Handshakes:
    """What the handshakes came to."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._contexts: dict[str, ssl.SSLContext] = {}
        self.done = 0
        self.failures: list[dict[str, Any]] = []

    async def run(self, rate: float, stopped: asyncio.Event) -> None:
        """Look at the registration *rate* times a second (0: never) until *stopped*, and meet every replica then."""
        while rate and not stopped.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), 1 / rate)
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):  # whether that answers is another's question
                bundles, addresses = await self._bundles(), await self._addresses()
                await asyncio.gather(*(self._meet(one, bundle) for one in addresses for bundle in bundles))

    async def _bundles(self) -> set[str]:
        async with self._session.get(CONFIGURATION) as answer:
            entries = (await answer.json()).get("webhooks", ())
        return {entry["clientConfig"].get("caBundle", "") for entry in entries}

    async def _addresses(self) -> list[str]:
        async with self._session.get(ENDPOINTS, params=OF_THE_SERVICE) as answer:
            slices = (await answer.json()).get("items", ())
        ready = [one for part in slices for one in part["endpoints"] or () if one["conditions"]["ready"]]
        return [address for one in ready for address in one["addresses"]]

    def _context(self, bundle: str) -> ssl.SSLContext:
        """Return TLS settings that trust only *bundle*, with the strictness of RFC 5280."""
        if bundle not in self._contexts:
            context = ssl.create_default_context(cadata=base64.b64decode(bundle).decode())
            context.verify_flags |= ssl.VERIFY_X509_STRICT
            self._contexts[bundle] = context
        return self._contexts[bundle]

    async def _meet(self, address: str, bundle: str) -> None:
        self.done += 1
        began = time.time()
        try:
            if not bundle:
                raise ssl.SSLError("no caBundle")
            _, writer = await asyncio.wait_for(
                asyncio.open_connection(address, PORT, ssl=self._context(bundle), server_hostname=SERVER_NAME),
                HANDSHAKE_SECONDS,
            )
            writer.close()
        except (OSError, TimeoutError) as error:  # an SSLError is one
            trusted = not isinstance(error, ssl.SSLError)
            self.failures.append({"began": began, "address": address, "trusted": trusted, "text": repr(error)})
