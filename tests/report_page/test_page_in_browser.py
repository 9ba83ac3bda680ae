"""The report page in a browser: what it shows, and what pointing, keys, filters and links do."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from report_page.browsing import broken, example, healthy

from webhook.report_page.page import report_page

pytestmark = pytest.mark.commands("chromium")

WCAG = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}}
PHONE = {"width": 390, "height": 844}
MIB = 1024 * 1024
MOST_BYTES = 3 * MIB
HOSTILE = "<script>document.title='hacked'</script><img src=x onerror=alert(1)>\u202e\"'&{{7*7}}"

Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Return what opens a page from a file, and fails the test if the browser complains or asks the network."""
    complaints: list[str] = []
    contexts = []
    blocks = request.node.name == "test_what_the_page_does_not_name_cannot_run"

    def opened(html: str, fragment: str = "", **settings: Any) -> Page:
        (tmp_path / "report.html").write_text(html)
        context = browser.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request", lambda asked: None if asked.url.startswith(("file:", "data:")) else complaints.append(asked.url)
        )
        page.goto(f"file://{tmp_path}/report.html{fragment}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [
        one for one in complaints if "violates the following Content Security Policy" not in one or not blocks
    ] == []


def test_the_drawing_shows_sources_policies_and_pods(open_page: Open) -> None:
    """Each port is a line in the box of its pods."""
    page = open_page(healthy())

    expect(page.get_by_text("✓ All 3 required ports are open")).to_be_visible()
    for text in ("everyone", "mgr-ingress", "gw-ingress", "default-deny-ingress", "✓ TCP/8092", "✓ TCP/3000"):
        expect(page.locator("svg").get_by_text(text, exact=True)).to_be_visible()
    assert page.locator("svg .policy").count() == 3


def test_a_closed_port_shows_who_is_cut_off_and_the_remedy(open_page: Open) -> None:
    """The problem comes first, and the remedy can be copied."""
    page = open_page(broken())

    expect(page.get_by_role("heading", name="✕ EventGateway gw: TCP/8092 is closed")).to_be_visible()
    assert page.locator("svg .source.cut title").text_content() == "✕ pod shop/orders-0"
    assert page.locator("svg path.deny").count() == 2
    page.get_by_text("The remedy: a policy to apply first").click()
    expect(page.locator("pre")).to_contain_text("kind: NetworkPolicy")
    expect(page.get_by_role("button", name="Copy the policy")).to_be_visible()


def test_pointing_at_a_policy_shows_what_would_be_lost(open_page: Open) -> None:
    """Its lines and ports are marked while the pointer is there, and no longer."""
    page = open_page(healthy())
    caption = page.locator(".without")
    page.locator("svg .policy", has_text="gw-ingress").hover()

    expect(caption).to_contain_text("Without gw-ingress, this is lost:")
    expect(caption).to_contain_text("could not be reached from pod shop/orders-0")
    assert page.locator("svg .port.lost").all_text_contents() == ["✓ TCP/8092"]
    assert page.locator("svg path.lost").count() == 2
    page.locator("svg .policy", has_text="default-deny").hover()
    expect(caption).to_have_text("Without default-deny-ingress, nothing is lost.")
    page.get_by_role("heading", level=1).hover()
    expect(caption).to_contain_text("Point at a policy")
    assert page.locator("svg .lost").count() == 0


def test_a_policy_can_be_chosen_by_keys_and_the_address_keeps_it(open_page: Open) -> None:
    """The link opens the same view; Enter again lets go."""
    page = open_page(healthy())
    policy = page.get_by_role("button", name="NetworkPolicy mgr-ingress: 2 things would be lost without it")
    policy.focus()
    page.keyboard.press("Enter")

    expect(policy).to_have_attribute("aria-pressed", "true")
    assert page.url.endswith("#in=eem&policy=mgr-ingress")
    again = open_page(healthy(), "#in=eem&policy=mgr-ingress")
    expect(again.locator(".without")).to_contain_text("Without mgr-ingress, this is lost:")
    page.keyboard.press("Enter")
    expect(policy).to_have_attribute("aria-pressed", "false")
    assert "#" not in page.url


def test_every_policy_is_reached_by_the_tab_key(open_page: Open) -> None:
    """Focus shows the same as pointing."""
    page = open_page(healthy())
    seen = []
    for _ in range(12):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.getAttribute('aria-label')")
        seen.append(name or "")
        if name and name.startswith("NetworkPolicy gw-ingress"):
            expect(page.locator(".without")).to_contain_text("Without gw-ingress")

    assert sum(name.startswith("NetworkPolicy ") for name in seen) == 3


def test_the_table_of_policies_leads_to_the_drawing(open_page: Open) -> None:
    """A click on a name chooses the policy."""
    page = open_page(healthy())
    page.get_by_role("link", name="eem/gw-ingress").click()

    expect(page.locator("svg .policy.chosen")).to_contain_text("gw-ingress")
    expect(page.locator("tr.chosen")).to_contain_text("eem/gw-ingress")


