"""Files are read as kubectl reads them. The numbers are the rows of the inputs from the field that once failed."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from builders import policy

from webhook.files.documents import Document
from webhook.files.file_objects import READ_STATE, FileObjects, FilesError, ReadOptions
from webhook.files.object_reader import read_documents, read_files

POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a, namespace: eem}
spec: {podSelector: {}}
"""


def values(text: str) -> list[Any]:
    found = list(read_documents(text, json_only=False))

    assert [document.faults for document in found] == [()] * len(found)

    return [document.value for document in found]


def notes(text: str) -> list[tuple[int, str]]:
    return [(note.line, note.message) for found in read_documents(text, json_only=False) for note in found.notes]


def faults_of(document: Document) -> list[tuple[int, str]]:
    return [(fault.line, fault.message) for fault in document.faults]


def read(text: str | bytes, options: ReadOptions = ReadOptions()) -> FileObjects:  # noqa: B008  a frozen value
    return read_files(["-"], BytesIO(text if isinstance(text, bytes) else text.encode()), options)


def told(text: str | bytes, options: ReadOptions = ReadOptions()) -> list[str]:  # noqa: B008  a frozen value
    """Return the notes on a text, without its name."""
    return [str(note).removeprefix("standard input, ") for note in read(text, options).notes]


def refused(text: str, options: ReadOptions = ReadOptions()) -> list[str]:  # noqa: B008  a frozen value
    """Return the faults of a text, without its name."""
    with pytest.raises(FilesError) as raised:
        read(text, options)

    return [str(fault).removeprefix("standard input, ") for fault in raised.value.faults]


# YAML


@pytest.mark.parametrize(
    ("text", "value", "told"),
    [
        ("b: {k: other, <<: {k: gw}}", "gw", 'replaces the key "k"'),
        ("b: {<<: {k: gw}, k: other}", "other", ""),
        ("b: {<<: {k: one}, <<: {k: two}}", "two", 'replaces the key "k"'),
        ("b: {<<: [{k: one}, {k: two}]}", "one", ""),
        ("b: {k: gw, <<: {k: gw}}", "gw", ""),
        ("x: &x {k: deep}\nb: {k: other, <<: {<<: *x}}", "deep", 'replaces the key "k"'),
        ("b: {!!merge <<: {k: tagged}}", "tagged", ""),
        ("b: {'<<': {k: text}, k: own}", "own", ""),
    ],
)
def test_merge_keys_apply_in_the_order_in_which_they_are_written(text: str, value: str, told: str) -> None:
    """Row 7: what is written later wins, and a note tells it where other readers differ."""
    assert values(text)[0]["b"]["k"] == value
    assert [told in message for _, message in notes(text)] == ([True] if told else [])


def test_of_a_key_that_is_there_twice_the_last_value_counts() -> None:
    """Row 8: the product's own example has policyTypes twice; a note has the line."""
    text = "spec:\n  policyTypes:\n  podSelector: {}\n  policyTypes:\n  - Ingress\n"

    assert values(text) == [{"spec": {"policyTypes": ["Ingress"], "podSelector": {}}}]
    assert notes(text) == [(4, 'the key "policyTypes" occurs twice: the last value counts')]


def test_a_json_key_that_is_there_twice_has_its_line() -> None:
    """Row 8, in JSON."""
    text = '{"a": 1,\n "b": {"c": 1,\n "c": 2}}'

    assert values(text) == [{"a": 1, "b": {"c": 2}}]
    assert notes(text) == [(3, 'the key "c" occurs twice: the last value counts')]


def test_two_keys_that_become_the_same_text_are_a_fault() -> None:
    """Row 8: kubectl keeps one of them by chance."""
    (document,) = read_documents("1: a\n'1': b\n", json_only=False)

    assert faults_of(document) == [(2, 'the key "1" occurs twice')]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("p: 8092.0", "8092.0 is read as the integer 8092"),
        ("p: 8.092e3", "8.092e3 is read as the integer 8092"),
        ("p: 08092", "08092 is read as the integer 8092"),
        ('{"p": 8092.0}', "8092.0 is read as the integer 8092"),
        ('{"p": 80.92e2}', "80.92e2 is read as the integer 8092"),
    ],
)
def test_whole_floats_are_integers(text: str, told: str) -> None:
    """Row 9: a port of 8092.0 or 08092 is 8092."""
    (found,) = values(text)

    assert (type(found["p"]), found["p"]) == (int, 8092)
    assert notes(text) == [(1, told)]


