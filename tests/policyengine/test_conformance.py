"""The conformance tests of network-policy-api, read from its modules, are answered as they want it."""

import pytest

from policyengine.conformance import VERSIONS, golden_files, read

LEAST = {"v0.1.7": 240, "v0.3.0": 330}
"""Connections; the others of 289 and 397 are asked after a step that is not read, such as a rule made of addresses."""


@pytest.mark.e2e
@pytest.mark.parametrize("version", VERSIONS)
def test_the_conformance_tests(version: str) -> None:
    """Each connection of each file, up to a step that is not read, is decided, and as the test wants it."""
    readings = {file.name: read(file) for file in golden_files(version)}

    assert {name: reading.wrong for name, reading in readings.items() if reading.wrong} == {}
    assert sum(reading.undecided for reading in readings.values()) == 0
    assert sum(reading.compared for reading in readings.values()) >= LEAST[version]
