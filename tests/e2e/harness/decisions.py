"""What the service says that it decided, taken line by line so that no line proves two things."""

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.machine import Answer
from harness.waiting import wait_until

POLICIES = "networkpolicies.eem-guardrail.io"
INSTANCES = "eem.eem-guardrail.io"
DEFAULTS = "defaults.eem-guardrail.io"

WARNING = "Warning: "
HEARD_SECONDS = 30  # the service writes a line as it answers; what is waited for is the file


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """One line of the decision log."""

    time: str
    uid: str
    operation: str
    kind: str
    namespace: str
    name: str
    user: str
    result: str
    code: int
    message: str
    milliseconds: float


class DecisionLog:
    """What one webhook decided, in the logs of all replicas, those that have ended included."""

    def __init__(self, folder: Path, pattern: str, webhook: str) -> None:
        self._folder = folder
        self._pattern = pattern
        self._webhook = webhook
        self._heard: set[str] = set()

    def files(self) -> list[Path]:
        """Return the log of each replica that ever ran."""
        return sorted(self._folder.glob(self._pattern))

    def raw_lines(self) -> Iterator[str]:
        """Yield every line that any replica has written so far, whatever it is."""
        for path in self.files():
            yield from complete_lines(path)

    def _decisions(self) -> Iterator[Decision]:
        names = Decision.__dataclass_fields__
        for line in self.raw_lines():
            fields: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
            if (fields.get("event"), fields.get("webhook")) == ("decision", self._webhook):
                yield Decision(**{name: fields[name] for name in names})

    def unheard(self, namespace: str) -> list[Decision]:
        """Return the decisions about *namespace* that no assertion has taken yet."""
        return [one for one in self._decisions() if one.namespace == namespace and one.uid not in self._heard]

    def heard(self, namespace: str, operation: str, name: str | None, result: str, user: str | None = None) -> Decision:
        """
        Return the decision about one change and remove it from the log, so that no other assertion uses it.

        Raises:
            TimeoutError: the service was not asked, or decided otherwise; the text has what it did decide.
        """

        def look() -> Decision | None:
            for one in self.unheard(namespace):
                if (one.operation, one.result) != (operation, result):
                    continue
                if name in (None, one.name) and user in (None, one.user):
                    return one
            return None

        wanted = f"{result} {operation} {namespace}/{name or '*'} by {user or 'anyone'}"
        try:
            found = wait_until(look, wanted, seconds=HEARD_SECONDS)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; untaken: {self.unheard(namespace)}") from None
        self._heard.add(found.uid)
        return found

    def next_about(self, namespace: str, operation: str, name: str, since: float) -> Decision:
        """Wait for the decision about one change that was made after *since* (Unix time), whatever it is; take it."""

        def look() -> Decision | None:
            return next(
                (
                    one
                    for one in self.unheard(namespace)
                    # By its time: what was decided before may reach the file only now.
                    if (one.operation, one.name) == (operation, name) and moment(one) >= since
                ),
                None,
            )

        found = wait_until(look, f"{operation} {namespace}/{name}", seconds=HEARD_SECONDS)
        self._heard.add(found.uid)
        return found

    def forget(self, namespace: str) -> None:
        """Remove every decision so far: only later ones count."""
        self._heard.update(one.uid for one in self.unheard(namespace))

    def until_marked(self, namespace: str, name: str) -> None:
        """Wait for the line about a policy *name* that no other test uses, and remove it."""

        def look() -> Decision | None:
            return next((one for one in self.unheard(namespace) if one.name == name), None)

        self._heard.add(wait_until(look, f"the mark {namespace}/{name}", seconds=HEARD_SECONDS).uid)


def moment(decision: Decision) -> float:
    """Return the time of a decision, in Unix time; the log has milliseconds."""
    return dt.datetime.fromisoformat(decision.time).timestamp()


def warnings(answer: Answer) -> list[str]:
    """Return the warnings that kubectl printed, one for each line."""
    return [line.removeprefix(WARNING) for line in answer.stderr.splitlines() if line.startswith(WARNING)]


def faults(answer: Answer) -> dict[str, str]:
    """Return the faults of an invalid object that kubectl printed, by field."""
    _, _, told = answer.stderr.partition('" is invalid: ')
    return dict(line.removeprefix("* ").split(": ", 1) for line in told.splitlines() if line)


def complete_lines(path: Path) -> list[str]:
    """Read the lines of a file that another process is writing, without one that is not finished."""
    text = path.read_text()
    return text[: text.rfind("\n") + 1].splitlines()


def refusal(answer: Answer) -> str:
    """Return the text of the service's refusal that kubectl printed; "" if it printed something else."""
    _, found, text = answer.stderr.partition(f'admission webhook "{POLICIES}" denied the request: ')
    return text.strip() if found and answer.status == 1 and "(Forbidden)" in answer.stderr else ""