@pytest.mark.parametrize(
    ("text", "is_refused"),
    [
        (r'p: "10.0.0.0\/8"', True),
        (r'p: "a\\\/b"', True),
        (r'"\/": 1', True),
        (r'p: "a\\/b"', False),
        (r"p: '\/'", False),
        (r"p: \/", False),
        (r'{"p": "\/"}', False),
        ('# ä "\\/"\np: "a/b"', False),
    ],
)
def test_an_escaped_slash_is_an_escape_of_json_alone(text: str, is_refused: bool) -> None:  # noqa: FBT001
    """As kubectl reads it: an error in YAML, a slash in JSON."""
    (document,) = read_documents(text, json_only=False)

    assert ["escape of JSON alone" in message for _, message in faults_of(document)] == [True] * is_refused


@pytest.mark.parametrize("text", ["p: 1e300", "p: 0.5", '{"p": 1e300}', '{"p": 0.5}', "p: 1e19"])
def test_other_floats_stay_floats(text: str) -> None:
    """A float that is not whole, or has more than 64 bits."""
    assert type(values(text)[0]["p"]) is float


# Texts that are not YAML


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_with_a_byte_order_mark_is_read(encoding: str) -> None:
    """Row 34: editors on Windows write it; a note tells it."""
    found = read("\ufeff".encode(encoding) + POLICY.replace("\n", "\r\n").encode(encoding))

    assert [mapping["metadata"]["name"] for mapping in found.mappings] == ["a"]
    assert [str(note) for note in found.notes] == ["standard input: is UTF-16 text: other tools may not read it"]


def test_broken_utf_16_is_a_fault() -> None:
    """Row 34: half of a character is not read."""
    with pytest.raises(FilesError, match="is not UTF-16 text"):
        read(b"\xff\xfe\x00")


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("name: {{ .Values.name }}", 7),
        ("{{- if .Values.enabled }}", 1),
        ('{{ include "x" . | indent 4 }}', 1),
        ("name: {{.x}}-gw", 7),
    ],
)
def test_a_helm_template_is_called_so(line: str, column: int) -> None:
    """Row 35: the fault says what to do."""
    (fault,) = refused(f"apiVersion: v1\nkind: Namespace\n{line}\n")

    told = "looks like a Helm template: render it first, with `helm template`"
    assert fault == f"document 1 (line 3, column {column}): {told}"


def test_a_tab_is_named_with_its_column() -> None:
    """Row 35: a tab is invisible in most editors."""
    assert refused("a:\n  b: 1\n\tc: 2\n") == [
        "document 1 (line 3, column 1): not YAML: a tab in column 1: indent with spaces"
    ]


# Objects


def _unknown(kind: str, close: str) -> str:
    return f"kind: there is no kind {kind}: did you mean {close}?"


@pytest.mark.parametrize(
    ("api_version", "kind", "fault"),
    [
        ("networking.k8s.io/v1", "networkpolicy", _unknown("networkpolicy", "NetworkPolicy")),
        ("networking.k8s.io/v1", "NetworkPolicies", _unknown("NetworkPolicies", "NetworkPolicy")),
        ("networking.k8s.io/v1", "NetworkPolicie", _unknown("NetworkPolicie", "NetworkPolicy")),
        ("events.ibm.com/v1beta1", "Eventgateway", _unknown("Eventgateway", "EventGateway")),
        ("events.ibm.com/v1beta1", "EventGatway", _unknown("EventGatway", "EventGateway")),
        (
            "eventendpointmanager.apiconnect.ibm.com/v1beta1",
            "EventEndpointManager",
            "kind: EventEndpointManager is not a kind of Event Endpoint Management: expected EventEndpointManagement",
        ),
        ("v1", "NetworkPolicy", "apiVersion: NetworkPolicy has no version v1: expected networking.k8s.io/v1"),
        (
            "networking/v1",
            "NetworkPolicy",
            "apiVersion: NetworkPolicy has no version networking/v1: expected networking.k8s.io/v1",
        ),
        (
            "networkin.k8s.io/v1",
            "NetworkPolicy",
            "apiVersion: NetworkPolicy has no version networkin.k8s.io/v1: expected networking.k8s.io/v1",
        ),
        ("apps/v1", "Pod", "apiVersion: Pod has no version apps/v1: expected v1"),
        ("k8sV1", "Namespace", "apiVersion: k8sV1 is not served for Namespace any more: expected v1"),
        ("v1", "Pods", _unknown("Pods", "Pod")),
    ],
)
def test_a_mistyped_kind_or_version_is_a_fault(api_version: str, kind: str, fault: str) -> None:
    """Rows 18 and 49: such an object would pass without a verdict."""
    assert refused(f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a}}\n") == [
        f"document 1 (line 1): {fault}"
    ]


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("projectcalico.org/v3", "NetworkPolicy"),
        ("crd.projectcalico.org/v1", "GlobalNetworkPolicy"),
        ("crd.antrea.io/v1beta1", "ClusterNetworkPolicy"),
        ("cilium.io/v2", "CiliumNetworkPolicy"),
        ("events.ibm.com/v1beta1", "EventProcessing"),
        ("apps.openshift.io/v1", "DeploymentConfig"),
        ("v1", "ConfigMap"),
        ("v1", "Event"),
    ],
)
def test_other_kinds_are_counted_and_not_faults(api_version: str, kind: str) -> None:
    """Row 18: their names are close to ours, or their group is."""
    assert read(f"apiVersion: {api_version}\nkind: {kind}\n").skipped == {kind: 1}


