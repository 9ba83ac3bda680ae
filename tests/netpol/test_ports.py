"""Which port entries cover which port of which pod."""

from typing import Any

import builders as b
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.asking import pod_of, port_of, rule_of
from webhook.netpol.model import ContainerPort, NamedPort, PolicyRule, PortRange, Protocol, Unreadable
from webhook.netpol.ports import covers, rule_covers, unresolved_names
from webhook.netpol.sure import Answer

TCP, UDP, SCTP = Protocol.TCP, Protocol.UDP, Protocol.SCTP
POD = pod_of(
    containers=[
        b.container(b.container_port(3000, "ui"), b.container_port(53, "dns", "UDP"), b.container_port(53, "dns-tcp")),
        b.container(b.container_port(3001, "ui"), b.container_port(3000, "ui-sctp", "SCTP"), name="second"),
    ]
)
NUMBERS = st.integers(1, 4)
ENTRIES = st.builds(PortRange, protocol=st.sampled_from(Protocol), first=NUMBERS, last=NUMBERS) | st.builds(
    NamedPort, protocol=st.sampled_from(Protocol), name=st.sampled_from("abc")
)
NAMED = st.builds(ContainerPort, name=st.sampled_from("ab"), protocol=st.sampled_from(Protocol), number=NUMBERS)


@pytest.mark.parametrize(
    ("ports", "protocol", "port"),
    [
        pytest.param(None, TCP, 3000, id="missing: every port"),
        pytest.param(None, SCTP, 1, id="missing: every protocol"),
        pytest.param([], UDP, 65535, id="empty: every port of every protocol"),
        pytest.param([{}], TCP, 1, id="an empty entry: the first TCP port"),
        pytest.param([{}], TCP, 65535, id="an empty entry: the last TCP port"),
        pytest.param([b.port(protocol="UDP")], UDP, 53, id="a protocol alone: its every port"),
        pytest.param([b.port(3000)], TCP, 3000, id="a number, TCP by default"),
        pytest.param([b.port(3000, end=3010)], TCP, 3000, id="the first of a range"),
        pytest.param([b.port(3000, end=3010)], TCP, 3010, id="the last of a range"),
        pytest.param([b.port(1), b.port(3000)], TCP, 3000, id="entries are ORed"),
        pytest.param([b.port("ui")], TCP, 3000, id="a name, in the first container that has it"),
        pytest.param([b.port("ui")], TCP, 3001, id="and in the second one: all count"),
        pytest.param([b.port("dns", "UDP")], UDP, 53, id="a name of that protocol"),
        pytest.param([b.port("nowhere"), b.port(3000)], TCP, 3000, id="beside a name that nobody has"),
    ],
)
def test_ports_that_are_covered(ports: Any, protocol: Protocol, port: int) -> None:
    """The rule speaks of this port of the pod."""
    assert rule_covers(rule_of({"ports": ports}), POD.ports, protocol, port) is Answer.YES


@pytest.mark.parametrize(
    ("ports", "protocol", "port"),
    [
        pytest.param([{}], UDP, 53, id="an empty entry: no UDP port"),
        pytest.param([b.port(3000)], UDP, 3000, id="the number, but another protocol"),
        pytest.param([b.port(3000)], TCP, 3001, id="another number"),
        pytest.param([b.port(3000, end=3010)], TCP, 2999, id="below a range"),
        pytest.param([b.port(3000, end=3010)], TCP, 3011, id="above a range"),
        pytest.param([b.port("ui")], TCP, 8080, id="the name has another number"),
        pytest.param([b.port("ui", "UDP")], UDP, 3000, id="the name has another protocol"),
        pytest.param([b.port("ui", "UDP")], TCP, 3000, id="the name is right, but the entry is about UDP"),
        pytest.param([b.port("dns")], TCP, 53, id="a UDP name in a TCP entry"),
        pytest.param([b.port("dns", "UDP")], TCP, 53, id="a UDP name, asked about TCP"),
        pytest.param([b.port("nowhere")], TCP, 3000, id="a name that nobody has covers nothing"),
        pytest.param([b.port("UI".lower() + "x")], TCP, 3000, id="a longer name"),
        pytest.param([b.port(3000, "SCTP")], TCP, 3000, id="SCTP only"),
    ],
)
def test_ports_that_are_not(ports: Any, protocol: Protocol, port: int) -> None:
    """The rule does not speak of this port of the pod."""
    assert rule_covers(rule_of({"ports": ports}), POD.ports, protocol, port) is Answer.NO


@pytest.mark.parametrize(
    ("ports", "covered"),
    [
        pytest.param([b.port(0)], Answer.UNSURE, id="alone: not decided"),
        pytest.param([b.port(0), b.port(80)], Answer.UNSURE, id="beside an entry for another port: not decided"),
        pytest.param([b.port(0), b.port(3000)], Answer.YES, id="before an entry for the port: covered"),
        pytest.param([b.port(3000), b.port(0)], Answer.YES, id="behind it: covered"),
        pytest.param("all", Answer.UNSURE, id="a list that is none: not decided"),
    ],
)
def test_an_unreadable_entry(ports: Any, covered: Answer) -> None:
    """An entry that cannot be read is never a yes, and never hides one."""
    assert covered is rule_covers(rule_of({"ports": ports}), POD.ports, TCP, 3000)


@pytest.mark.parametrize(
    ("ports", "names"),
    [
        pytest.param(None, (), id="no ports"),
        pytest.param([b.port(3000), b.port("ui")], (), id="all are known"),
        pytest.param([b.port("nowhere"), b.port("ui")], ("nowhere",), id="nobody has the name"),
        pytest.param([b.port("ui", "UDP")], ("ui",), id="nobody has it for that protocol"),
    ],
)
def test_names_that_do_not_resolve(ports: Any, names: tuple[str, ...]) -> None:
    """A name resolves where a container of the pod has it for the same protocol."""
    assert names == unresolved_names(rule_of({"ports": ports}).ports, POD.ports)


@given(st.lists(ENTRIES, min_size=1, max_size=4), st.lists(NAMED, max_size=4), st.sampled_from(Protocol), NUMBERS)
def test_a_rule_is_the_union_of_its_entries(
    entries: list[PortRange | NamedPort], named: list[ContainerPort], protocol: Protocol, port: int
) -> None:
    """A rule covers a port where an entry does; order and number of the containers do not matter."""
    rule = PolicyRule(ports=tuple(entries))
    turned = PolicyRule(ports=tuple(reversed(entries)))

    answer = Answer.YES if any(covers(entry, named, protocol, port) for entry in entries) else Answer.NO

    assert answer is rule_covers(rule, named, protocol, port)
    assert rule_covers(turned, named[::-1] * 2, protocol, port) is rule_covers(rule, named, protocol, port)


@given(ENTRIES, st.lists(NAMED, max_size=4), st.sampled_from(Protocol), NUMBERS)
def test_an_entry_covers_its_own_protocol_only(
    entry: PortRange | NamedPort, named: list[ContainerPort], protocol: Protocol, port: int
) -> None:
    """What an entry covers has the entry's protocol."""
    assert entry.protocol is protocol or not covers(entry, named, protocol, port)


def test_the_unreadable_entry_is_what_it_is() -> None:
    """Port zero, which these tests take for unreadable, is."""
    assert isinstance(port_of(b.port(0)), Unreadable)
