"""
The shipped service on a real kubelet: it creates its own Secret, Lease and registration.

It is installed by the commands of docs/install.md, and replaces the installation of the other tests.
"""

import json
import re
import shlex
from collections.abc import Iterator, Sequence

import pytest
from harness import kustomizing, rollouts
from harness.certificates import SECRET
from harness.decisions import DEFAULTS, INSTANCES, POLICIES
from harness.guard import NAMESPACE, Guard, is_ready
from harness.known import gauge
from harness.loading import Load
from harness.machine import CHECKOUT
from harness.mix import prepared
from harness.objects import Json
from harness.place import Place
from harness.registering import CONFIGURATIONS, RegisteringGuard
from harness.versions import PREVIOUS, has_history
from harness.waiting import wait_until

from node import images
from node.cluster import Node

pytestmark = pytest.mark.after_others  # the installation of the other tests is not put back

REPLICAS = 3
RATE = 10  # requests a second that two shared cores can handle beside a node
GONE_SECONDS = 100
SIDE_BY_SIDE_SECONDS = 12  # some renewals of the Lease, one every 2 s
SEEN_SECONDS = 30
SERVING_UNTIL = 'eem_guardrail_certificate_not_after_timestamp_seconds{certificate="serving"}'


def documented(language: str) -> list[str]:
    """Return the blocks of one language in the page's section about own certificates."""
    page = (CHECKOUT / "docs" / "install.md").read_text()
    (section,) = re.findall(r"^## Own certificates.*?(?=^## )", page, re.MULTILINE | re.DOTALL)
    return re.findall(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def documented_kubectl() -> list[list[str]]:
    """Return the kubectl commands of that section, in order."""
    lines = "".join(documented("sh")).replace("\\\n", " ").splitlines()
    return [words for command, *words in map(shlex.split, lines) if command == "kubectl"]


class DocumentedGuard(RegisteringGuard):
    """The service, installed as the page says, except for the image, which is loaded into the node."""

    def install(self) -> None:
        """Write the kustomization of the page, run its commands, and wait until the service is registered."""
        (kustomization,) = documented("yaml")
        name, tag = self._machine.image.rsplit(":", 1)
        here = f"newName: {name}, newTag: {tag}"
        kustomization, count = re.subn(r"newName: registry\.example\.com/\S+, newTag: [\d.]+", here, kustomization)
        assert count == 1
        kustomizing.written(self._overlay, kustomization)
        for words in documented_kubectl():  # the image is already built
            self._machine.must(*(str(self._overlay) if one == "." else one for one in words), seconds=GONE_SECONDS)
        self.first_replicas = set(self.replicas())
        self.until_registered()


@pytest.fixture(scope="module")
def shipped(machine: Node, guard: Guard) -> RegisteringGuard:
    """Install it in place of the static registration of the other tests."""
    machine.must("delete", "-k", str(guard.overlay), seconds=GONE_SECONDS)
    installed = DocumentedGuard(machine, REPLICAS, {})
    installed.install()
    return installed


@pytest.fixture
def own_place(machine: Node, shipped: RegisteringGuard, names: Iterator[str]) -> Place:
    """Return a namespace that only the service registers."""
    return Place(next(names), machine, shipped)


def test_the_documented_installation_registers_itself(machine: Node, shipped: RegisteringGuard) -> None:
    """Every entry trusts the CA of the Secret, and one replica has the Lease."""
    entries = {entry["name"]: entry["clientConfig"]["caBundle"] for entry in shipped.entries()}

    assert entries == dict.fromkeys((POLICIES, INSTANCES, DEFAULTS), shipped.kept.encoded_bundle())
    assert shipped.until_led() in shipped.replicas()
    failed = ("--field-selector=type=Warning,reason=Failed", f"--namespace={NAMESPACE}")
    assert machine.must("get", "events", *failed).stdout == ""


def test_a_new_namespace_is_registered_and_guarded(machine: Node, own_place: Place) -> None:
    """An instance registers its namespace. Then deleting its allow is denied."""
    (look,) = (words for words in documented_kubectl() if words[0] == "get")
    own_place.set_up_gateway()

    refused = own_place.denied(own_place.delete("allow-kafka"), "DELETE", "allow-kafka")
    guarded = json.loads(machine.must(*look).stdout)

    assert "TCP/8092" in refused
    assert {own_place.name, "eem-guardrail-canary"} <= set(guarded)


def test_a_rolling_restart_of_the_shipped_service_drops_no_request(
    shipped: RegisteringGuard, machine: Node, own_place: Place
) -> None:
    """All replicas, also the leader, are replaced, and every change gets its verdict."""
    own_place.set_up(*prepared(own_place.name))

    report, ended = rollouts.restarted(machine, shipped, own_place.name, RATE)

    assert report.failures == []
    assert list(ended.values()) == [True] * REPLICAS
    assert shipped.until_led() in shipped.replicas()
    assert shipped.is_registered()


@pytest.fixture(scope="module")
def earlier(machine: Node) -> str:
    """Return the name of the image from which an upgrade starts; the node has it."""
    name, archive = images.earlier()
    machine.take_in(archive)
    return name


@pytest.fixture(autouse=True)
def told(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> None:
    """Report an upgrade that starts from the same version because the earlier commit is missing."""
    if "earlier" in request.fixturenames and not has_history():
        with capsys.disabled():
            print(f"\nno commit {PREVIOUS} in this clone: today's sources under another label stand for it")


def written(machine: Node) -> dict[str, str]:
    """Return the version of each object that the service keeps; it changes with every write by any client."""
    names = [f"{kind}/{NAMESPACE}" for kind in CONFIGURATIONS] + [f"secret/{SECRET}"]
    found = machine.must("get", *names, f"--namespace={NAMESPACE}", "--output=json").json["items"]
    return {one["kind"]: one["metadata"]["resourceVersion"] for one in found}


def without_namespaces(entries: Sequence[Json]) -> list[Json]:
    """Return the entries without their namespaces: the only difference that a new namespace may cause."""
    return [{name: value for name, value in one.items() if name != "namespaceSelector"} for one in entries]


def ready_images(machine: Node) -> set[str]:
    """Return the images of the ready replicas."""
    pods = machine.must("get", "pods", f"--namespace={NAMESPACE}", "--output=json").json["items"]
    return {
        one["spec"]["containers"][0]["image"]
        for one in pods
        if is_ready(one) and "deletionTimestamp" not in one["metadata"]
    }


def begin(machine: Node, image: str) -> None:
    """Begin to deploy *image*, and pause when replicas of both images serve."""
    rollouts.begin(machine, "set", "image", f"{NAMESPACE}={image}")
    wait_until(lambda: image in ready_images(machine), f"a replica of {image}", seconds=GONE_SECONDS)


def go_on(machine: Node, shipped: RegisteringGuard, image: str) -> None:
    """Deploy the same image to the other replicas, and wait until one of them is the leader."""
    rollouts.go_on(machine)
    shipped.until_rolled_out()
    shipped.until_led()

    assert ready_images(machine) == {image}


def renew_serving(shipped: RegisteringGuard) -> None:
    """Renew the serving pair by hand, and wait until every replica serves it."""
    before = {gauge(shipped.metrics(one), SERVING_UNTIL) for one in shipped.replicas()}
    shipped.kept.by_hand("renew", "--force")

    def look() -> bool:
        after = {gauge(shipped.metrics(one), SERVING_UNTIL) for one in shipped.replicas()}
        return len(after) == 1 and after.isdisjoint(before)

    wait_until(look, "every replica to serve with the new pair", seconds=SEEN_SECONDS)


def test_an_upgrade_and_a_downgrade_drop_no_request(
    machine: Node, shipped: RegisteringGuard, own_place: Place, names: Iterator[str], earlier: str
) -> None:
    """
    Replicas of two versions serve side by side and share the Lease, the Secret and the registration.

    Each version, as the leader, writes only what must change. A namespace that one version has registered stays
    registered under the other, and no entry is changed back and forth.
    """
    own_place.set_up(*prepared(own_place.name))
    entries, first = shipped.entries(), written(machine)
    meanwhile = Place(next(names), machine, shipped)
    with Load(machine, own_place.name, rate=RATE) as load:
        begin(machine, earlier)
        load.go_on(SIDE_BY_SIDE_SECONDS)
        side_by_side, second = ready_images(machine), written(machine)
        renew_serving(shipped)
        go_on(machine, shipped, earlier)
        meanwhile.set_up_gateway()
        third = written(machine)
        begin(machine, machine.image)
        load.go_on(SIDE_BY_SIDE_SECONDS)
        go_on(machine, shipped, machine.image)
    refused = meanwhile.denied(meanwhile.delete("allow-kafka"), "DELETE", "allow-kafka")

    assert load.report.failures == []
    assert side_by_side == {machine.image, earlier}
    assert (second, written(machine)) == (first, third)
    assert without_namespaces(shipped.entries()) == without_namespaces(entries)
    assert "TCP/8092" in refused