def test_an_object_without_a_namespace_is_read_in_default_with_a_note() -> None:
    """Row 17: the product's deny-all example names no namespace."""
    text = POLICY.replace(", namespace: eem", "")
    namespaced = ReadOptions(namespace="shop")

    assert read(text).mappings[0]["metadata"]["namespace"] == "default"
    (note,) = told(text)
    assert note.startswith("document 1 (line 1): metadata.namespace: is not set: the object is read in the namespace")
    assert (read(text, namespaced).mappings[0]["metadata"]["namespace"], told(text, namespaced)) == ("shop", [])


def test_a_cluster_scoped_object_has_no_namespace() -> None:
    """Row 17: nothing is added to it."""
    found = read("apiVersion: v1\nkind: Namespace\nmetadata: {name: eem}\n")

    assert (found.mappings[0]["metadata"], found.notes) == ({"name": "eem"}, ())


def test_an_object_that_is_twice_in_a_state_is_a_fault(tmp_path: Path) -> None:
    """Row 20: the order of files would decide; among changes the second one is an update."""
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(POLICY)
    with pytest.raises(FilesError) as raised:
        read_files([str(tmp_path)], BytesIO(), READ_STATE)

    assert [str(fault).replace(f"{tmp_path}/", "") for fault in raised.value.faults] == [
        "b.yaml, document 1 (line 1): NetworkPolicy eem/a occurs twice: also in a.yaml, document 1 (line 1)"
    ]
    assert len(read_files([str(tmp_path)], BytesIO()).objects) == 2


PORT = " (did you mean port?)"


@pytest.mark.parametrize(
    ("spec", "field", "meant"),
    [
        ("podSelector: {app: gw}", "spec.podSelector.app", ""),
        ("podSelector: {}, ingres: []", "spec.ingres", " (did you mean ingress?)"),
        ("podSelector: {}, ingress: [{from: [{ports: []}]}]", "spec.ingress[0].from[0].ports", ""),
        ("podSelector: {}, ingress: [{ports: [{ports: 1}]}]", "spec.ingress[0].ports[0].ports", PORT),
    ],
)
def test_unknown_fields_are_named_with_what_the_api_server_does(spec: str, field: str, meant: str) -> None:
    """Row 21: strict field validation refuses the object, any other drops the field."""
    found = [note for note in read_notes(POLICY.replace("podSelector: {}", spec)) if note[0] == field]

    assert len(found) == 1
    assert found[0][1].startswith(f"there is no such field{meant}: with kubectl's default, --validate=strict")


def read_notes(text: str) -> list[tuple[str, str]]:
    """Return field and message of the notes on a text, whether it has faults or not."""
    try:
        return [(note.field, note.message) for note in read(text).notes]
    except FilesError:
        from webhook.files.object_checks import notes_of, resource_of  # noqa: PLC0415

        (mapping,) = values(text)
        resource = resource_of(mapping["kind"], mapping["apiVersion"])
        assert resource is not None
        return list(notes_of(mapping, resource))


