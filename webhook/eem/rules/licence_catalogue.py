"""
The licences under which Event Endpoint Management is sold, and what each allows.

Source: EEM documentation, "Licensing" and "Licences of earlier releases"; the licence lists of the operator's CSV,
11.0.4 to 11.8.1. The span of versions is the wider of the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from webhook.eem.rules.product_version import ProductVersion

CORES = "VIRTUAL_PROCESSOR_CORE"
CALLS = "MONTHLY_API_CALL"
METRICS = frozenset({CORES, CALLS})

EVENT_AUTOMATION = "EventAutomation"
_CLOUD_PAK = "CloudPakForIntegration"
_WEB_METHODS = "WebMethodsHybridIntegration"
_ALL = ("Production", "NonProduction", "Development")
_NO_DEVELOPMENT = ("Production", "NonProduction")
_PRODUCTION = ("Production",)


def _uses() -> dict[str, ProductVersion]:
    first = {
        EVENT_AUTOMATION: ProductVersion.parse("11.0.0"),
        _CLOUD_PAK: ProductVersion.parse("11.0.0"),
        _WEB_METHODS: ProductVersion.parse("11.6.0"),
    }
    development = ProductVersion.parse("11.4.0")
    return {
        f"{programme}{purpose}": max(since, development) if purpose == "Development" else since
        for programme, since in first.items()
        for purpose in _ALL
    }


USES: Mapping[str, ProductVersion] = MappingProxyType(_uses())
"""Every value of `license.use`, with the version that brought it."""

OTHER_PRODUCTS: Mapping[str, str] = MappingProxyType({"L-PYRA-849GYQ": "Event Streams"})
"""Licences that are listed beside these and are for another product."""

WITHOUT_TERMS = ("L-DPTV-SYNAFJ", "L-JPYS-XJV9ZL", "L-VCNK-GTT2F3")
"""Licences of EEM 11.8.2 and 11.9.0: the ids are known, and their programmes, uses and metrics are not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Licence:
    """
    One licence.

    Args:
        programme: the beginning of every allowed `use`.
        purposes: the possible ends of it.
        until: the last version that offers the licence; None where the newest known one does.
    """

    id: str
    title: str
    programme: str
    purposes: tuple[str, ...]
    metric: str
    since: ProductVersion
    until: ProductVersion | None

    @property
    def uses(self) -> tuple[str, ...]:
        """The values of `license.use` that the licence allows."""
        return tuple(f"{self.programme}{purpose}" for purpose in self.purposes)

    def is_offered_by(self, version: ProductVersion) -> bool:
        """Whether *version* offers the licence, or may do so where it is only a lower bound."""
        return (self.since <= version or version.or_later) and (self.until is None or version <= self.until)


def _licence(  # noqa: PLR0913  the columns of the table below
    id_: str,
    title: str,
    programme: str,
    span: str,
    *,
    purposes: tuple[str, ...] = _ALL,
    metric: str = CORES,
) -> Licence:
    first, _, last = span.partition(" ")
    return Licence(
        id=id_,
        title=title,
        programme=programme,
        purposes=purposes,
        metric=metric,
        since=ProductVersion.parse(first),
        until=_last(last) if last else None,
    )


def _last(text: str) -> ProductVersion:
    """Parse the end of a span: a release, or a line of releases such as `11.0.x`."""
    return ProductVersion.last_of(text.removesuffix(".x")) if text.endswith(".x") else ProductVersion.parse(text)


def _cloud_pak(id_: str, release: str, span: str) -> Licence:
    return _licence(id_, f"Cloud Pak for Integration {release}", _CLOUD_PAK, span)


def _cloud_pak_calls(id_: str, release: str, span: str) -> Licence:
    title = f"Cloud Pak for Integration {release} API Calls"
    return _licence(id_, title, _CLOUD_PAK, span, purposes=_PRODUCTION, metric=CALLS)


def _event_automation(id_: str, release: str, span: str, *, purposes: tuple[str, ...] = _ALL) -> Licence:
    return _licence(id_, f"Event Automation {release}", EVENT_AUTOMATION, span, purposes=purposes)


def _web_methods(id_: str, release: str, span: str) -> Licence:
    return _licence(id_, f"webMethods Hybrid Integration {release}", _WEB_METHODS, span, metric=CALLS)


LICENCES: Mapping[str, Licence] = MappingProxyType(
    {
        licence.id: licence
        for licence in (
            _event_automation("L-HRZF-DWHH7A", "1.0", "11.0.0 11.3.0", purposes=_NO_DEVELOPMENT),
            _event_automation("L-KCVZ-JL5CRM", "1.1", "11.3.0 11.4.0"),
            _event_automation("L-AUKS-FKVXVL", "1.1", "11.4.0 11.5.1"),
            _event_automation("L-CYBH-K48BZQ", "1.2", "11.6.0"),
            _web_methods("L-SBZZ-CNR329", "11.2", "11.6.0"),
            _web_methods("L-HRAV-KRAE8U", "12.1", "11.7.4"),
            _cloud_pak("L-YBXJ-ADJNSM", "2023.2.1 Standard", "11.0.0 11.0.x"),
            _cloud_pak_calls("L-NRHE-WFD7EY", "2023.2.1", "11.0.0 11.0.x"),
            _cloud_pak("L-VTPK-22YZPK", "2023.4.1 Standard", "11.1.0 11.1.x"),
            _cloud_pak_calls("L-GGQD-G7AYJD", "2023.4.1", "11.1.0 11.1.x"),
            _cloud_pak("L-JTPV-KYG8TF", "16.1.0 Full", "11.2.0 11.7.4"),
            _cloud_pak("L-BMSF-5YDSLR", "16.1.0 Reserved", "11.2.0 11.7.4"),
            _cloud_pak_calls("L-FTGN-WUM5C5", "16.1.0", "11.2.0 11.7.4"),
            _cloud_pak("L-QYVA-B365MB", "16.1.1 Full", "11.4.0 11.5.1"),
            _cloud_pak("L-JVML-UFQVM4", "16.1.1 Reserved", "11.4.0 11.5.1"),
            _cloud_pak_calls("L-LPSD-FFAGXK", "16.1.1", "11.4.0 11.5.1"),
            _cloud_pak("L-CYPF-CRPF3H", "16.1.2 Full", "11.6.0 11.7.0"),
            _cloud_pak("L-MQQP-KBWMYE", "16.1.2 Reserved", "11.6.0 11.7.0"),
            _cloud_pak_calls("L-JVUW-LSTB9R", "16.1.2", "11.6.0 11.7.0"),
            _cloud_pak("L-SJZL-NMUUCT", "16.1.3 Full", "11.7.0 11.7.4"),
            _cloud_pak("L-JNME-56SJTB", "16.1.3 Reserved", "11.7.0 11.7.4"),
            _cloud_pak_calls("L-YPZT-N6DZVW", "16.1.3", "11.7.0 11.7.4"),
            _cloud_pak("L-EEPY-X55F4E", "16.1.3 with Agent and Event Streams DR, Full", "11.7.3 11.7.4"),
            _cloud_pak("L-YKPH-DG8FFX", "16.1.3 with Agent and Event Streams DR, Reserved", "11.7.3 11.7.4"),
            _cloud_pak("L-VEMB-RABZSN", "16.2.0 Full", "11.8.0"),
            _cloud_pak("L-UHEB-WGGTYF", "16.2.0 Reserved", "11.8.0"),
            _cloud_pak_calls("L-QXEH-527JUB", "16.2.0", "11.8.0"),
        )
    }
)
"""The catalogue by id. It grows with every release, so an id that is not in it may still be valid."""
