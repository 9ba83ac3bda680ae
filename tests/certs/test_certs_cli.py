"""The certificate tool, run on real directories."""

import json
import os
import runpy
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificate_builders import authority, openssl, pair

from certs import KeyPair, Lifetimes, load_pair
from certs.by_hand import rotate
from certs.cli import main
from certs.files import Directory
from certs.material import new_material
from certs.secret import material_of, requested_rotation


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def write(directory: Path, ca: KeyPair, leaf: KeyPair) -> None:
    Directory(path=directory).write_authority(ca)
    Directory(path=directory).write_serving_pair(leaf)


def test_init_makes_the_four_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After `init` openssl accepts the pair for every name, and the keys are their owner's alone."""
    out = tmp_path / "made" / "here"
    status = main(["init", "--out", str(out), "--service", "g", "--namespace", "n", "--name", "127.0.0.1"])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()}
    strict = ("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", out / "ca.crt")

    assert status == 0
    assert modes == {"ca.crt": 0o644, "ca.key": 0o600, "tls.crt": 0o644, "tls.key": 0o600}
    for name in ("g", "g.n", "g.n.svc"):
        assert openssl(*strict, "-verify_hostname", name, out / "tls.crt").returncode == 0
    assert openssl(*strict, "-verify_ip", "127.0.0.1", out / "tls.crt").returncode == 0
    assert load_pair((out / "tls.crt").read_bytes(), (out / "tls.key").read_bytes())
    assert "g, g.n, g.n.svc, 127.0.0.1" in capsys.readouterr().out


def test_init_replaces_nothing_unless_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory that holds a key is left as it is; --force makes everything new."""
    assert main(["init", "--out", str(tmp_path)]) == 0
    before = contents(tmp_path)

    assert main(["init", "--out", str(tmp_path)]) == 2
    assert contents(tmp_path) == before
    assert "already holds ca.crt, ca.key, tls.crt, tls.key" in capsys.readouterr().err
    assert main(["init", "--out", str(tmp_path), "--force"]) == 0
    assert not set(before.values()) & set(contents(tmp_path).values())


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    """When a file cannot take its place, the files written beside it are removed."""
    (tmp_path / "ca.crt").mkdir()

    assert main(["init", "--out", str(tmp_path), "--force"]) == 2
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_fresh_pair_is_not_renewed_unless_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`renew` does nothing before two thirds of the life; --force keeps the names and the authority."""
    main(["init", "--out", str(tmp_path), "--name", "extra.example"])
    before = contents(tmp_path)

    assert main(["renew", "--out", str(tmp_path)]) == 0
    assert contents(tmp_path) == before
    assert "not due before" in capsys.readouterr().out
    assert main(["renew", "--out", str(tmp_path), "--force"]) == 0
    after = contents(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {"tls.crt", "tls.key"}
    assert "extra.example" in capsys.readouterr().out
    assert main(["show", "--out", str(tmp_path)]) == 0


def test_a_pair_past_two_thirds_is_renewed(tmp_path: Path) -> None:
    """`renew` replaces a pair that is due."""
    now = datetime.now(UTC)
    ca = authority(now=now - timedelta(days=6))
    write(tmp_path, ca, pair(ca, now=now - timedelta(days=5)))
    before = contents(tmp_path)

    assert main(["renew", "--out", str(tmp_path)]) == 0
    assert contents(tmp_path)["tls.crt"] != before["tls.crt"]


def test_a_pair_of_another_authority_is_shown_as_such_and_renewed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A serving certificate that the authority did not sign is reported, and due at once."""
    now = datetime.now(UTC)
    write(tmp_path, authority(now=now), pair(authority(now=now), now=now))

    assert main(["show", "--out", str(tmp_path)]) == 1
    assert "not signed by the authority" in capsys.readouterr().err
    assert main(["renew", "--out", str(tmp_path)]) == 0
    assert main(["show", "--out", str(tmp_path)]) == 0


def test_an_expired_pair_is_shown_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`show` prints what is there and says that it is no longer valid."""
    now = datetime.now(UTC)
    ca = authority(now=now - timedelta(days=30))
    write(tmp_path, ca, pair(ca, now=now - timedelta(days=20)))

    assert main(["show", "--out", str(tmp_path)]) == 1
    output = capsys.readouterr()
    assert "the serving certificate is not valid now" in output.err
    assert "sha-256" in output.out


def test_the_signer_is_found_in_a_bundle(tmp_path: Path) -> None:
    """Where ca.crt holds several authorities, the one that ca.key belongs to signs."""
    now = datetime.now(UTC)
    ca, other = authority(now=now), authority(now=now)
    write(tmp_path, ca, pair(ca, now=now))
    (tmp_path / "ca.crt").write_bytes(other.certificate_pem() + ca.certificate_pem())

    signer = Directory(path=tmp_path).material().signer
    assert signer is not None
    assert signer.certificate == ca.certificate
    assert main(["renew", "--out", str(tmp_path), "--force"]) == 0


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("ca.crt", None, "ca.crt: No such file"),
        ("tls.key", None, "tls.key: No such file"),
        ("tls.crt", b"nonsense", "cannot be read"),
        ("ca.key", b"nonsense", "ca.key cannot be read"),
        ("tls.crt", b"x" * 65_537, "more than 65536 bytes"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None, complaint: str
) -> None:
    """A missing or unreadable file ends the tool with status 2 and a sentence."""
    main(["init", "--out", str(tmp_path)])
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)

    assert main(["show", "--out", str(tmp_path)]) == 2
    assert complaint in capsys.readouterr().err


