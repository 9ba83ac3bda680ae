"""What other tools read of this project, the action, the hook and the jobs, is valid and works."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from controlplane.build import cache_root, find_go

from webhook.cli import parser_with

ROOT = Path(__file__).resolve().parent.parent
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
EXAMPLES = ROOT / "docs/examples"
BASE = ROOT / "manifests/base"
DENIED = 1
HELM = "v3.22.0"


def run(*command: str, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the programs of this environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    known = os.environ | {"PATH": path} | environment
    return subprocess.run(command, cwd=folder, env=known, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-actions", ["action.yml"]),
        ("vendor.github-workflows", sorted(str(path) for path in (ROOT / ".github/workflows").glob("*.yml"))),
        ("vendor.gitlab-ci", ["docs/examples/pipelines/gitlab-ci.yml"]),
    ],
)
def test_files_for_services_match_their_schemas(schema: str, files: list[str]) -> None:
    """Each service has a schema for the files that it reads."""
    done = run("check-jsonschema", "--builtin-schema", schema, *files)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_workflows_and_the_action_are_safe() -> None:
    """Zizmor finds no input that reaches a shell, no permission too many, and no unpinned action of others."""
    done = run("zizmor", "--offline", "--quiet", "--config", ".github/zizmor.yml", ".github/workflows", "action.yml")

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_hooks_are_valid() -> None:
    """Pre-commit accepts the definition."""
    done = run("pre-commit", "validate-manifest", ".pre-commit-hooks.yaml")

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_action_writes_annotations_a_summary_and_sarif(tmp_path: Path) -> None:
    """Its step is run as GitHub runs it, on a pull request that closes a port; the step fails."""
    (step,) = [one for one in ACTION["runs"]["steps"] if one.get("name") == "Check the changes"]
    before, after = tmp_path / "before.yaml", tmp_path / "after.yaml"
    policies = [
        one for one in yaml.safe_load_all((EXAMPLES / "cluster.yaml").read_text()) if one["kind"] == "NetworkPolicy"
    ]
    before.write_text(yaml.safe_dump_all(policies))
    after.write_text(before.read_text().replace("port: 8092", "port: 8443"))
    done = run(
        *("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]),
        folder=tmp_path,
        PYTHONPATH=str(ROOT),
        STATE=str(EXAMPLES / "cluster.yaml"),
        BEFORE="before.yaml",
        AFTER="after.yaml",
        ORDER="argocd",
        RUNNER_TEMP=str(tmp_path),
        GITHUB_STEP_SUMMARY=str(tmp_path / "summary.md"),
    )
    lines = after.read_text().splitlines()
    changed = next(number for number, line in enumerate(lines, start=1) if "8443" in line)
    summary = (tmp_path / "summary.md").read_text()
    (found,) = json.loads((tmp_path / "eem-guardrail.sarif").read_text())["runs"][0]["results"]

    assert done.returncode == DENIED, done.stderr
    assert done.stdout.startswith(f"::error file=after.yaml,line={changed},")
    assert summary.startswith("### eem-guardrail\n```text\nDENIED  UPDATE NetworkPolicy eem/gw-ingress\n")
    assert summary.endswith("\n```\n")
    assert found["locations"][0]["physicalLocation"]["region"]["startLine"] == changed


def test_the_action_passes_all_its_inputs() -> None:
    """Each input is used by a step, by a variable and not in the text of a script."""
    steps = ACTION["runs"]["steps"]
    used = json.dumps([{key: value for key, value in step.items() if key != "run"} for step in steps])

    assert [name for name in ACTION["inputs"] if f"inputs.{name}" not in used] == []
    assert [step["run"] for step in steps if "${{" in step.get("run", "")] == []


def presync() -> dict[str, Any]:
    """Return the Job that Argo CD runs before a sync."""
    found: dict[str, Any] = yaml.safe_load((EXAMPLES / "pipelines/argocd-presync.yaml").read_text())
    return found


def in_manifests(name: str) -> dict[str, Any]:
    """Return the object of a file of the base that has one."""
    found: dict[str, Any] = yaml.safe_load((BASE / name).read_text())
    return found


def test_the_presync_hook_runs_a_command_that_exists() -> None:
    """The parser of the command takes its arguments, and the page says what the command does."""
    (container,) = presync()["spec"]["template"]["spec"]["containers"]
    parsed = parser_with([container["args"][0]]).parse_args(container["args"])

    assert "command" not in container
    assert (parsed.command, parsed.live) == ("audit", True)
    assert "`audit` shows\nwhat is broken now" in (ROOT / "docs/pipelines.md").read_text()


def test_the_presync_hook_is_one_for_argo_cd() -> None:
    """It runs once before a sync, as the page says; a failed one stays, so that its output can be read."""
    job = presync()
    page = (ROOT / "docs/pipelines.md").read_text()

    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    assert job["metadata"]["annotations"] == {
        "argocd.argoproj.io/hook": "PreSync",
        "argocd.argoproj.io/hook-delete-policy": "HookSucceeded",
    }
    assert (job["spec"]["backoffLimit"], job["spec"]["template"]["spec"]["restartPolicy"]) == (0, "Never")
    assert "(examples/pipelines/argocd-presync.yaml) is a PreSync hook" in page


def test_the_presync_hook_is_the_service_in_another_role() -> None:
    """Image, account and namespace are those of the manifests."""
    job, deployment, account = presync(), in_manifests("deployment.yaml"), in_manifests("serviceaccount.yaml")
    own, served = job["spec"]["template"]["spec"], deployment["spec"]["template"]["spec"]

    assert own["containers"][0]["image"] == served["containers"][0]["image"]
    assert own["serviceAccountName"] == served["serviceAccountName"] == account["metadata"]["name"]
    assert job["metadata"]["namespace"] == deployment["metadata"]["namespace"] == account["metadata"]["namespace"]
    assert account.get("automountServiceAccountToken", True)
    assert own.get("automountServiceAccountToken", True)


def test_the_namespace_of_the_presync_hook_admits_its_pod() -> None:
    """
    The namespace is restricted.

    Source: Kubernetes, "Pod Security Standards", restricted: what a container must set.
    """
    (container,) = presync()["spec"]["template"]["spec"]["containers"]
    labels = in_manifests("namespace.yaml")["metadata"]["labels"]
    context = container["securityContext"]

    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert (context["runAsNonRoot"], context["allowPrivilegeEscalation"]) == (True, False)
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"]["type"] in {"RuntimeDefault", "Localhost"}


@pytest.mark.long
@pytest.mark.timeout(3600)  # Go builds Helm once: five minutes on two cores
def test_the_rendered_states_of_the_chart_are_what_helm_prints(tmp_path: Path) -> None:
    """The page about the chart shows results at lines of these files."""
    folder = cache_root(os.environ) / "helm" / HELM
    if not (folder / "helm").exists():
        go = find_go()
        done = run(
            go, "install", f"helm.sh/helm/v3/cmd/helm@{HELM}", folder=tmp_path, GOBIN=str(folder), CGO_ENABLED="0"
        )
        assert done.returncode == 0, done.stderr
    chart = EXAMPLES / "repositories/helm"
    for name, values in (("before", []), ("after", ["values-pull-request.yaml"]), ("fixed", ["values-fixed.yaml"])):
        words = [word for value in values for word in ("-f", value)]
        done = run(str(folder / "helm"), "template", "gateway", "chart", "-n", "eem", *words, folder=chart)

        assert done.stdout == (chart / f"rendered/{name}.yaml").read_text(), done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)  # pre-commit makes an environment of its own
def test_the_hook_is_run_by_pre_commit(tmp_path: Path) -> None:
    """A policy that closes a port fails, and one that opens it passes."""
    hook, work = tmp_path / "hook", tmp_path / "work"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in (one for one in files.split("\0") if one and (ROOT / one).is_file()):
        (hook / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, hook / name)
    (work / "policies").mkdir(parents=True)
    items = list(yaml.safe_load_all((EXAMPLES / "cluster.yaml").read_text()))
    (work / "cluster.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    for folder in (hook, work):
        commit(folder)
    identity = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.com", "PRE_COMMIT_HOME": str(tmp_path / "cache")}
    results = []
    for example in ("ten-minutes/web-only.yaml", "own-allow.yaml"):
        shutil.copy(EXAMPLES / example, work / "policies/policy.yaml")
        file = str(work / "policies/policy.yaml")
        results.append(
            run("pre-commit", "try-repo", str(hook), "eem-guardrail", "--files", file, folder=work, **identity)
        )

    assert [done.returncode for done in results] == [DENIED, 0], results
    assert "DENIED  UPDATE NetworkPolicy eem/gw-ingress" in results[0].stdout


def commit(folder: Path) -> None:
    """Make a repository of a folder."""
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)
