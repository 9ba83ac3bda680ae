"""How reviews are counted."""

from webhook.server import Metrics


def test_an_operation_outside_the_api_is_counted_as_unknown() -> None:
    """The label has five values."""
    metrics = Metrics(version="1")
    for operation in ("CREATE", "UPDATE", "DELETE", "CONNECT", "create", "", "DROP TABLE"):
        for _ in range(2):
            metrics.reviews.answered(webhook="w", operation=operation, result="allowed", seconds=0.001)
    name = "eem_guardrail_reviews_total"
    labels = {"webhook": "w", "result": "allowed"}

    assert metrics.registry.get_sample_value(name, {**labels, "operation": "CREATE"}) == 2
    assert metrics.registry.get_sample_value(name, {**labels, "operation": "unknown"}) == 6
    assert metrics.registry.get_sample_value("eem_guardrail_review_duration_seconds_count", {"webhook": "w"}) == 14


def test_two_services_in_one_process_have_separate_metrics() -> None:
    """As in these tests."""
    Metrics(version="1").reviews.shed("overloaded")

    assert b"overloaded" not in Metrics(version="1").exposition()[0]
