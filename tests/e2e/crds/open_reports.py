"""
The definition of Report, as the Go module of its authors has it.

Source: github.com/openreports/reports-api, config/crd.
"""

from typing import Any

import yaml

from crds.go_modules import downloaded

MODULE = "github.com/openreports/reports-api"
VERSION = "v0.2.1"


def definition() -> dict[str, Any]:
    """Return the CustomResourceDefinition."""
    path = downloaded(MODULE, VERSION) / "config" / "crd" / "openreports.io_reports.yaml"
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found
