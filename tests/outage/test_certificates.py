"""Certificates come, go and are lost: no handshake fails for it, and nobody has to help."""

import base64
import time
from collections.abc import Callable, Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from harness.certificates import Kept, Phase
from harness.loading import Load, LoadReport
from harness.machine import Machine
from harness.mix import CHURNING
from harness.place import Place
from harness.registering import PRUNING, RegisteringGuard
from harness.waiting import hold, wait_until
from harness.witness import asked_by_the_service, uncalled

Say = Callable[[str, object], None]

ROTATION_SECONDS = 150  # 3 s until it is trusted, a minute of the last leaf, 17 s each time for the Lease of the killed
REPAIRED_SECONDS = 30
KILLED_AT = (Phase.TRUSTED, Phase.SIGNING, Phase.RESTING)
WIPED_EACH_SECONDS = 5
PASSES_AGAIN_SECONDS = 2  # from when kubectl is started that wipes
STAYS_SECONDS = 10
MANY = 10
UNGUARDED_SECONDS = 30
DRIFTED = "ConfigurationDrift"
TOLD_SECONDS = 60  # the Lease of a replica that was killed, and air


@pytest.fixture
def kept(guard: RegisteringGuard) -> Kept:
    """Hand out the Secret, at rest."""
    wait_until(lambda: guard.kept.phase() is Phase.RESTING, "the end of a rotation", seconds=ROTATION_SECONDS)
    guard.until_registered()
    return guard.kept


def after_kills(found: LoadReport, kills: list[float], seconds: float) -> list[str]:
    """Give the texts of what was dropped, and of handshakes that failed, but for those just after a kill."""
    failures = [*found.dropped, *found.handshake_failures]
    return [one["text"] for one in failures if not any(-1 <= one["began"] - kill <= seconds for kill in kills)]


def unverified(found: LoadReport) -> list[str]:
    """Give what failed since somebody did not trust a certificate."""
    texts = [one["text"] for one in found.dropped if "x509" in one["text"] or "tls:" in one["text"]]
    return texts + [one["text"] for one in found.distrusted]


def rotate(kept: Kept) -> Iterator[Phase]:
    """Have the authority replaced, and yield each step when it is seen."""
    before = kept.authorities()
    kept.ask_for_rotation()
    for phase in KILLED_AT:
        wait_until(
            lambda phase=phase: kept.phase() is phase and kept.authorities() != before,
            f"a rotation to come so far: {phase}",
            seconds=ROTATION_SECONDS,
        )
        yield phase


def test_shown_by_hand(kept: Kept) -> None:
    """`show` prints the CA and the serving certificate of the Secret, and no key."""
    shown = kept.by_hand("show")

    assert "CA (signs)" in shown
    assert "serving" in shown
    assert "PRIVATE KEY" not in shown


@pytest.mark.parametrize("rotations", [pytest.param(1, id="1"), pytest.param(20, id="20", marks=pytest.mark.long)])
def test_rotations(guard: RegisteringGuard, kept: Kept, load: Callable[..., Load], figure: Say, rotations: int) -> None:
    """The authority is replaced again and again under load: every handshake of every moment is trusted."""
    seen = [kept.authorities()]
    with load(handshakes=4) as pressing:
        for _ in range(rotations):
            list(rotate(kept))
            guard.until_registered()
            seen.append(kept.authorities())
        pressing.go_on(1)

    found = pressing.report
    figure(f"{rotations} rotations", found.summary())
    assert len({tuple(one) for one in seen}) == rotations + 1
    assert (found.dropped, found.wrong, found.handshake_failures) == ([], [], [])


@pytest.mark.parametrize("rotations", [pytest.param(1, id="1"), pytest.param(20, id="20", marks=pytest.mark.long)])
def test_rotator_is_killed(
    guard: RegisteringGuard, kept: Kept, load: Callable[..., Load], figure: Say, rotations: int
) -> None:
    """Whoever rotates is killed after each of its steps in turn: another goes on from there, and trust never breaks."""
    kills: list[float] = []
    with load(handshakes=4) as pressing:
        for _ in range(rotations):
            kills += [guard.kill_leader() for _ in rotate(kept)]
            guard.until_ready()
            guard.until_registered()
        pressing.go_on(1)

    found = pressing.report
    figure(f"{rotations} rotations, rotator killed", [found.summary(), f"{len(kills)} kills"])
    assert len(kills) == rotations * len(KILLED_AT)
    assert (unverified(found), found.wrong) == ([], [])
    assert after_kills(found, kills, seconds=5) == []


