"""Lines come out whole, wherever the stream was cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.cluster.list_watch import LineSplitter, LineTooLongError


@given(st.lists(st.binary().filter(lambda line: b"\n" not in line and bool(line.strip()))), st.data())
def test_lines_survive_any_cut(lines: list[bytes], data: st.DataObject) -> None:
    """However a stream is cut into chunks, its lines are the same."""
    stream = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    splitter = LineSplitter()
    found: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += splitter.feed(stream[start:end])

    assert found == lines


def test_empty_lines_are_passed_over() -> None:
    """Blank lines between events mean nothing; a rest without an end stays inside."""
    splitter = LineSplitter()

    assert splitter.feed(b"\n \r\na\n\nb") == [b"a"]
    assert splitter.feed(b"\n") == [b"b"]


@pytest.mark.parametrize("chunks", [[b"12345"], [b"123", b"45"], [b"ok\n12345\n"], [b"123", b"45\nok\n"]])
def test_a_line_without_bounds_is_refused(chunks: list[bytes]) -> None:
    """A line that is longer than the limit is refused as soon as that is known."""
    splitter = LineSplitter(max_line_bytes=4)
    for chunk in chunks[:-1]:
        splitter.feed(chunk)
    with pytest.raises(LineTooLongError, match="more than 4 bytes"):
        splitter.feed(chunks[-1])
