"""The flood of the benchmarks: it does what an API server does, and the service under it does what is compared."""

from pathlib import Path

import pytest

from benchmarks.cluster import SMALL, review
from benchmarks.flood import JUDGED, MOST_ATTEMPTS, SHED, Flooded, Waves
from benchmarks.overload import KINDS, WAYS, flood, heavy
from benchmarks.reviews import write_state
from benchmarks.service import make_pair, served

ASKED = 5
VERDICT, AGAIN, ELSEWHERE = KINDS.values()


def asked(folder: Path, program: tuple[str, ...], body: bytes) -> Flooded:
    """Ask a service that *program* is some questions, one after the other."""
    pair = make_pair(folder / "tls")
    state = write_state(SMALL, folder)
    with served(["--state", str(state)], pair, folder / "serve.log", program=program) as service:
        return flood(Waves(port=service.https_port, ca_file=pair.ca_file, body=body, waves=[(ASKED, 1.0)]))


@pytest.mark.parametrize("program", [VERDICT, WAYS["all at once elsewhere"]], ids=["as it is", "the other way"])
def test_what_is_not_too_much_is_judged(tmp_path: Path, program: tuple[str, ...]) -> None:
    """Both ways judge what they can, the costly reviews of the flood as well."""
    found = asked(tmp_path, program, heavy())

    assert [status for _, _, status in found.asked] == [JUDGED] * ASKED
    assert found.shed_milliseconds == []


def test_who_is_sent_elsewhere_asks_again_at_once_over_a_new_connection(tmp_path: Path) -> None:
    """Ten times, each with a handshake: then it is refused."""
    found = asked(tmp_path, ELSEWHERE, review("crowd-0", SMALL))

    assert [status for _, _, status in found.asked] == [SHED] * ASKED
    assert len(found.shed_milliseconds) == found.handshakes == MOST_ATTEMPTS * ASKED


def test_who_is_told_to_wait_keeps_its_connection(tmp_path: Path) -> None:
    """As often as there is a second for it within the timeout, over a connection that is there."""
    found = asked(tmp_path, AGAIN, review("crowd-0", SMALL))

    assert [status for _, _, status in found.asked] == [SHED] * ASKED
    assert ASKED < len(found.shed_milliseconds) <= 5 * ASKED
    assert found.handshakes <= ASKED
