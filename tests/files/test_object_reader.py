"""Files become objects with their places; all faults are reported at once."""

import json
from io import BytesIO
from pathlib import Path

import pytest

from webhook.files import object_reader
from webhook.files.file_objects import READ_STATE, FileObjects, FilesError
from webhook.files.object_reader import read_files

POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: NAME, namespace: eem}
spec: {podSelector: {}}
"""


def policy(name: str) -> str:
    return POLICY.replace("NAME", name)


def read(*paths: Path | str, stdin: str = "") -> FileObjects:
    return read_files([str(path) for path in paths], BytesIO(stdin.encode()))


def faults(*paths: Path | str, stdin: str = "") -> list[str]:
    """Return every fault as text."""
    with pytest.raises(FilesError) as raised:
        read(*paths, stdin=stdin)

    assert str(raised.value).splitlines() == [str(fault) for fault in raised.value.faults]

    return [str(fault) for fault in raised.value.faults]


def test_a_folder_is_read_by_path(tmp_path: Path) -> None:
    """Every .yaml, .yml and .json below it, sorted by path, without hidden and other files."""
    (tmp_path / "b" / "deep").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    for place in ("c.yaml", "a.YML", "b/deep/x.yaml", "b/a.yaml", ".git/x.yaml", "b/.hidden.yaml", "b/readme.md"):
        (tmp_path / place).write_text(policy(Path(place).stem.strip(".")))
    (tmp_path / "b" / "z.json").write_text(
        json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})
    )
    (tmp_path / "b" / "loop").symlink_to(tmp_path, target_is_directory=True)
    found = read(tmp_path)

    assert [Path(placed.place.file).relative_to(tmp_path).as_posix() for placed in found.objects] == [
        "a.YML",
        "b/a.yaml",
        "b/deep/x.yaml",
        "b/z.json",
        "c.yaml",
    ]


def test_objects_keep_the_order_of_paths_and_documents(tmp_path: Path) -> None:
    """Standard input is read where it is named; a named file may have any suffix."""
    (tmp_path / "z.txt").write_text(policy("one") + "---\n" + policy("two"))
    (tmp_path / "a.yaml").write_text("---\n# nothing\n---\n" + policy("four"))
    found = read(tmp_path / "z.txt", "-", tmp_path / "a.yaml", stdin=policy("three"))

    assert [mapping["metadata"]["name"] for mapping in found.mappings] == ["one", "two", "three", "four"]
    assert [(placed.place.document, placed.place.line) for placed in found.objects] == [
        (1, 1),
        (2, 6),
        (1, 1),
        (2, 4),
    ]
    assert str(found.objects[2].place) == "standard input, document 1 (line 1)"


def test_lists_are_expanded(tmp_path: Path) -> None:
    """`kind: List`, typed lists whose items need not name their kind, and lists in lists."""
    text = """\
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: a}}

- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicyList
  items:
  - metadata: {name: b, namespace: eem}
    spec: {podSelector: {}}
---
apiVersion: v1
kind: PodList
items:
---
apiVersion: example.com/v1
kind: AllowList
spec: {}
"""
    (tmp_path / "x.yaml").write_text(text)
    found = read(tmp_path / "x.yaml")

    assert [(m["apiVersion"], m["kind"], m["metadata"]["name"]) for m in found.mappings] == [
        ("v1", "Namespace", "a"),
        ("networking.k8s.io/v1", "NetworkPolicy", "b"),
    ]
    assert [str(placed.place).removeprefix(f"{tmp_path}/") for placed in found.objects] == [
        "x.yaml, document 1, items[0] (line 4)",
        "x.yaml, document 1, items[1].items[0] (line 6)",
    ]
    assert found.skipped == {"AllowList": 1}


def test_kinds_that_no_verdict_depends_on_are_counted() -> None:
    """They are neither objects nor errors, even without a name."""
    found = read(
        "-", stdin="apiVersion: v1\nkind: ConfigMap\n---\napiVersion: v1\nkind: ConfigMap\n---\n" + policy("a")
    )

    assert found.skipped == {"ConfigMap": 2}
    assert len(found.objects) == 1


def test_every_fault_is_reported_with_its_place(tmp_path: Path) -> None:
    """Unreadable files, invalid text, documents that are not objects, and fields, in order."""
    (tmp_path / "a.yaml").write_text("a: 1\na: 2\n---\nx: [\n")
    (tmp_path / "b.yaml").write_bytes(b"ok: 1\nname: \xff\n")
    (tmp_path / "c.json").write_text('{"a": }')
    (tmp_path / "empty").mkdir()
    stdin = """\
