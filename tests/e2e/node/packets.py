"""
Compare verdicts with packets: seeded changes of policies, and their effect on connections.

For each seed, the generator of the oracle makes some policies and one change. They are applied on the node, with the
service in audit mode, and every connection is tried before and after. A connection must be open exactly if `explain`
says so. A required port that was open to a source and no longer is must be in the verdict on the change.

    PYTHONPATH=.:tests:tests/e2e python -m node.packets 200

prints the table of docs/evidence/packets.md. A second number is the first seed, to repeat one.
"""

import contextlib
import json
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.guard import PACKETS, Guard
from harness.machine import find_binaries
from harness.objects import Json, listed
from harness.waiting import wait_until
from oracle.generate import Pair, both_ways, seeded
from oracle.naive import Change, Settings
from oracle.plans import PLANS, policy
from oracle.product import Answer, product_answer
from oracle.vocabulary import EVERY_PORT

from node.cluster import Node
from node.files import POD_RANGE
from node.scene import CLIENTS, NEEDED, SPACES, TARGETS, objects
from node.surroundings import OUTSIDE_ADDRESSES
from webhook.netpol import ClusterSnapshot, Connection, evaluate

SUBJECT = "subject"
ENFORCED_SECONDS = 20
RUNNING_SECONDS = 120
# How the enforcer treats an ipBlock, and the addresses of pods: settings of the service, as a user would set them.
KNOWN = {"EEM_GUARDRAIL_IPBLOCK_MATCHES_PODS": "yes", "EEM_GUARDRAIL_POD_CIDR": POD_RANGE}
SETTINGS = Settings(ipblock_matches_pods="yes", pod_cidrs=(POD_RANGE,))
STATE = "namespaces,pods,deployments,replicasets,eventgateways,eventendpointmanagements"
ENDS = {"open": True, "closed": False}

