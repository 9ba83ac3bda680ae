"""
Every setting of the service and of the command line: name, group, default, unit and meaning.

To add a setting, add a field to `Settings`. The field makes the flag, the environment variable and the row in
docs/settings.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from webhook.netpol.snapshot import Plugin
from webhook.netpol.sources.universe import IPBlockMatchesPods
from webhook.settings.values import (
    account,
    address,
    cidrs,
    duration,
    families,
    one_of,
    port,
    seconds,
    severities,
    silence,
    switch,
    version,
)

if TYPE_CHECKING:  # a command that decides nothing starts without these modules, 75 ms sooner
    from webhook.admission.options import EgressMode, Mode, Options
    from webhook.eem.instances import SourcesDemand
    from webhook.eem.paths import ServiceTranslation
    from webhook.eem.rules import Platform, ProductVersion, RuleSetting

LOG_LEVELS: Final = ("debug", "info", "warning", "error")

_Group = Literal["decision", "serving", "logging", "connection"]


def _setting(  # noqa: PLR0913 - one argument for each part of a setting
    group: _Group, read: Callable[[str], Any], default: Any, text: str, *, shown: str = "", metavar: str = ""
) -> Any:
    """
    Return the field of one setting.

    Args:
        group: the commands that have the setting; see the groups below.
        read: reads the value from text; raises ValueError for one that the setting cannot have.
        text: the meaning, for `--help` and docs/settings.md.
        shown: what both show as the default, if that is not the value.
        metavar: the values, or the name of their form.
    """
    metadata = {"group": group, "read": read, "help": text, "shown": shown, "metavar": metavar}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All settings; `Settings()` has the defaults."""

    mode: Mode = _setting(
        "decision",
        one_of("enforce", "warn", "audit"),
        "enforce",
        "whether a refusal is enforced, becomes a warning, or is only recorded; an annotation of the namespace "
        "overrides this setting",
        metavar="enforce|warn|audit",
    )
    strict: bool = _setting(
        "decision",
        switch,
        False,  # noqa: FBT003  a default, not a call
        "also refuse changes that might remove required access",
    )
    sources: SourcesDemand = _setting(
        "decision",
        one_of("anywhere", "some"),
        "anywhere",
        "who must be able to connect to manager and gateway; with `some`, at least one source must remain",
        metavar="anywhere|some",
    )
    egress: EgressMode = _setting(
        "decision",
        one_of("off", "warn", "enforce"),
        "warn",
        "what happens to a change that cuts off egress that EEM needs: nothing, a warning, or a refusal if the mode "
        "is enforce; an annotation of the namespace overrides this setting",
        metavar="off|warn|enforce",
    )
    service_translation: ServiceTranslation = _setting(
        "decision",
        one_of("unknown", "before-policy", "after-policy"),
        "unknown",
        "when the network plugin translates the address of a Service: before it applies egress policies, which then "
        "see the pods (OVN-Kubernetes, Calico, Cilium), or after",
        metavar="unknown|before-policy|after-policy",
    )
    plugin: Plugin = _setting(
        "decision",
        one_of("auto", "ovn-kubernetes", "calico", "cilium", "other"),
        "auto",
        "the network plugin of the cluster, which decides whether Calico's policies count; auto: detected from the "
        "DaemonSets",
        metavar="auto|ovn-kubernetes|calico|cilium|other",
    )
    ipblock_matches_pods: IPBlockMatchesPods = _setting(
        "decision",
        one_of("yes", "no", "unknown"),
        "unknown",
        "whether an ipBlock matches pods with the network plugin of the cluster (Calico: yes; Cilium: no)",
        metavar="yes|no|unknown",
    )
    pod_cidr: tuple[str, ...] = _setting(
        "decision",
        cidrs,
        (),
        "the pods' address ranges, separated by commas",
        shown="not known",
        metavar="CIDR",
    )
    ip_families: tuple[int, ...] | None = _setting(
        "decision",
        families,
        None,
        "address families of the cluster, separated by commas",
        shown="those of the pods' addresses",
        metavar="IPv4,IPv6",
    )
    operator_service_account: str | None = _setting(
        "decision",
        account,
        None,
        "service account of the EEM operator, whose changes are allowed without evaluation",
        shown="ibm-eem-operator of the namespace that Helm or OLM recorded on EEM's resource definitions",
        metavar="NAMESPACE/NAME",
    )
    eem_version: ProductVersion | None = _setting(
        "decision",
        version,
        None,
        "EEM version for the rules, if it cannot be read from the cluster",
        shown="the newest known version",
        metavar="X.Y.Z",
    )
    platform: Platform | None = _setting(
        "decision",
        one_of("kubernetes", "openshift"),
        None,
        "platform for the rules",
        shown="read from the cluster; for files: not known",
        metavar="kubernetes|openshift",
    )
    rule: Mapping[str, RuleSetting] | None = _setting(
        "decision",
        severities,
        None,
        "severity of single rules, separated by commas",
        shown="as in the table of rules",
        metavar="ID=deny|warn|off",
    )
    defaults: bool = _setting(
        "serving",
        switch,
        True,  # noqa: FBT003  a default, not a call
        "whether to fill in documented defaults when an EEM resource is created",
        metavar="on|off",
    )
    bind: str = _setting("serving", address, "0.0.0.0", "address to listen on, for both ports", metavar="ADDRESS")  # noqa: S104
    https_port: int = _setting("serving", port, 8443, "HTTPS port for the API server", metavar="PORT")
    http_port: int = _setting("serving", port, 8080, "HTTP port for probes and metrics", metavar="PORT")
    local_port: int = _setting(
        "serving",
        port,
        8088,
        "HTTP port on 127.0.0.1 for the report page and the audit, which show details of the cluster",
        metavar="PORT",
    )
    tls_dir: Path | None = _setting(
        "serving",
        Path,
        None,
        "folder with tls.crt, tls.key and ca.crt, which are read again when they change",
        shown="own certificates, in the Secret eem-guardrail-tls; with --state: a pair in memory",
        metavar="DIR",
    )
    tls_min_version: Literal["1.2", "1.3"] = _setting(
        "serving", one_of("1.2", "1.3"), "1.3", "oldest TLS version to accept", metavar="1.2|1.3"
    )
    drain_seconds: float = _setting(
        "serving",
        seconds,
        12.0,
        "how long to serve after SIGTERM, until every API server knows that this replica terminates",
        metavar="SECONDS",
    )
    stale_seconds: float = _setting(
        "serving",
        silence,
        300.0,
        "how long the API server may be silent before this replica becomes unready",
        metavar="SECONDS",
    )
    register: bool = _setting(
        "serving",
        switch,
        True,  # noqa: FBT003  a default, not a call
        "whether the service writes its part of the webhook configurations: caBundle, entry for NetworkPolicies",
        metavar="on|off",
    )
    failure_policy: Literal["Fail", "Ignore"] = _setting(
        "serving",
        one_of("Fail", "Ignore"),
        "Fail",
        "what the API server does with a change of a NetworkPolicy in a guarded namespace while no replica answers",
        metavar="Fail|Ignore",
    )
    cluster_policy_failure_policy: Literal["Ignore", "Fail"] = _setting(
        "serving",
        one_of("Ignore", "Fail"),
        "Ignore",
        "what the API server does with a change of a cluster-wide policy while no replica answers",
        metavar="Ignore|Fail",
    )
    reports: bool = _setting(
        "serving",
        switch,
        False,  # noqa: FBT003  a default, not a call
        "whether the leader writes the audit as a Report of OpenReports in each namespace with EEM, if the cluster has "
        "that kind",
        metavar="on|off",
    )
    ca_seconds: float = _setting(
        "serving",
        duration,
        31_536_000.0,
        "lifetime of the service's own CA, which is replaced after two thirds of it",
        metavar="SECONDS",
    )
    leaf_seconds: float = _setting(
        "serving",
        duration,
        604_800.0,
        "lifetime of the service's own serving certificate, which is renewed at two thirds of it",
        metavar="SECONDS",
    )
    propagation_seconds: float = _setting(
        "serving",
        duration,
        60.0,
        "how long a new CA is in every configuration before it signs, so that every API server trusts it",
        metavar="SECONDS",
    )
    log_format: Literal["text", "json"] = _setting(
        "logging", one_of("text", "json"), "text", "format of the log on standard error", metavar="text|json"
    )
    log_level: str = _setting(
        "logging", one_of(*LOG_LEVELS), "info", "lowest level to log", metavar="|".join(LOG_LEVELS)
    )
    service_account_dir: Path = _setting(
        "serving",
        Path,
        Path("/var/run/secrets/kubernetes.io/serviceaccount"),
        "folder with the token and ca.crt of the pod's service account",
        metavar="DIR",
    )
    kubeconfig: str | None = _setting(
        "connection", str, None, "kubeconfig file, for use outside a cluster", shown="in-cluster", metavar="FILE"
    )
    context: str | None = _setting(
        "connection", str, None, "context of the kubeconfig", shown="its current context", metavar="NAME"
    )

    def options(self) -> Options:
        """Return the options of a decision."""
        from webhook.admission.options import Options  # noqa: PLC0415  see above

        return Options(
            mode=self.mode,
            strict=self.strict,
            sources=self.sources,
            egress=self.egress,
            service_translation=self.service_translation,
            plugin=self.plugin,
            ipblock_matches_pods=self.ipblock_matches_pods,
            pod_cidrs=self.pod_cidr,
            ip_families=self.ip_families,
            operator_service_account=self.operator_service_account,
            eem_version=self.eem_version,
            platform=self.platform,
            severities=self.rule or {},
            defaults=self.defaults,
        )


def _names(group: _Group) -> tuple[str, ...]:
    return tuple(known.name for known in fields(Settings) if known.metadata["group"] == group)


DECISION: Final = _names("decision")
"""The settings that change verdicts: every command that judges has them."""
SERVING: Final = _names("serving")
LOGGING: Final = _names("logging")
CONNECTION: Final = _names("connection")
"""The settings that choose an API server outside a cluster."""
