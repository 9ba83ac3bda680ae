"""Calico's selector language."""

import pytest

from webhook.netpol.calico.calico_selectors import SelectorError, holds, parse_selector
from webhook.netpol.selectors import UNKNOWN

LABELS = {"app": "web", "example.com/team": "blue", "empty": "", "set": UNKNOWN}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("", True),
        ("  ", True),
        ("all()", True),
        ("!all()", False),
        ("has(app)", True),
        ("has( app )", True),
        ("has(db)", False),
        ("!has(db)", True),
        ("! has(db)", True),
        ("app == 'web'", True),
        ('app == "web"', True),
        ("app=='db'", False),
        ("empty == ''", True),
        ("app != 'web'", False),
        ("app != 'db'", True),
        ("db != 'web'", True),
        ("app in {'web', 'db'}", True),
        ("app in {'web',}", True),
        ("app in {}", False),
        ("db in {'web'}", False),
        ("app not in {'web'}", False),
        ("app not  in {'db'}", True),
        ("db not in {'web'}", True),
        ("app contains 'e'", True),
        ("app contains 'x'", False),
        ("db contains 'e'", False),
        ("app starts with 'w'", True),
        ("app starts   with 'b'", False),
        ("app ends with 'b'", True),
        ("app ends with 'w'", False),
        ("example.com/team == 'blue'", True),
        ("has(db) || has(app) && app == 'db'", False),
        ("(has(db) || has(app)) && app == 'web'", True),
        ("has(db) && has(app) || app == 'web'", True),
        ("!(app == 'web' || has(db))", False),
        ("!!has(app)", True),
        ("has(set)", True),
        ("set == 'a'", None),
        ("!(set == 'a')", None),
        ("set == 'a' || has(app)", True),
        ("set == 'a' && has(db)", False),
        ("set == 'a' && has(app)", None),
    ],
)
def test_a_selector_holds_as_calico_says(text: str, answer: bool | None) -> None:  # noqa: FBT001  a column of the table
    """Each operator, the binding of `!`, `&&` and `||`, and labels whose value is not known."""
    assert answer is holds(parse_selector(text), LABELS.get)


@pytest.mark.parametrize(
    "text",
    [
        "app",
        "app ==",
        "app == web",
        "app = 'web'",
        "== 'web'",
        "has()",
        "has(app",
        "(has(app)",
        "has(app))",
        "has(app) has(db)",
        "has(app) &&",
        "&& has(app)",
        "app in 'web'",
        "app in {'web'",
        "app in {web}",
        "app near 'web'",
        "app == 'web",
        "app & db",
        "!" * 100 + "all()",
        "(" * 100 + "all()" + ")" * 100,
    ],
)
def test_another_text_is_no_selector(text: str) -> None:
    """The error says what is wrong."""
    with pytest.raises(SelectorError, match=r"unexpected|expected|too early|too deeply"):
        parse_selector(text)
