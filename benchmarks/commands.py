"""Measure commands from start to end of the process, on a repository of YAML files."""

import subprocess
import sys
import time
from copy import deepcopy
from pathlib import Path

import yaml

from benchmarks.cluster import NAMESPACE, ApiObject, Size, objects, policies
from benchmarks.figures import CHECK, EXPLAIN, PRINTED, PRINTED_MEMORY, PRINTED_YAML, Figures
from benchmarks.plan import Plan
from benchmarks.printed import write_json, write_yaml
from benchmarks.reviews import ROOT

OBJECTS_PER_FILE = 100
# The kernel's count of a child's memory begins with that of its parent; that of the process itself does not.
_COMMAND = """
import sys
from pathlib import Path
from webhook.cli import main
status = main(sys.argv[1:])
print(Path("/proc/self/status").read_text(), file=sys.stderr)
raise SystemExit(status)
"""
_SERVER_SIDE = ("uid", "resourceVersion")


def write_repository(size: Size, folder: Path) -> Path:
    """Write a cluster as YAML files, with some objects in each, and return their folder."""
    repository = folder / "repository"
    repository.mkdir()
    found = [_written(api_object) for api_object in objects(size)]
    for number in range(0, len(found), OBJECTS_PER_FILE):
        text = yaml.dump_all(found[number : number + OBJECTS_PER_FILE], Dumper=yaml.CSafeDumper, sort_keys=False)
        (repository / f"{number:05}.yaml").write_text(text, encoding="utf-8")
    return repository


def measure(folder: Path, plan: Plan, figures: Figures) -> None:
    """Measure `check` of one change and `explain` of one connection."""
    repository = write_repository(plan.repository, folder)
    change = folder / "change.yaml"
    change.write_text(yaml.safe_dump(_edited()), encoding="utf-8")
    pod = f"{NAMESPACE}/gateway-ibm-egw-gateway-6d5f7c-0"
    check = ["check", "--state", str(repository), "--apply", str(change)]
    explain = ["explain", "--state", str(repository), "--to", pod, "--port", "8092", "--from", "203.0.113.7"]
    for quantity, arguments in ((CHECK, check), (EXPLAIN, explain)):
        figures.add(quantity, plan.repository, [_cost(arguments)[0] for _ in range(plan.runs)])
    _measure_printed(folder, change, plan, figures)


def _measure_printed(folder: Path, change: Path, plan: Plan, figures: Figures) -> None:
    """Measure `check` of large states, each once: the time of one run is seconds."""
    as_json, as_yaml = plan.printed
    state = folder / "printed.json"
    write_json(as_json, state)
    seconds, mebibytes = _cost(["check", "--state", str(state), "--apply", str(change)])
    figures.add(PRINTED, as_json, [seconds])
    figures.add(PRINTED_MEMORY, as_json, [mebibytes])
    state.unlink()
    state = folder / "printed.yaml"
    write_yaml(as_yaml, state)
    figures.add(PRINTED_YAML, as_yaml, [_cost(["check", "--state", str(state), "--apply", str(change)])[0]])
    state.unlink()


def _edited() -> ApiObject:
    edited = next(policy for policy in policies(3) if policy["metadata"]["name"] == "allow-gateway")
    edited["spec"]["ingress"].append({"ports": [{"port": 9999}]})
    return edited


def _written(api_object: ApiObject) -> ApiObject:
    written = deepcopy(api_object)
    for key in _SERVER_SIDE:
        written["metadata"].pop(key, None)
    return written


def _cost(arguments: list[str]) -> tuple[float, float]:
    """Return the seconds of a command, and the most memory that it had, in MiB."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    took = time.perf_counter() - began
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr or done.stdout}")
    return took, int(done.stderr.rpartition("VmHWM:")[2].split()[0]) / 1024
