"""How reviews are counted."""

from webhook.server import Metrics


def test_an_operation_that_is_not_the_apis_is_unknown() -> None:
    """Whatever is passed as an operation, the label has five values."""
    metrics = Metrics(version="1")
    for operation in ("CREATE", "UPDATE", "DELETE", "CONNECT", "create", "", "DROP TABLE"):
        for _ in range(2):
            metrics.review(webhook="w", operation=operation, result="allowed", seconds=0.001)
    name = "eem_guardrail_reviews_total"
    labels = {"webhook": "w", "result": "allowed"}

    assert metrics.registry.get_sample_value(name, {**labels, "operation": "CREATE"}) == 2
    assert metrics.registry.get_sample_value(name, {**labels, "operation": "unknown"}) == 6
    assert metrics.registry.get_sample_value("eem_guardrail_review_duration_seconds_count", {"webhook": "w"}) == 14


def test_two_registries_do_not_meet() -> None:
    """Metrics of two services in one process, as in tests, are apart."""
    Metrics(version="1").shed("overloaded")

    assert b"overloaded" not in Metrics(version="1").exposition()[0]