JUNK = b"-----BEGIN CERTIFICATE-----\n" + b"A" * 1_000_000  # a Secret holds a MiB
KEYLESS = "authority without key"  # begins a rotation, which takes a minute
DAMAGES: dict[str, Callable[[dict[str, str]], dict[str, str]]] = {
    KEYLESS: lambda data: {key: text for key, text in data.items() if key != "ca.key"},
    "emptied": lambda _: {},
    "truncated": lambda data: data | {"tls.crt": data["tls.crt"][: len(data["tls.crt"]) // 8 * 4]},
    "mismatched": lambda data: data | {"tls.key": data["ca.key"]},
    "junk": lambda data: data | {"ca.crt": base64.b64encode(JUNK).decode()},
}


@pytest.mark.parametrize("damage", ["deleted", *(name for name in DAMAGES if name != KEYLESS)])
def test_secret_lost(guard: RegisteringGuard, kept: Kept, load: Callable[..., Load], figure: Say, damage: str) -> None:
    """Whatever becomes of the Secret, the same authority is put back from memory, and nobody notices."""
    lose(guard, kept, load, figure, damage)


def lose(guard: RegisteringGuard, kept: Kept, load: Callable[..., Load], figure: Say, damage: str) -> None:
    """Do one damage to the Secret under load, and hold what becomes of it against what was there."""
    before = kept.authorities()
    with load(handshakes=4) as pressing:
        pressing.go_on(1)
        began = time.monotonic()
        if damage == "deleted":
            kept.delete()
        else:
            kept.replace(DAMAGES[damage](kept.data()))
        wait_until(lambda: is_whole(kept), f"the Secret that was {damage}", seconds=REPAIRED_SECONDS)
        took = time.monotonic() - began
        guard.until_registered()
        pressing.go_on(1)

    found = pressing.report
    figure(f"Secret {damage}", [found.summary(), f"whole again after {took:.1f} s"])
    assert set(before) <= set(kept.authorities())
    assert (found.dropped, found.wrong, found.handshake_failures) == ([], [], [])


def is_whole(kept: Kept) -> bool:
    """Say whether the Secret has its keys, and they are of a length that they can have."""
    data = kept.data()
    return {"ca.crt", "ca.key", "tls.crt", "tls.key"} <= data.keys() and len(data["ca.crt"]) < 20_000 and fits(data)


def fits(data: dict[str, str]) -> bool:
    """Say whether certificate and key of the serving pair belong together."""
    try:
        certificate = x509.load_pem_x509_certificate(base64.b64decode(data["tls.crt"]))
        key = load_pem_private_key(base64.b64decode(data["tls.key"]), password=None)
    except ValueError:
        return False
    return certificate.public_key() == key.public_key()


@pytest.mark.parametrize("wipes", [pytest.param(3, id="3"), pytest.param(20, id="20", marks=pytest.mark.long)])
def test_bundle_wiped(guard: RegisteringGuard, kept: Kept, load: Callable[..., Load], figure: Say, wipes: int) -> None:
    """Another manager takes the caBundle away every five seconds: edits pass again within two seconds."""
    assert kept.phase() is Phase.RESTING
    took, times = [], []
    with load() as pressing:
        for _ in range(wipes):
            pressing.go_on(WIPED_EACH_SECONDS)
            times.append(time.time())
            began = time.monotonic()
            guard.wipe()
            guard.until_registered()
            took.append(time.monotonic() - began)
        pressing.go_on(2)

    found = pressing.report
    windows = [found.dropped_between(at - 1, later - 1) for at, later in zip(times, [*times[1:], 1e12], strict=True)]
    late = [max(window, default=at) - at for window, at in zip(windows, times, strict=True)]
    said = [
        f"back after {rounded(took)} s",
        f"lost {[len(one) for one in windows]}",
        f"the last {rounded(late)} s after",
    ]
    figure(f"caBundle wiped {wipes} times", [found.summary(), *said])
    assert found.wrong == []
    assert sum(map(len, windows)) == len(found.dropped)
    assert max(late) <= PASSES_AGAIN_SECONDS
    assert max(took) <= REPAIRED_SECONDS


def rounded(seconds: list[float]) -> str:
    """Give figures for people, the smallest first."""
    return " ".join(f"{one:.1f}" for one in sorted(seconds))


@pytest.mark.parametrize("times", [pytest.param(3, id="3"), pytest.param(10, id="10", marks=pytest.mark.long)])
def test_manifests_applied_again(
    guard: RegisteringGuard, kept: Kept, load: Callable[..., Load], figure: Say, times: int
) -> None:
    """Applying the manifests again and again, in three ways, resets nothing of what the service has registered."""
    before = guard.entries()
    with load() as pressing:
        for _ in range(times):
            guard.apply()
            guard.apply("--server-side", "--force-conflicts")
            guard.apply(*PRUNING)
        pressing.go_on(1)

    found = pressing.report
    figure(f"manifests applied {times} times more, each way of three", found.summary())
    assert kept.phase() is Phase.RESTING
    assert guard.entries() == before
    assert (found.dropped, found.wrong) == ([], [])


@pytest.mark.usefixtures("kept")
def test_drift_is_told(guard: RegisteringGuard) -> None:
    """What somebody changed of the manifests' own is left as it is and told in one Event, whoever leads."""
    guard.drift()
    (first,) = wait_until(lambda: guard.told(DRIFTED), "the Event about the drift", seconds=TOLD_SECONDS)
    guard.kill_leader()
    wait_until(lambda: guard.told(DRIFTED) != [first], "the Event to be written again", seconds=TOLD_SECONDS)
    guard.until_ready()
    guard.apply_configurations()
    guard.until_registered()

    assert len(guard.told(DRIFTED)) == 1


@pytest.mark.usefixtures("kept")
def test_configuration_deleted(machine: Machine, guard: RegisteringGuard, load: Callable[..., Load]) -> None:
    """A configuration that is deleted stays deleted: that is the way out. Applied again, it is registered again."""
    counted = uncalled(machine)
    machine.must("delete", "validatingwebhookconfiguration,mutatingwebhookconfiguration", "eem-guardrail")
    hold(lambda: guard.entries() == [], "nothing registered", seconds=STAYS_SECONDS)
    guard.apply_configurations()
    guard.until_registered()
    with load() as pressing:
        pressing.go_on(2)

    assert uncalled(machine) == counted
    assert (pressing.report.dropped, pressing.report.wrong) == ([], [])


def test_key_lost(guard: RegisteringGuard, kept: Kept, load: Callable[..., Load], figure: Say) -> None:
    """The authority's key, too, is put back, or another authority comes; the next case need not wait until it has."""
    lose(guard, kept, load, figure, KEYLESS)


@pytest.mark.parametrize("starts", [pytest.param(1, id="1"), pytest.param(20, id="20", marks=pytest.mark.long)])
def test_first_start(  # noqa: PLR0913, PLR0917 - fixtures
    machine: Machine, guard: RegisteringGuard, busy: Place, load: Callable[..., Load], figure: Say, starts: int
) -> None:
    """Ten replicas that start at once where there is nothing make one authority, and refuse nobody anything."""
    replicas = len(guard.replicas())
    took = []
    for _ in range(starts):
        guard.take_away()
        machine.must("delete", "validatingwebhookconfiguration,mutatingwebhookconfiguration", "eem-guardrail")
        guard.kept.delete()
        wait_until(lambda: passes_unasked(machine, busy), "nobody to be asked", seconds=UNGUARDED_SECONDS)
        made = secrets_made(machine)
        with load(harmless=True) as pressing:
            guard.apply_configurations()
            began = time.monotonic()
            guard.scale(MANY)
            took.append(time.monotonic() - began)
            guard.until_registered()
            wait_until(lambda: busy.name in guard.registered(), "the guard", seconds=UNGUARDED_SECONDS)
            pressing.go_on(1)

        assert (pressing.report.dropped, pressing.report.wrong) == ([], [])
        assert len(guard.ready()) == MANY
        assert len(guard.kept.authorities()) == 1
        assert secrets_made(machine) == made + 1
    guard.scale(replicas)
    figure(f"{starts} first starts of {MANY}", [pressing.report.summary(), f"all ready after {rounded(took)} s"])


def passes_unasked(machine: Machine, busy: Place) -> bool:
    """Say whether an edit passes while no replica is there to be asked about it."""
    flags = (f"--namespace={busy.name}", "--dry-run=server")
    return machine.kubectl("delete", "networkpolicy", CHURNING[0], *flags).status == 0


def secrets_made(machine: Machine) -> int:
    """Count the Secrets that the service has made."""
    asked = asked_by_the_service(machine)
    return sum((one.verb, one.resource, one.status) == ("create", "secrets", 201) for one in asked)
