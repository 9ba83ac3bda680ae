"""What runs elsewhere only, the workflows and the script for kind, names things that are here."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from clusters import CLUSTERS

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
KIND_SCRIPT = ROOT / "tests/e2e/kind.sh"
KIND: dict[str, Any] = yaml.safe_load((ROOT / "tests/e2e/kind.yaml").read_text())
SUITE: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/kind.yml").read_text())["jobs"]["suite"]
FOLDERS = (".ci", ".github", "certs", "docs", "manifests", "requirements", "tests", "webhook")


def commands(workflow: Path) -> list[str]:
    """Return every command of a workflow."""
    jobs = yaml.safe_load(workflow.read_text())["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


def paths(text: str) -> list[str]:
    """Return the words of a script that look like paths in this project."""
    words = [word.strip("()") for word in shlex.split(text, comments=True)]
    return [word for word in words if word.partition("/")[0] in FOLDERS]


@pytest.mark.parametrize("text", [*(w for one in WORKFLOWS for w in commands(one)), KIND_SCRIPT.read_text()])
def test_paths_exist(text: str) -> None:
    """Every file and folder that a command names is in the project."""
    assert [path for path in paths(text) if not (ROOT / path).exists()] == []


def test_files_of_the_steps_exist() -> None:
    """Every file that an action is pointed to is in the project."""
    steps = [
        step for one in WORKFLOWS for job in yaml.safe_load(one.read_text())["jobs"].values() for step in job["steps"]
    ]
    named = [step["with"]["go-version-file"] for step in steps if "go-version-file" in step.get("with", {})]
    hashed = [path for one in WORKFLOWS for path in re.findall(r"hashFiles\('([^']+)'\)", one.read_text())]

    assert named
    assert [path for path in (*named, *hashed) if not (ROOT / path).exists()] == []


def test_the_script_can_be_run() -> None:
    """The script for kind is a program, and bash can read it."""
    done = subprocess.run(["bash", "-n", str(KIND_SCRIPT)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert KIND_SCRIPT.stat().st_mode & 0o111


def test_the_script_makes_the_cluster_that_the_suite_looks_for() -> None:
    """Cluster, context, option and images have the names that the suite has for them."""
    script = KIND_SCRIPT.read_text()
    (cluster,) = re.findall(r"^cluster=(\S+)$", script, re.MULTILINE)
    (context,) = re.findall(
        r'^KIND_CONTEXT = "(\S+)"', (ROOT / "tests/e2e/harness/foreign.py").read_text(), re.MULTILINE
    )
    (option,) = re.findall(r"--cluster (\w+)$", script, re.MULTILINE)
    (stand_ins,) = re.findall(r"^stand_ins=\((.*)\)$", script, re.MULTILINE)
    objects = (ROOT / "tests/e2e/harness/objects.py").read_text()

    assert (cluster, f"kind-{cluster}") == (KIND["name"], context)
    assert option in CLUSTERS
    assert f"ipFamily: {KIND['networking']['ipFamily']}/" in script
    assert {"localhost/ibm-eem-operator:e2e"} == set(re.findall(r'"(localhost/[\w-]+:e2e)"', objects))
    assert {*re.findall(r'labels, "(\w+)"', objects), "ibm-eem-operator"} == {
        name.removeprefix("localhost/").removesuffix(":e2e") for name in stand_ins.split()
    }


def test_the_suite_installs_on_kind_what_is_made_for_it() -> None:
    """The overlay that the suite installs there is the one that pulls no image, for the script has loaded it."""
    foreign = (ROOT / "tests/e2e/harness/foreign.py").read_text()
    (overlay,) = re.findall(r'^KIND_MANIFESTS = "(\S+)"', foreign, re.MULTILINE)
    patch = yaml.safe_load((ROOT / "manifests" / overlay / "deployment.yaml").read_text())
    (container,) = patch["spec"]["template"]["spec"]["containers"]

    assert container["imagePullPolicy"] == "Never"
    assert 'kind load docker-image --name "$cluster" "$image"' in KIND_SCRIPT.read_text()


def test_the_matrix_has_four_minors_and_both_families() -> None:
    """Four minors that follow each other run, by digest, and the newest one with both address families as well."""
    matrix = SUITE["strategy"]["matrix"]
    versions = [re.fullmatch(r"v1\.(\d+)\.\d+@sha256:[0-9a-f]{64}", one) for one in matrix["kubernetes"]]
    minors = [int(one.group(1)) for one in versions if one is not None]
    pinned = re.findall(
        r"^\s+k8s\.io/kubernetes v1\.(\d+)\.", (ROOT / "tests/controlplane/go.mod").read_text(), re.MULTILINE
    )

    assert minors == list(range(minors[0], minors[0] - 4, -1))
    assert int(pinned[0]) in minors
    assert (matrix["family"], matrix["include"]) == (
        [KIND["networking"]["ipFamily"]],
        [{"family": "dual", "kubernetes": matrix["kubernetes"][0]}],
    )
