"""Replicas go on purpose, one after the other: nobody whom they serve may notice."""

from collections.abc import Callable

import pytest
from harness.guard import Guard
from harness.loading import Load

Say = Callable[[str, object], None]


@pytest.mark.parametrize("restarts", [pytest.param(2, id="2"), pytest.param(20, id="20", marks=pytest.mark.long)])
def test_rolling_restarts(guard: Guard, load: Callable[..., Load], figure: Say, restarts: int) -> None:
    """While all replicas are replaced, every edit gets its verdict, and each replica ends by itself."""
    gone: dict[str, tuple[int, bool]] = {}
    with load(handshakes=2) as pressing:
        pressing.go_on(2)
        for _ in range(restarts):
            before = set(guard.replicas())
            guard.restart()
            gone |= guard.exits(before)
        pressing.go_on(2)

    found = pressing.report
    figure(f"{restarts} rolling restarts", found.summary())
    assert (found.dropped, found.wrong, found.handshake_failures) == ([], [], [])
    assert set(gone.values()) == {(0, False)}