Matrix = dict[tuple[str, str, int], bool]  # source, destination, port: whether the connection is open


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The policies of one seed, and the change."""

    seed: int
    operation: str
    around: list[Json]
    before: Json | None
    after: Json | None


@dataclass(kw_only=True, slots=True)
class Report:
    """The results of all seeds."""

    counts: Counter[str] = field(default_factory=Counter)
    disagreements: list[str] = field(default_factory=list)


def planned(seed: int) -> Plan:
    """Make the policies and the change of one seed."""
    rng = seeded(seed)
    operation, before, after, others = rng.choice(PLANS)(rng, ipv6=False)
    around = [policy(f"other-{at}", spec, PACKETS) for at, spec in enumerate(others)]
    spaces = [space for space in (PACKETS, "shop") if rng.random() < 0.4]
    around += [policy("both-ways", both_ways(rng, ipv6=False), space) for space in spaces]
    old, new = (None if spec is None else policy(SUBJECT, spec, PACKETS) for spec in (before, after))
    return Plan(seed=seed, operation=operation, around=around, before=old, after=new)


class Packets:
    """The scene on a node, and the seeds that are tried on it."""

    def __init__(self, machine: Node, guard: Guard) -> None:
        self._machine = machine
        self._guard = guard
        self._state: list[Json] = []
        self._addresses: dict[str, str] = {}
        self.report = Report()

    @contextlib.contextmanager
    def set_up(self) -> Iterator[None]:
        """Create the scene and the settings of the service for it, and remove both at the end."""
        self._machine.must("apply", "-f", "-", stdin=listed(*objects()))
        self._machine.must("annotate", "namespace", PACKETS, "eem-guardrail.io/mode=audit", "--overwrite")
        with self._guard.given(KNOWN):
            wait_until(self._runs, "every pod of the scene to run", seconds=RUNNING_SECONDS)
            self._state = self._machine.must("get", STATE, "-A", "--output=json").json["items"]
            yield
        self._machine.must("delete", "namespace", *SPACES)

    def _runs(self) -> bool:
        found = self._machine.must("get", "pods", "-A", "--output=json").json["items"]
        pods = [one for one in found if one["metadata"]["namespace"] in SPACES]
        self._addresses = {
            f"{one['metadata']['namespace']}/{one['metadata']['name']}": one["status"].get("podIP", "") for one in pods
        }
        wanted = sum(one["kind"] in {"Pod", "Deployment"} for one in objects())
        return len(pods) == wanted and all(one["status"]["phase"] == "Running" for one in pods)

    def play(self, seed: int) -> bool:
        """Try one seed. Return False if the API server rejects its policies."""
        plan = planned(seed)
        self._clear()
        before = [*plan.around, *([plan.before] if plan.before else [])]
        since = time.time()
        if before and self._machine.kubectl("create", "-f", "-", stdin=listed(*before)).status != 0:
            return False
        policies = self._until_enforced()
        if policies:
            self._guard.until_told("networkpolicies", since)
        self._guard.until_seen(["networkpolicies"])
        reached = self._measure(plan, policies)
        answer = self._change(plan, policies)
        if answer is None:
            return False
        self._hold(plan, answer, reached, self._measure(plan, self._until_enforced()))
        return True

    def _clear(self) -> None:
        """Delete every policy except the service's own."""
        there = [one for one in self._policies() if one["metadata"]["namespace"] in SPACES]
        if there:
            self._machine.must("delete", "-f", "-", stdin=listed(*there))

    def _policies(self) -> list[Json]:
        found: list[Json] = self._machine.must("get", "networkpolicies", "-A", "--output=json").json["items"]
        return found

    def _until_enforced(self) -> list[Json]:
        """Wait until exactly the existing policies are in force, and return those of the scene."""
        policies = self._policies()
        wanted = {
            f"# policy {one['metadata']['namespace']}/{one['metadata']['name']} {one['metadata']['resourceVersion']}"
            for one in policies
        }

        def look() -> bool:
            return {line for line in self._machine.enforced.splitlines() if line.startswith("# policy")} == wanted

        wait_until(look, "the policies to be in force", seconds=ENFORCED_SECONDS)
        return [one for one in policies if one["metadata"]["namespace"] in SPACES]

    def _change(self, plan: Plan, policies: Sequence[Json]) -> Answer | None:
        """Make the change, and return the verdict of the code, with which the verdict of the service must agree."""
        since = math.floor(time.time() * 1000) / 1000
        if plan.after is None:
            done = self._machine.kubectl("delete", "networkpolicy", SUBJECT, f"--namespace={PACKETS}")
        else:
            verb = "create" if plan.operation == "CREATE" else "replace"
            done = self._machine.kubectl(verb, "-f", "-", stdin=listed(plan.after))
        if done.status != 0:
            return None
        old, new = named(policies), named(self._policies())
        change = Change(operation=plan.operation, namespace=PACKETS, name=SUBJECT, object=new, old_object=old)
        answer = product_answer(Pair(objects=[*self._state, *policies], change=change, settings=SETTINGS))
        if old is None or new is None or old["spec"] != new["spec"]:  # otherwise the API server asks no webhook
            said = self._guard.decisions.next_about(PACKETS, plan.operation, SUBJECT, since)
            loses = "lost" in {outcome for _, outcome in answer.found}
            refuses = said.result == "audited" and said.message != ""  # without a message it is a warning
            if refuses != loses:
                self._disagree(plan, f"the service said {said.result}, and the code beside us {answer}")
        self.report.counts[plan.operation] += 1
        return answer

    def _measure(self, plan: Plan, policies: Sequence[Json]) -> Matrix:
        """Try every connection, and compare the results with what `explain` says."""
        found = self._try_all()
        snapshot = ClusterSnapshot.from_objects([*self._state, *policies])
        for (source, destination, port), is_open in found.items():
            asked = Connection(source=source, destination=destination, protocol="TCP", port=port)
            verdict = evaluate(asked, snapshot, ipblock_matches_pods="yes")
            self.report.counts["open" if is_open else "closed"] += 1
            if not verdict.decided or verdict.allowed != is_open:
                said = "allowed" if verdict.allowed else "denied"
                what = "open" if is_open else "closed"
                self._disagree(plan, f"{source} to {destination} port {port}: {what}, and explained as {said}")
        return found

    def _try_all(self) -> Matrix:
        ends = {**self._addresses, **{address: address for address in OUTSIDE_ADDRESSES}}
        goals = [(name, address) for name, address in self._addresses.items() if self._listens(name)]
        targets = [(name, address, port) for name, address in goals for port in EVERY_PORT]
        asked = {"clients": list(ends.values()), "targets": [(address, port) for _, address, port in targets]}
        done = self._machine.inside(sys.executable, "-m", "node.probing", stdin=json.dumps(asked))
        if done.status != 0:
            raise AssertionError(done.stderr)
        return {
            (source, destination, port): ENDS[outcome]
            for source, outcomes in zip(ends, done.json, strict=True)
            for (destination, _, port), outcome in zip(targets, outcomes, strict=True)
        }

    def _listens(self, name: str) -> bool:
        return name in TARGETS or name.startswith(f"{PACKETS}/ibm-eem-operator-")

    def _hold(self, plan: Plan, answer: Answer, before: Matrix, after: Matrix) -> None:
        """Compare the verdict with the lost connections from other namespaces and from outside."""
        told = {(one.kind, one.name, one.port) for (one, outcome) in answer.found if outcome == "lost"}
        self.report.counts["refused" if told else "admitted"] += 1
        for needed in NEEDED:
            for port in needed.ports:
                target = f"{PACKETS}/{needed.pod}"
                cut_off = [
                    source
                    for (source, destination, number), was_open in before.items()
                    if (destination, number) == (target, port)
                    and was_open
                    and not after[source, destination, number]
                    and not source.startswith(f"{PACKETS}/")  # their own egress may be closed
                ]
                is_told = (needed.kind, needed.instance, port) in told
                if cut_off and not is_told:
                    self._disagree(plan, f"{target} port {port} is lost to {cut_off}, and the verdict does not say so")
                self.report.counts["lost"] += is_told
                self.report.counts["lost in packets"] += bool(cut_off)
                self.report.counts["lost in packets and told"] += bool(cut_off) and is_told

    def _disagree(self, plan: Plan, text: str) -> None:
        said = f"seed {plan.seed}: {text}"
        self.report.disagreements.append(said)
        print(said, file=sys.stderr, flush=True)

    def run(self, sets: int, first: int = 0) -> Report:
        """Try seeds from *first* on, until the API server has accepted the policies of *sets* of them."""
        with self.set_up():
            self._check_that_all_is_open_without_policies()
            seed = first
            with contextlib.suppress(KeyboardInterrupt):  # the seeds tried so far are reported
                while self.report.counts["sets"] < sets:
                    taken = self.play(seed)
                    self.report.counts["sets" if taken else "not taken"] += 1
                    print(f"seed {seed}: {'played' if taken else 'not taken'}", file=sys.stderr, flush=True)
                    seed += 1
        return self.report

    def _check_that_all_is_open_without_policies(self) -> None:
        """Check that without a policy every connection is open: a policy has closed each port that is closed later."""
        self._clear()
        self._until_enforced()
        shut = [one for one, is_open in self._try_all().items() if not is_open]
        if shut:
            raise AssertionError(f"closed without any policy: {shut[:5]}")