def test_a_bad_name_ends_with_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that cannot be certified is refused before anything is written."""
    assert main(["init", "--out", str(tmp_path), "--name", "not a name"]) == 2
    assert "'not a name' is neither" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_module_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m certs` is the tool."""
    monkeypatch.setattr(sys, "argv", ["certs", "init", "--out", os.fspath(tmp_path)])

    with pytest.raises(SystemExit) as ended:
        runpy.run_module("certs", run_name="__main__")
    assert ended.value.code == 0
    assert (tmp_path / "tls.key").exists()


def test_the_authority_of_files_is_rotated_step_by_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`rotate-ca` makes a successor and its key, and says when to run it again; `show` tells the same."""
    main(["init", "--out", str(tmp_path)])
    before = contents(tmp_path)

    assert main(["rotate-ca", "--out", str(tmp_path)]) == 0
    after = contents(tmp_path)
    assert {name for name in after if after[name] != before.get(name)} == {"ca.crt", "ca-next.key"}
    assert stat.S_IMODE((tmp_path / "ca-next.key").stat().st_mode) == 0o600
    assert "publish ca.crt everywhere" in capsys.readouterr().out
    assert main(["rotate-ca", "--out", str(tmp_path)]) == 0
    assert contents(tmp_path) == after
    assert main(["show", "--out", str(tmp_path)]) == 0
    assert "authority (signs next)" in capsys.readouterr().out


def test_what_belongs_to_no_rotation_goes(tmp_path: Path) -> None:
    """A rotation that has ended leaves the four files."""
    now = datetime.now(UTC)
    past = now - timedelta(days=10)
    began = rotate(
        new_material(("a.b",), now=past, lifetimes=Lifetimes()), now=past, lifetimes=Lifetimes(), force=False
    )
    assert began.material is not None
    Directory(path=tmp_path).write(began.material)

    assert main(["rotate-ca", "--out", str(tmp_path)]) == 0
    assert set(contents(tmp_path)) == {"ca.crt", "ca.key", "tls.crt", "tls.key", "retired.crt"}
    assert main(["rotate-ca", "--out", str(tmp_path)]) == 0
    assert set(contents(tmp_path)) == {"ca.crt", "ca.key", "tls.crt", "tls.key"}


KUBECTL = """#!{python}
import json, pathlib, sys
stored = pathlib.Path({stored!r})
given = sys.argv[1:]
pathlib.Path({called!r}).write_text(json.dumps(given))
old = json.loads(stored.read_text()) if stored.exists() else None
if "get" in given:
    print(json.dumps(old) if old else "")
    sys.exit()
