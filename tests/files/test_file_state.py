"""Files that change are read again; if they cannot be read, the last good state stays in force."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path

import pytest

from webhook.cluster.store import Store
from webhook.cluster.timing import Clock
from webhook.files.file_objects import FilesError
from webhook.files.file_state import FileState


def namespaces(*names: str) -> str:
    return "".join(f"---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n" for name in names)


def known(store: Store) -> set[str]:
    return {name for _, name in store.snapshot.names("Namespace")}


@asynccontextmanager
async def watched(*paths: Path | str, stdin: str = "") -> AsyncIterator[tuple[FileState, Store]]:
    """Run a FileState without waiting between its checks."""
    store = Store()
    clock = Clock(sleep=lambda _: asyncio.sleep(0))
    state = FileState([str(path) for path in paths], store, BytesIO(stdin.encode()), clock=clock)
    await state.load()
    task = asyncio.create_task(state.run())
    try:
        yield state, store
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(store: Store, *names: str) -> None:
    async with asyncio.timeout(20):
        await store.wait_until(lambda: known(store) == set(names))


async def test_files_fill_the_store(tmp_path: Path) -> None:
    """After the first reading every kind is synced."""
    (tmp_path / "a.yaml").write_text(namespaces("a", "b"))
    async with watched(tmp_path, "-", stdin=namespaces("piped")) as (state, store):
        assert (store.has_synced, state.is_fresh, known(store)) == (True, True, {"a", "b", "piped"})


async def test_what_may_surprise_in_the_files_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Section 2 of the issue: the service on files says what `check` says."""
    caplog.set_level("INFO")
    annotated = "metadata: {name: a, annotations: {eem-guardrail.io/mode: wrn}}\n"
    (tmp_path / "a.yaml").write_text(f"apiVersion: v1\nkind: Namespace\n{annotated}")
    (tmp_path / "values.yaml").write_text("a: 1\n")
    async with watched(tmp_path):
        told = [(record.levelname, record.getMessage()) for record in caplog.records]

    assert [level for level, text in told if '"wrn" is unknown and has no effect' in text] == ["WARNING"]
    assert ("INFO", f"no API object in {tmp_path}/values.yaml: skipped") in told


async def test_changes_of_files_are_read(tmp_path: Path) -> None:
    """Edits, new files, removed files and replaced files; standard input is kept."""
    (tmp_path / "a.yaml").write_text(namespaces("a"))
    async with watched(tmp_path, "-", stdin=namespaces("piped")) as (_, store):
        (tmp_path / "a.yaml").write_text(namespaces("a", "more"))
        await until(store, "a", "more", "piped")
        (tmp_path / "b.yaml").write_text(namespaces("b"))
        await until(store, "a", "more", "b", "piped")
        (tmp_path / "b.yaml").unlink()
        await until(store, "a", "more", "piped")
        before = (tmp_path / "a.yaml").stat()
        swapped = tmp_path / "swap"
        swapped.write_text(namespaces("x", "more"))
        os.utime(swapped, ns=(before.st_atime_ns, before.st_mtime_ns))
        swapped.rename(tmp_path / "a.yaml")
        await until(store, "x", "more", "piped")


async def test_a_broken_edit_keeps_the_last_good_state(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Until the files can be read again, the state is not fresh."""
    path = tmp_path / "a.yaml"
    path.write_text(namespaces("a"))
    async with watched(path) as (state, store):
        path.write_text("a: [\n")
        async with asyncio.timeout(20):
            await store.wait_until(lambda: not state.is_fresh)

        assert known(store) == {"a"}
        assert "not YAML" in state.problem
        assert state.problem in caplog.text

        path.unlink()
        async with asyncio.timeout(20):
            await store.wait_until(lambda: "No such file" in state.problem)
        path.write_text(namespaces("b"))
        await until(store, "b")

        assert (state.is_fresh, state.problem) == (True, "")


async def test_unchanged_files_are_not_read_again(tmp_path: Path) -> None:
    """The snapshot stays the same object."""
    (tmp_path / "a.yaml").write_text(namespaces("a"))
    looks = asyncio.Semaphore(0)

    async def sleep(_: float) -> None:
        looks.release()
        await asyncio.sleep(0)

    store = Store()
    state = FileState([str(tmp_path)], store, BytesIO(), clock=Clock(sleep=sleep))
    await state.load()
    before = store.snapshot
    task = asyncio.create_task(state.run())
    async with asyncio.timeout(20):
        for _ in range(5):
            await looks.acquire()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert store.snapshot is before


async def test_files_that_cannot_be_read_at_the_start_are_an_error(tmp_path: Path) -> None:
    """No kind is synced."""
    store = Store()
    state = FileState([str(tmp_path / "none")], store, BytesIO())
    with pytest.raises(FilesError, match="No such file"):
        await state.load()

    assert not store.has_synced