kind: Pod
---
[]
---
just text
---
apiVersion: v1
kind: List
items: 5
---
apiVersion: v1
kind: List
items: [7, {kind: Pod}]
---
apiVersion: extensions/v1beta1
kind: NetworkPolicy
---
apiVersion: events.ibm.com/v1alpha1
kind: EventGateway
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: eem}
spec:
  podSelector: {matchLabels: {enabled: yes}}
"""
    found = faults(tmp_path / "nowhere", tmp_path, tmp_path / "empty", "-", stdin=stdin)

    old = "is not served for {} any more: expected {}"
    field = "spec.podSelector.matchLabels[enabled]"

    assert [line.replace(f"{tmp_path}/", "") for line in found] == [
        "nowhere: cannot be read: No such file or directory",
        "a.yaml, document 1 (line 1): apiVersion: must be set to a string",
        "a.yaml, document 1 (line 1): kind: must be set to a string",
        "a.yaml, document 2 (line 5, column 1): not YAML: did not find expected node content",
        "b.yaml (line 2): is not UTF-8 text",
        "c.json, document 1 (line 1, column 7): not JSON: Expecting value",
        "empty: contains no .yaml, .yml or .json file",
        "standard input, document 1 (line 1): apiVersion: must be set to a string",
        "standard input, document 2 (line 3): is a list, not an API object",
        "standard input, document 3 (line 5): is a string, not an API object",
        "standard input, document 4 (line 7): items: must be a list, not a number",
        "standard input, document 5, items[0] (line 13): is a number, not an API object",
        "standard input, document 5, items[1] (line 13): apiVersion: must be set to a string",
        "standard input, document 6 (line 15): apiVersion: extensions/v1beta1 "
        + old.format("NetworkPolicy", "networking.k8s.io/v1"),
        "standard input, document 7 (line 18): apiVersion: events.ibm.com/v1alpha1 "
        + old.format("EventGateway", "events.ibm.com/v1beta1"),
        "standard input, document 8 (line 21): metadata.name: must be set",
        f"standard input, document 8 (line 21): {field}: must be a string, not the boolean true",
    ]


def test_a_dangling_link_in_a_folder_is_a_fault(tmp_path: Path) -> None:
    """It is reported, not skipped."""
    (tmp_path / "x.yaml").symlink_to(tmp_path / "gone.yaml")

    assert faults(tmp_path) == [f"{tmp_path}/x.yaml: cannot be read: No such file or directory"]


def test_a_file_above_the_size_limit_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without an end is not read without an end."""
    monkeypatch.setattr(object_reader, "MAX_FILE_BYTES", 10)
    (tmp_path / "x.yaml").write_text("a: 12345678")

    assert faults(tmp_path / "x.yaml") == [f"{tmp_path}/x.yaml: is larger than 10 bytes"]


def test_a_utf_8_byte_order_mark_is_accepted() -> None:
    """Editors on Windows write it."""
    assert len(read("-", stdin="\ufeff" + policy("a").replace("\n", "\r\n")).objects) == 1


CLUSTER_POLICY = """\
apiVersion: policy.networking.k8s.io/VERSION
kind: ClusterNetworkPolicy
metadata: {name: p, uid: u}
spec: {tier: Admin, priority: 1, subject: {namespaces: {}}}
"""


@pytest.mark.parametrize("version", ["v1alpha2", "v1beta1"])
def test_a_cluster_wide_policy_is_read_in_each_known_version(version: str) -> None:
    """Both have one schema, and the object is in no namespace."""
    found = read("-", stdin=CLUSTER_POLICY.replace("VERSION", version))

    assert [type(placed.parsed).__name__ for placed in found.objects] == ["ClusterPolicy"]
    assert (found.skipped, found.notes) == ({}, ())


def test_an_unknown_version_of_a_cluster_wide_policy_is_a_fault() -> None:
    """Its fields may mean something else."""
    (fault,) = faults("-", stdin=CLUSTER_POLICY.replace("VERSION", "v3"))

    assert "expected policy.networking.k8s.io/v1beta1" in fault


def test_a_stored_cluster_wide_policy_that_cannot_be_read_is_noted() -> None:
    """A change of it would be a fault; what an API server stored counts as unknown."""
    text = CLUSTER_POLICY.replace("VERSION", "v1beta1").replace("Admin", "Other")
    found = read_files(["-"], BytesIO(text.encode()), READ_STATE)

    assert any("counts as unknown" in str(note) for note in found.notes)
    assert faults("-", stdin=text)
