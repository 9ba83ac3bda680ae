"""
Every setting of the service and of the command line: name, default, unit, meaning.

A setting is a flag; the service also reads it from the environment as EEM_GUARDRAIL_<FLAG>. A flag beats the
environment, the environment beats the default. Whoever adds a field here gets the flag, the variable and the
documentation of both. What decisions are made of is imported when a setting of theirs is read: a command that decides
nothing does without.
"""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from webhook.netpol.universe import IPBlockMatchesPods, pod_ranges_of

if TYPE_CHECKING:
    from webhook.admission.options import Mode, Options
    from webhook.eem.instances import SourcesDemand
    from webhook.eem.rules import Platform, Setting, Version

PREFIX = "EEM_GUARDRAIL_"
LAST_PORT = 65535
FAMILIES = {"IPv4": 4, "IPv6": 6}
LOG_LEVELS = ("debug", "info", "warning", "error")


class SettingError(ValueError):
    """Tell that a setting has a value that it cannot have; the message names the flag or the variable."""


def _one_of(*known: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in known:
            raise ValueError(f"must be one of {', '.join(known)}, not {text!r}")
        return text

    return read


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= LAST_PORT):
        raise ValueError(f"must be a port between 0 and {LAST_PORT}, not {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ValueError(f"must be a number of seconds, not {text!r}")
    return value


def _switch(text: str) -> bool:
    if text.lower() not in {"on", "off", "true", "false"}:
        raise ValueError(f"must be on or off, not {text!r}")
    return text.lower() in {"on", "true"}


def _cidrs(text: str) -> tuple[str, ...]:
    cidrs = _words(text)
    pod_ranges_of(cidrs)
    return cidrs


def _families(text: str) -> tuple[int, ...]:
    names = _words(text)
    if not names or not all(name in FAMILIES for name in names):
        raise ValueError(f"must be IPv4, IPv6 or both with a comma between, not {text!r}")
    return tuple(sorted({FAMILIES[name] for name in names}))


def _account(text: str) -> str:
    namespace, slash, name = text.partition("/")
    if not (slash and namespace and name) or "/" in name:
        raise ValueError(f"must be NAMESPACE/NAME, not {text!r}")
    return text


def _severities(text: str) -> Mapping[str, Setting]:
    from webhook.eem.rules import severities_of  # noqa: PLC0415  see above

    return severities_of(_words(text))


def _version(text: str) -> Version:
    from webhook.eem.rules import Version  # noqa: PLC0415  see above

    return Version.parse(text)


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise ValueError(f"must be an IP address to listen on, not {text!r}") from error


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _setting(read: Callable[[str], Any], default: Any, text: str, *, shown: str = "", metavar: str = "") -> Any:
    metadata = {"read": read, "help": text, "shown": shown, "metavar": metavar}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All settings; `Settings()` is what holds where nobody says anything."""

    mode: Mode = _setting(
        _one_of("enforce", "warn", "audit"),
        "enforce",
        "what a refusal becomes where the namespace's annotation says nothing: refuse, warn, or only note it",
        metavar="enforce|warn|audit",
    )
    strict: bool = _setting(_switch, False, "count what becomes undecided as lost")  # noqa: FBT003  a default, not a call
    sources: SourcesDemand = _setting(
        _one_of("anywhere", "some"),
        "anywhere",
        "who must be able to connect to manager and gateway; `some` lets an edit narrow who may",
        metavar="anywhere|some",
    )
    ipblock_matches_pods: IPBlockMatchesPods = _setting(
        _one_of("yes", "no", "unknown"),
        "unknown",
        "whether this cluster's network plugin lets an ipBlock admit pods (Calico: yes; Cilium: no)",
        metavar="yes|no|unknown",
    )
    pod_cidr: tuple[str, ...] = _setting(
        _cidrs, (), "the cluster's pod ranges, several with commas between", shown="not known", metavar="CIDR"
    )
    ip_families: tuple[int, ...] | None = _setting(
        _families, None, "address families in use", shown="as the pods' addresses show", metavar="IPv4,IPv6"
    )
    operator_service_account: str | None = _setting(
        _account,
        None,
        "the EEM operator's service account, whose changes pass",
        shown="the one that the operator's Deployment names",
        metavar="NAMESPACE/NAME",
    )
    eem_version: Version | None = _setting(
        _version,
        None,
        "EEM version that the rules follow where the cluster tells none",
        shown="the newest known",
        metavar="X.Y.Z",
    )
    platform: Platform | None = _setting(
        _one_of("kubernetes", "openshift"),
        None,
        "platform that the rules follow",
        shown="found out from the cluster; from files: not known",
        metavar="kubernetes|openshift",
    )
    rule: Mapping[str, Setting] | None = _setting(
        _severities,
        None,
        "severity of single rules, several with commas between",
        shown="as the table has it",
        metavar="ID=deny|warn|off",
    )
    defaults: bool = _setting(
        _switch,
        True,  # noqa: FBT003  a default, not a call
        "fill in documented defaults when an EEM resource is made",
        metavar="on|off",
    )
    bind: str = _setting(_address, "0.0.0.0", "address to listen on, for both ports", metavar="ADDRESS")  # noqa: S104
    https_port: int = _setting(_port, 8443, "port for the API server", metavar="PORT")
    http_port: int = _setting(_port, 8080, "port for probes and metrics", metavar="PORT")
    tls_dir: Path | None = _setting(
        Path,
        None,
        "folder with tls.crt, tls.key and ca.crt, read anew when they change",
        shown="with --state: a pair of its own, in memory",
        metavar="DIR",
    )
    tls_min_version: Literal["1.2", "1.3"] = _setting(
        _one_of("1.2", "1.3"), "1.3", "oldest TLS version to speak", metavar="1.2|1.3"
    )
    drain_seconds: float = _setting(
        _seconds,
        12.0,
        "how long to go on answering after SIGTERM: until every API server has heard that this replica leaves",
        metavar="SECONDS",
    )
    log_format: Literal["text", "json"] = _setting(
        _one_of("text", "json"), "text", "form of the log on standard error", metavar="text|json"
    )
    log_level: str = _setting(_one_of(*LOG_LEVELS), "info", "least severe line to log", metavar="|".join(LOG_LEVELS))
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


class _Joined(argparse.Action):
    """Join the values of a repeated flag with commas, as the environment writes them."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Append one value."""
        del parser, option_string
        before = getattr(namespace, self.dest, None)
        setattr(namespace, self.dest, f"{before},{values}" if before else str(values))


DECISION = (
    "mode",
    "strict",
    "sources",
    "ipblock_matches_pods",
    "pod_cidr",
    "ip_families",
    "operator_service_account",
    "eem_version",
    "platform",
    "rule",
)
"""The settings that change verdicts: every command that judges has them."""

CONNECTION = ("kubeconfig", "context")
SERVING = (
    "defaults",
    "bind",
    "https_port",
    "http_port",
    "tls_dir",
    "tls_min_version",
    "drain_seconds",
    "service_account_dir",
)
LOGGING = ("log_format", "log_level")


def flag_of(name: str) -> str:
    """Give a setting's flag."""
    return "--" + name.replace("_", "-")


def variable_of(name: str) -> str:
    """Give a setting's environment variable."""
    return PREFIX + name.upper()


def add_flags(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """Add the flags of some settings; their values stay text until `settings_from` reads them."""
    for known in _known(names):
        default = known.metadata["shown"] or _shown(known.default)
        text = f"{known.metadata['help']} (default: {default}; {variable_of(known.name)})".replace("%", "%%")
        if known.name == "rule":
            parser.add_argument(
                flag_of(known.name),
                action=_Joined,
                dest=known.name,
                metavar=known.metadata["metavar"],
                help=f"{text}; may be repeated",
            )
        elif known.name == "strict":
            parser.add_argument(flag_of(known.name), action="store_const", const="on", dest=known.name, help=text)
        else:
            parser.add_argument(flag_of(known.name), dest=known.name, metavar=known.metadata["metavar"], help=text)


def settings_from(arguments: argparse.Namespace, environment: Mapping[str, str]) -> Settings:
    """
    Read the settings that a command has: its flags, then the environment, then the defaults.

    Raises:
        SettingError: a value is not one that the setting can have.
    """
    values: dict[str, Any] = {}
    for known in _known(name for name in vars(arguments) if name in _NAMES):
        text, origin = getattr(arguments, known.name), flag_of(known.name)
        if text is None:
            text, origin = environment.get(variable_of(known.name)), variable_of(known.name)
        if text is not None:
            try:
                values[known.name] = known.metadata["read"](text)
            except ValueError as error:
                raise SettingError(f"{origin}: {error}") from error
    return Settings(**values)


_NAMES = frozenset(known.name for known in fields(Settings))


def _known(names: Iterable[str]) -> list[Field[Any]]:
    wanted = set(names)
    return [known for known in fields(Settings) if known.name in wanted]


def _shown(default: object) -> str:
    if default is MISSING or default is None:
        return "none"
    return ("on" if default else "off") if isinstance(default, bool) else str(default)


__all__ = [
    "CONNECTION",
    "DECISION",
    "LOGGING",
    "SERVING",
    "SettingError",
    "Settings",
    "add_flags",
    "flag_of",
    "settings_from",
    "variable_of",
]