@pytest.mark.parametrize("value", ["'off'", "Warn", "wrn"])
def test_an_unknown_value_of_the_mode_annotation_is_reported(value: str) -> None:
    """Row 24: it has no effect."""
    text = (
        f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: eem, annotations: {{eem-guardrail.io/mode: {value}}}}}\n"
    )
    plain = value.strip("'")

    (note,) = told(text)
    assert note.startswith("document 1 (line 1): metadata.annotations[eem-guardrail.io/mode]: ")
    assert note.endswith(f'"{plain}" is unknown and has no effect: use enforce, warn or audit')
    assert told(text.replace(value, "warn")) == []


def test_a_generated_name_is_accepted_as_kubectl_create_does() -> None:
    """Row 33: each object gets a name of its own."""
    text = POLICY.replace("name: a", "generateName: deny-")
    found = read(f"{text}---\n{text}")

    assert [mapping["metadata"]["name"] for mapping in found.mappings] == ["deny-00001", "deny-00002"]
    assert "`kubectl create` accepts it, `kubectl apply` does not" in told(text)[0]


def test_files_of_a_folder_without_api_objects_are_passed_over(tmp_path: Path) -> None:
    """Row 36: values and kustomizations lie beside manifests; a file that is named must contain objects."""
    (tmp_path / "values.yaml").write_text("replicas: 2\n")
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    (tmp_path / "a.yaml").write_text(POLICY)
    found = read_files([str(tmp_path)], BytesIO())

    assert [Path(file).name for file in found.passed_over] == ["list.json", "values.yaml"]
    assert len(found.objects) == 1
    with pytest.raises(FilesError):
        read_files([str(tmp_path / "values.yaml")], BytesIO())


@pytest.mark.parametrize("pattern", ["values.yaml", "chart", "chart/", "*/values.yaml", "chart/*"])
def test_files_can_be_excluded(pattern: str, tmp_path: Path) -> None:
    """Row 36: by name, by folder or by path below the folder."""
    (tmp_path / "chart").mkdir()
    (tmp_path / "chart" / "values.yaml").write_text("{{ broken\n")
    (tmp_path / "a.yaml").write_text(POLICY)

    assert len(read_files([str(tmp_path)], BytesIO(), ReadOptions(exclude=(pattern,))).objects) == 1


@pytest.mark.parametrize("mapped", ["::ffff:10.0.0.0/104"])
def test_a_stored_policy_that_cannot_be_read_does_not_stop_the_run(mapped: str) -> None:
    """Row 48: older API servers accepted an IPv4-mapped CIDR; the policy counts as unknown, the rest is judged."""
    stored = policy("old", "shop", ingress=[{"from": [{"ipBlock": {"cidr": mapped}}]}])
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [stored, policy("deny", "eem")]})
    found = read(text, READ_STATE)

    assert [mapping["metadata"]["name"] for mapping in found.mappings] == ["old", "deny"]
    assert len(found.notes) == 1
    assert "spec.ingress[0].from[0].ipBlock.cidr" in str(found.notes[0])
    assert "the policy counts as unknown" in str(found.notes[0])
    assert refused(json.dumps({**stored, "metadata": {"name": "old", "namespace": "shop"}}), READ_STATE)


@pytest.mark.parametrize(
    ("metadata", "fault"),
    [
        ("name: A_b, namespace: eem", "metadata.name: \"A_b\" is not a name: use a-z, 0-9, '-'"),
        ("name: a, namespace: e.e", 'metadata.namespace: "e.e" is not a namespace'),
        (
            "name: a, namespace: eem, labels: {app: <manager-name>}",
            'metadata.labels[app]: "<manager-name>" is not a label value (a placeholder that was not replaced?)',
        ),
        ("name: a, namespace: eem, labels: {'a b': c}", 'metadata.labels[a b]: "a b" is not a label key'),
    ],
)
def test_names_and_labels_that_the_api_server_refuses_are_faults(metadata: str, fault: str) -> None:
    """Row 49: such an object never reaches the guard."""
    assert refused(POLICY.replace("name: a, namespace: eem", metadata)) == [f"document 1 (line 1): {fault}"]


def test_a_binary_value_is_its_text() -> None:
    """The tag !!binary stands for base64."""
    assert values("a: !!binary aGFsbG8=\n") == [{"a": "hallo"}]
    assert faults_of(next(iter(read_documents("a: !!binary x\n", json_only=False)))) == [
        (1, "a !!binary value is not base64")
    ]