def test_search_and_filter_leave_what_fits(open_page: Open) -> None:
    """Rows, tables and the drawing follow, and the address keeps the filter."""
    page = open_page(broken())
    page.get_by_label("Search").fill("kafka clients")

    expect(page.locator("tbody tr:visible")).to_have_count(1)
    expect(page.locator("svg .pods")).to_have_count(1)
    page.get_by_label("Search").fill("no such thing")
    expect(page.get_by_text("Nothing in the report fits this filter.")).to_be_visible()
    page.get_by_label("Search").fill("")
    page.get_by_label("Show").select_option("broken")
    expect(page.locator("tbody tr:visible")).to_have_count(1)
    assert page.url.endswith("#state=broken")
    again = open_page(broken(), "#q=mgr&state=broken")
    expect(again.get_by_text("Nothing in the report fits this filter.")).to_be_visible()
    expect(again.get_by_label("Search")).to_have_value("mgr")


@pytest.mark.parametrize(
    "settings", [{}, {"color_scheme": "dark"}, {"viewport": PHONE}], ids=["light", "dark", "phone"]
)
@pytest.mark.parametrize("html", [healthy, broken], ids=["healthy", "broken"])
def test_no_rule_of_wcag_is_violated(open_page: Open, html: Callable[[], str], settings: dict[str, Any]) -> None:
    """The rules of axe-core for WCAG 2.2 AA, also while a policy is pointed at."""
    page = open_page(html(), "#in=eem&policy=mgr-ingress", **settings)
    page.locator("svg").wait_for()
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    if settings.get("viewport"):
        page.evaluate("location.hash = ''")
    page.wait_for_function("document.getAnimations().length === 0")
    found = Axe().run(page, options=WCAG)

    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found.response["violations"]] == []


def test_a_phone_needs_no_scrolling_sideways(open_page: Open) -> None:
    """The drawing and the tables fit its width."""
    page = open_page(broken(), viewport=PHONE)
    page.locator("svg").wait_for()

    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_on_paper_there_are_no_controls(open_page: Open) -> None:
    """The drawing and the tables are printed."""
    page = open_page(broken())
    page.emulate_media(media="print")

    expect(page.locator("svg")).to_be_visible()
    expect(page.get_by_role("table").first).to_be_visible()
    assert page.get_by_role("button", name="Copy link to this view").count() == 0


def test_hostile_names_and_labels_are_text(open_page: Open) -> None:
    """Markup, quotes, template syntax and marks that turn the direction of text do nothing."""
    labels = {f"key-{number}": "v" * 63 for number in range(1000)}
    text = json.dumps(example("gw-ingress")).replace('"eem/default-deny-ingress"', json.dumps(f"eem/{HOSTILE}"))
    found = json.loads(text.replace("shop", HOSTILE.replace('"', "'")))
    for instance in found["namespaces"][0]["instances"]:
        instance["name"] = HOSTILE
        for one in instance["requirements"]:
            one["reach"][0]["pods"] = {"labels": labels, "names": [], "assumed": True}
    page = open_page(report_page(found, at=HOSTILE, live=False))

    expect(page.get_by_role("link", name="<script>").first).to_be_visible()
    assert page.title() == "Who can reach Event Endpoint Management"
    assert page.locator("main img").count() == 0
    expect(page.locator("tbody th").first).to_contain_text(HOSTILE)
    expect(page.locator("tbody td").filter(has_text="key-999=").first).to_be_visible()


def test_what_the_page_does_not_name_cannot_run(open_page: Open) -> None:
    """The Content-Security-Policy allows two scripts by their digests."""
    page = open_page(healthy())
    blocked = page.evaluate(
        """() => new Promise((resolve) => {
            document.addEventListener('securitypolicyviolation', (event) => resolve(event.violatedDirective));
            const script = document.createElement('script');
            script.textContent = "document.title = 'hacked'";
            document.body.append(script);
        })"""
    )

    assert (blocked, page.title()) == ("script-src-elem", "Who can reach Event Endpoint Management")


def grown(instances: int, policies: int) -> dict[str, Any]:
    """Return a report with as many instances and policies, made from the example."""
    found = example()
    (space,) = found["namespaces"]
    gateway, policy = space["instances"][1], space["policies"][1]
    space["instances"] = [
        json.loads(json.dumps(gateway).replace("gw-ingress", f"gw{number}-ingress").replace('"gw"', f'"gw{number}"'))
        for number in range(instances)
    ]
    own = [
        json.loads(json.dumps(policy).replace("gw-ingress", f"gw{number}-ingress").replace('"gw"', f'"gw{number}"'))
        for number in range(instances)
    ]
    others = [{**policy, "name": f"eem/extra-{number}", "without": []} for number in range(policies - instances - 1)]
    space["policies"] = [space["policies"][0], *own, *others]
    return found


@pytest.mark.slow
def test_a_large_cluster_is_drawn(open_page: Open) -> None:
    """With 200 instances and 5,000 policies the page stays small, and draws the worst instances and a note."""
    html = report_page(grown(200, 5000), at="", live=False)
    page = open_page(html)
    page.locator("svg").wait_for()
    drawn = page.evaluate("performance.getEntriesByName('drawn')[0].startTime")
    print(f"{len(html.encode()) / MIB:.2f} MiB, first drawing after {drawn:.0f} ms")

    assert len(html.encode()) <= MOST_BYTES
    expect(page.get_by_text("The drawing shows 24 of 200 instances")).to_be_visible()
