"""Pages of reports to look at in a browser."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from webhook.admission import Options
from webhook.admission.audit import audit
from webhook.admission.report import report
from webhook.eem import EemSnapshot
from webhook.report_page.page import report_page

ROOT = Path(__file__).resolve().parents[2]
AT = "2026-11-30T12:00:00.000Z"


@cache
def _objects(without: str) -> tuple[dict[str, Any], ...]:
    read = yaml.safe_load_all((ROOT / "docs/examples/cluster.yaml").read_text())
    return tuple(one for one in read if one["metadata"]["name"] != without)


def example(without: str = "") -> dict[str, Any]:
    """Return the report on the example cluster, without the policy of this name."""
    snapshot = EemSnapshot.from_objects(_objects(without))
    return json.loads(json.dumps(report(audit(snapshot, Options()), snapshot, Options())))  # type: ignore[no-any-return]


def healthy() -> str:
    """Return the page of a cluster in which everything holds."""
    return report_page(example(), at=AT, live=False)


def broken() -> str:
    """Return the page of a cluster in which a port of the gateway is closed."""
    return report_page(example("gw-ingress"), at=AT, live=False)