new = json.load(sys.stdin)
if "create" in given and old:
    sys.exit("Error from server (AlreadyExists)")
if "replace" in given and new["metadata"].get("resourceVersion") != old["metadata"]["resourceVersion"]:
    sys.exit("Error from server (Conflict)")
new["metadata"]["resourceVersion"] = str(int((old or new)["metadata"].get("resourceVersion", 0)) + 1)
stored.write_text(json.dumps(new))
"""


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a kubectl first that keeps one Secret in a file; tests/e2e asks the real one."""
    place, program = tmp_path / "secret.json", tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    text = KUBECTL.format(python=sys.executable, stored=str(place), called=str(tmp_path / "called.json"))
    program.write_text(text)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return place


SECRET = ("--secret", "guard/eem-guardrail-tls")


def test_the_secret_is_made_shown_renewed_and_asked_to_rotate(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All four commands work on the cluster's Secret, each write on the version that was read."""
    assert main(["show", *SECRET]) == 2
    assert "there is no Secret guard/eem-guardrail-tls" in capsys.readouterr().err
    assert main(["init", *SECRET, "--context=there", "--kubeconfig=file"]) == 0
    assert "eem-guardrail.guard.svc" in capsys.readouterr().out
    called = json.loads((stored.parent / "called.json").read_text())
    assert called[:3] == ["--context=there", "--kubeconfig=file", "--namespace=guard"]
    made = material_of(json.loads(stored.read_text()))
    assert main(["show", *SECRET]) == 0
    assert "rotation: no rotation" in capsys.readouterr().out
    assert main(["renew", *SECRET]) == 0
    assert "not due before" in capsys.readouterr().out
    assert main(["renew", *SECRET, "--force"]) == 0
    renewed = json.loads(stored.read_text())
    assert main(["rotate-ca", *SECRET]) == 0
    asked = json.loads(stored.read_text())

    assert material_of(renewed).bundle == made.bundle
    assert material_of(renewed).leaf.certificate != made.leaf.certificate
    assert requested_rotation(asked) is not None
    assert asked["data"] == renewed["data"]
    assert asked["metadata"]["resourceVersion"] == "3"


def test_a_secret_that_is_there_is_replaced_only_when_forced(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trust is not thrown away by mistake."""
    main(["init", *SECRET])
    before = stored.read_text()

    assert main(["init", *SECRET]) == 2
    assert "Secret guard/eem-guardrail-tls is there" in capsys.readouterr().err
    assert stored.read_text() == before
    assert main(["init", *SECRET, "--force"]) == 0
    assert material_of(json.loads(stored.read_text())).bundle != material_of(json.loads(before)).bundle


def test_what_kubectl_says_is_passed_on(
    stored: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refusal is told as it is; so is a kubectl that is not there, or says nothing."""
    program = stored.parent / "bin" / "kubectl"
    program.write_text("#!/bin/sh\necho 'Error from server (Forbidden)' >&2\nexit 1\n")
    assert main(["show", *SECRET]) == 2
    assert "kubectl: Error from server (Forbidden)" in capsys.readouterr().err
    program.write_text("#!/bin/sh\nexit 3\n")
    assert main(["show", *SECRET]) == 2
    assert "it failed and did not say why" in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(stored.parent))
    assert main(["show", *SECRET]) == 2
    assert "kubectl: " in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["name", "/name", "space/", "a/b/c"])
def test_a_secret_has_a_namespace_and_a_name(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else is a usage error."""
    with pytest.raises(SystemExit) as ended:
        main(["show", "--secret", wrong])
    assert ended.value.code == 2
    assert "is not NAMESPACE/NAME" in capsys.readouterr().err
