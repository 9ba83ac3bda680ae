"""A Secret is written with optimistic concurrency, and the errors are those of the caller."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cluster_builders import Token
from fake_api_server import FakeApiServer, answer, api_server, hang_up

from webhook.cluster.client import ApiClient
from webhook.controllers.secret_store import SECRETS, SecretStore


class OtherWriterError(Exception):
    pass


class StoreFailedError(Exception):
    pass


@asynccontextmanager
async def secrets() -> AsyncIterator[tuple[FakeApiServer, SecretStore]]:
    async with api_server(further=(SECRETS,)) as server, ApiClient(Token(server.url)) as client:
        yield (
            server,
            SecretStore(client, namespace="ns", name="pair", conflict=OtherWriterError, failure=StoreFailedError),
        )


def secret(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pair", "namespace": "ns"}, "data": data}


async def test_a_secret_is_created_read_and_replaced() -> None:
    """First there is none, then the created one, then its replacement."""
    async with secrets() as (_, store):
        assert await store.read() is None

        made = await store.create(secret(a="MQ=="))
        replaced = await store.replace({**made, "data": {"a": "Mg=="}})

        assert await store.read() == replaced
        assert replaced["data"] == {"a": "Mg=="}


async def test_the_second_of_two_writers_gets_a_conflict() -> None:
    """Creating an existing Secret, and replacing a changed or a deleted one, are conflicts."""
    async with secrets() as (server, store):
        made = await store.create(secret())
        await store.replace(made)
        with pytest.raises(OtherWriterError):
            await store.create(secret())
        with pytest.raises(OtherWriterError):
            await store.replace(made)
        server.delete(SECRETS, "pair", "ns")
        with pytest.raises(OtherWriterError):
            await store.replace(made)


async def test_a_replacement_without_a_resource_version_is_not_sent() -> None:
    """It would overwrite a state that was not read."""
    async with secrets() as (server, store):
        with pytest.raises(ValueError, match="resourceVersion"):
            await store.replace(secret())

        assert server.requests == []


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_other_errors_do_not_show_the_content(method: str) -> None:
    """A missing right and a broken connection raise the failure, and its text does not have the data."""
    async with secrets() as (server, store):
        made = await store.create(secret(key="c2VjcmV0"))
        ask = {"GET": store.read, "POST": lambda: store.create(made), "PUT": lambda: store.replace(made)}[method]
        for fault, said in ((answer(403, "Forbidden", "not yours"), "not yours"), (hang_up, method)):
            server.always[method, "secrets"] = fault  # a connection that was used before is tried twice
            with pytest.raises(StoreFailedError, match=said) as caught:
                await ask()

            assert "c2VjcmV0" not in str(caught.value)
