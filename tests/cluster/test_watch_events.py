"""A byte stream is split into whole lines, wherever the network has cut it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.cluster.watch_events import LineSplitter, LineTooLongError


@given(st.lists(st.binary().filter(lambda line: b"\n" not in line and bool(line.strip()))), st.data())
def test_lines_are_the_same_for_any_chunks(lines: list[bytes], data: st.DataObject) -> None:
    """The chunks of a stream do not change its lines."""
    stream = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    splitter = LineSplitter()
    found: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += splitter.feed(stream[start:end])

    assert found == lines


def test_empty_lines_are_skipped() -> None:
    """Blank lines between events are skipped, and the rest without a line end waits."""
    splitter = LineSplitter()

    assert splitter.feed(b"\n \r\na\n\nb") == [b"a"]
    assert splitter.feed(b"\n") == [b"b"]


@pytest.mark.parametrize("chunks", [[b"12345"], [b"123", b"45"], [b"ok\n12345\n"], [b"123", b"45\nok\n"]])
def test_a_line_beyond_the_limit_is_an_error(chunks: list[bytes]) -> None:
    """The error is raised as soon as the line is longer than the limit."""
    splitter = LineSplitter(max_line_bytes=4)
    for chunk in chunks[:-1]:
        splitter.feed(chunk)
    with pytest.raises(LineTooLongError, match="more than 4 bytes"):
        splitter.feed(chunks[-1])