def named(policies: Sequence[Json]) -> Json | None:
    """Return the policy that the change is about."""
    wanted = {"namespace": PACKETS, "name": SUBJECT}
    return next((one for one in policies if wanted.items() <= one["metadata"].items()), None)


def table(report: Report) -> str:
    """Return the page of the documentation."""
    counts = report.counts
    rows = {
        "sets of policies, each with a change": counts["sets"],
        "sets that the API server itself refuses": counts["not taken"],
        "connections tried": counts["open"] + counts["closed"],
        "of these open": counts["open"],
        "of these closed": counts["closed"],
        "changes: CREATE, UPDATE, DELETE": f"{counts['CREATE']}, {counts['UPDATE']}, {counts['DELETE']}",
        "changes that enforce would admit": counts["admitted"],
        "changes that enforce would refuse": counts["refused"],
        "required ports that a verdict calls lost": counts["lost"],
        "required ports that a source in the test lost": counts["lost in packets"],
        "of these in the verdict": counts["lost in packets and told"],
        "disagreements": len(report.disagreements),
    }
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join([PAGE, "| | |", "|---|---|", *lines, "", *(f"- {one}" for one in report.disagreements)]).rstrip()


PAGE = f"""\
# Verdicts against packets

This page shows that verdicts agree with what a network plugin lets through. It is the output of
`PYTHONPATH=.:tests:tests/e2e python -m node.packets 200`, run as root on a machine that can be a node (see
[CONTRIBUTING](../../.github/CONTRIBUTING.md)). The test suite runs the first 20 of the same sets with
`pytest -m e2e --cluster node`.

A generator makes each set from its number: existing policies, and one change. The set is applied to a real API server
on a node with a kubelet, with the service in audit mode. Pods with the labels of Event Endpoint Management listen on
{", ".join(map(str, EVERY_PORT))}. {len(CLIENTS)} pods in each of {len(SPACES)} namespaces
and {len(OUTSIDE_ADDRESSES)} addresses outside the cluster try to connect, before the change and after it.
The test compares

- every connection with what `explain` says about it,
- every required port that the change closes for a source outside the instance's namespace with the verdict,
- the verdict of the running service with the verdict of the code in the test.

A verdict takes every possible pod and address into account, so it may call a port lost that none of these sources has
lost. An enforcer of the tests (`tests/controlplane/enforcer`) drops the packets; it lets an `ipBlock` match the
addresses of pods, and the service is told that and the range of the pods. Only IPv4 and TCP were tried.
"""


def main() -> int:
    """Try as many seeds as the first argument says, and print the page."""
    with tempfile.TemporaryDirectory(prefix="packets-") as folder:
        machine = Node(Path(folder), find_binaries())
        machine.start()
        try:
            guard = Guard(machine)
            guard.install()
            guard.add_kinds()
            report = Packets(machine, guard).run(*map(int, sys.argv[1:]))
        finally:
            machine.stop()
    print(table(report))
    return 1 if report.disagreements else 0


if __name__ == "__main__":
    raise SystemExit(main())
