"""Every setting of the service and of the command line: name, default, unit, meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

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

if TYPE_CHECKING:
    from webhook.admission.options import Mode, Options
    from webhook.eem.instances import SourcesDemand
    from webhook.eem.rules import Platform, Setting, Version

LOG_LEVELS = ("debug", "info", "warning", "error")


def _setting(read: Callable[[str], Any], default: Any, text: str, *, shown: str = "", metavar: str = "") -> Any:
    metadata = {"read": read, "help": text, "shown": shown, "metavar": metavar}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All settings; `Settings()` is what holds where nobody says anything."""

    mode: Mode = _setting(
        one_of("enforce", "warn", "audit"),
        "enforce",
        "what a refusal becomes where the namespace's annotation says nothing: refuse, warn, or only note it",
        metavar="enforce|warn|audit",
    )
    strict: bool = _setting(switch, False, "count what becomes undecided as lost")  # noqa: FBT003  a default, not a call
    sources: SourcesDemand = _setting(
        one_of("anywhere", "some"),
        "anywhere",
        "who must be able to connect to manager and gateway; `some` lets an edit narrow who may",
        metavar="anywhere|some",
    )
    ipblock_matches_pods: IPBlockMatchesPods = _setting(
        one_of("yes", "no", "unknown"),
        "unknown",
        "whether this cluster's network plugin lets an ipBlock admit pods (Calico: yes; Cilium: no)",
        metavar="yes|no|unknown",
    )
    pod_cidr: tuple[str, ...] = _setting(
        cidrs, (), "the cluster's pod ranges, several with commas between", shown="not known", metavar="CIDR"
    )
    ip_families: tuple[int, ...] | None = _setting(
        families, None, "address families in use", shown="as the pods' addresses show", metavar="IPv4,IPv6"
    )
    operator_service_account: str | None = _setting(
        account,
        None,
        "the EEM operator's service account, whose changes pass",
        shown="the one that the operator's Deployment names",
        metavar="NAMESPACE/NAME",
    )
    eem_version: Version | None = _setting(
        version,
        None,
        "EEM version that the rules follow where the cluster tells none",
        shown="the newest known",
        metavar="X.Y.Z",
    )
    platform: Platform | None = _setting(
        one_of("kubernetes", "openshift"),
        None,
        "platform that the rules follow",
        shown="found out from the cluster; from files: not known",
        metavar="kubernetes|openshift",
    )
    rule: Mapping[str, Setting] | None = _setting(
        severities,
        None,
        "severity of single rules, several with commas between",
        shown="as the table has it",
        metavar="ID=deny|warn|off",
    )
    defaults: bool = _setting(
        switch,
        True,  # noqa: FBT003  a default, not a call
        "fill in documented defaults when an EEM resource is made",
        metavar="on|off",
    )
    bind: str = _setting(address, "0.0.0.0", "address to listen on, for both ports", metavar="ADDRESS")  # noqa: S104
    https_port: int = _setting(port, 8443, "port for the API server", metavar="PORT")
    http_port: int = _setting(port, 8080, "port for probes and metrics", metavar="PORT")
    tls_dir: Path | None = _setting(
        Path,
        None,
        "folder with tls.crt, tls.key and ca.crt, read anew when they change",
        shown="own certificates, from the Secret eem-guardrail-tls; with --state: a pair in memory",
        metavar="DIR",
    )
    tls_min_version: Literal["1.2", "1.3"] = _setting(
        one_of("1.2", "1.3"), "1.3", "oldest TLS version to speak", metavar="1.2|1.3"
    )
    drain_seconds: float = _setting(
        seconds,
        12.0,
        "how long to go on answering after SIGTERM: until every API server has heard that this replica leaves",
        metavar="SECONDS",
    )
    stale_seconds: float = _setting(
        silence,
        300.0,
        "how long the API server may be silent before this replica leaves reviews to others",
        metavar="SECONDS",
    )
    register: bool = _setting(
        switch,
        True,  # noqa: FBT003  a default, not a call
        "keep the webhook configurations: the caBundle, and the whole entry for NetworkPolicies",
        metavar="on|off",
    )
    failure_policy: Literal["Fail", "Ignore"] = _setting(
        one_of("Fail", "Ignore"),
        "Fail",
        "what a change of a NetworkPolicy meets in a guarded namespace while no replica answers",
        metavar="Fail|Ignore",
    )
    ca_seconds: float = _setting(
        duration, 31_536_000.0, "how long an own authority lasts; the next takes over at two thirds", metavar="SECONDS"
    )
    leaf_seconds: float = _setting(
        duration, 604_800.0, "how long an own serving certificate lasts; renewed at two thirds", metavar="SECONDS"
    )
    propagation_seconds: float = _setting(
        duration,
        60.0,
        "how long a new authority is seen in every configuration before it signs: until every API server trusts it",
        metavar="SECONDS",
    )
    log_format: Literal["text", "json"] = _setting(
        one_of("text", "json"), "text", "form of the log on standard error", metavar="text|json"
    )
    log_level: str = _setting(one_of(*LOG_LEVELS), "info", "least severe line to log", metavar="|".join(LOG_LEVELS))
    service_account_dir: Path = _setting(
        Path,
        Path("/var/run/secrets/kubernetes.io/serviceaccount"),
        "folder with the token and ca.crt of the pod's service account",
        metavar="DIR",
    )
    kubeconfig: str | None = _setting(
        str, None, "kubeconfig to use outside a cluster", shown="in-cluster", metavar="FILE"
    )
    context: str | None = _setting(str, None, "context of the kubeconfig", shown="its current one", metavar="NAME")

    def options(self) -> Options:
        """Give what decisions rest on."""
        from webhook.admission.options import Options  # noqa: PLC0415  see above

        return Options(
            mode=self.mode,
            strict=self.strict,
            sources=self.sources,
            ipblock_matches_pods=self.ipblock_matches_pods,
            pod_cidrs=self.pod_cidr,
            ip_families=self.ip_families,
            operator_service_account=self.operator_service_account,
            eem_version=self.eem_version,
            platform=self.platform,
            severities=self.rule or {},
            defaults=self.defaults,
        )
