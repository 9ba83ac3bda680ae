"""The answers of the webhook's paths, over real connections."""

import asyncio
import json

import pytest
from server_builders import AUTHORITY, PATH, Running, allow, client_context, logged, post, review, running, until

from webhook.admission import AdmissionRequest, AdmissionResponse
from webhook.guard.outcomes import NotReady
from webhook.server import MUTATE_EEM, VALIDATE_EEM, WEBHOOKS, Limits
from webhook.server.app import GATE

NETWORK_POLICIES = WEBHOOKS[PATH]


def reviews(operation: str, result: str) -> str:
    labels = f'operation="{operation}",result="{result}",webhook="{NETWORK_POLICIES}"'
    return f"eem_guardrail_reviews_total{{{labels}}}"


def nested(depth: int) -> bytes:
    return review().replace(b'{"podSelector": {}}', b'{"a":' * depth + b"1" + b"}" * depth)


async def refuse(_request: AdmissionRequest) -> AdmissionResponse:
    return AdmissionResponse(allowed=False, code=403, reason="Forbidden", message="cuts off gw", result="denied")


async def test_allowed_and_denied_are_both_http_200() -> None:
    """Both answers have the uid of the request, and both are counted."""
    judges = {PATH: refuse, VALIDATE_EEM: allow, MUTATE_EEM: allow}
    async with running(judges=judges) as server:
        denied = await server.ask(post(review(uid="one"), path=f"{PATH}?timeout=5s"))
        allowed = await server.ask(post(review(uid="two"), path=VALIDATE_EEM))

        assert (denied.status, denied.headers["content-type"]) == (200, "application/json")
        assert denied.json() == {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": {
                "uid": "one",
                "allowed": False,
                "status": {
                    "status": "Failure",
                    "code": 403,
                    "reason": "Forbidden",
                    "message": "cuts off gw",
                    "details": {
                        "name": "deny",
                        "group": "networking.k8s.io",
                        "kind": "networkpolicies",
                        "causes": [],
                    },
                },
            },
        }
        assert allowed.json()["response"] == {"uid": "two", "allowed": True}
        assert await server.metric(reviews("CREATE", "denied")) == 1


BAD_BODIES = {
    "empty": b"",
    "blanks": b" \n",
    "not JSON": b"hello",
    "truncated": review()[:-30],
    "an array": b"[]",
    "null": b"null",
    "two documents": review() + review(),
    "no uid": review().replace(b'"uid": "6f1c-42", ', b""),
    "empty uid": review(uid=""),
    "uid of another type": review(uid=7),
    "v1beta1": review().replace(b"admission.k8s.io/v1", b"admission.k8s.io/v1beta1"),
    "another kind": review().replace(b'"AdmissionReview"', b'"TokenReview"'),
    "no request": b'{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}',
    "null request": b'{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": null}',
    "an unknown operation": review(operation="PATCH"),
    "an object that is a list": review(object=[]),
    "depth 10,000": nested(10_000),
    "NaN": review().replace(b'{"podSelector": {}}', b'{"a": NaN}'),
    "Infinity": review().replace(b'{"podSelector": {}}', b'{"a": Infinity}'),
    "a lone surrogate": review().replace(b"jane", rb"j\ud800"),
    "UTF-16": review().decode().encode("utf-16"),
    "a byte that is no UTF-8": review().replace(b"jane", b"j\xff"),
    "NUL in a text": review().replace(b"jane", b"j\x00"),
}


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in BAD_BODIES.items()])
async def test_a_body_that_is_not_a_review_is_400_with_a_reason(body: bytes) -> None:
    """A body that cannot be decoded gets no verdict, and the connection serves the next request."""
    async with running() as server:
        connected = await server.connect()
        bad = await connected.ask(post(body))
        good = await connected.ask(post(review()))

        assert bad.status == 400
        assert bad.headers["content-type"] == "text/plain; charset=utf-8"
        assert len(bad.body) > 10
        assert b"allowed" not in bad.body
        assert good.json()["response"]["allowed"] is True
        assert await server.metric(reviews("unknown", "errored")) == 1


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(review(extra={"unknown": 1}), id="fields that are not known"),
        pytest.param(review().replace(b'{"podSelector": {}}', b'{"a": ' + b"9" * 5000 + b"}"), id="a huge integer"),
        pytest.param(review().replace(b'{"podSelector": {}}', b'{"a": 1e400}'), id="a huge float"),
        pytest.param(nested(200), id="depth 200"),
        pytest.param(review(object=None, operation="DELETE"), id="no object"),
    ],
)
async def test_unusual_json_is_never_a_500(body: bytes) -> None:
    """Unusual JSON gets a verdict or a 400."""
    async with running() as server:
        assert (await server.ask(post(body))).status in {200, 400}


async def test_the_last_of_duplicate_keys_counts() -> None:
    """As in the API server: the guard judges what will be stored."""
    seen: list[AdmissionRequest] = []

    async def judge(request: AdmissionRequest) -> AdmissionResponse:
        seen.append(request)
        return AdmissionResponse(allowed=True)

    body = review().replace(b'"namespace": "eem", "userInfo"', b'"namespace": "a", "namespace": "b", "userInfo"')
    async with running(judge) as server:
        assert (await server.ask(post(body))).status == 200
    assert seen[0].namespace == "b"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Content-Type": None}, id="no type"),
        pytest.param({"Content-Type": "text/plain"}, id="text"),
        pytest.param({"Content-Type": "application/yaml"}, id="yaml"),
        pytest.param({"Content-Type": "application/json-patch+json"}, id="another json"),
        pytest.param({"Content-Type": "multipart/form-data; boundary=x"}, id="multipart"),
        pytest.param({"Content-Encoding": "gzip"}, id="gzip"),
        pytest.param({"Content-Encoding": "identity"}, id="identity"),
    ],
)
async def test_a_content_other_than_plain_json_is_415(headers: dict[str, str | None]) -> None:
    """The headers decide, and the connection is closed."""
    async with running() as server:
        connected = await server.connect()
        answer = await connected.ask(post(review(), headers=headers))

        assert (answer.status, answer.headers["connection"]) == (415, "close")
        assert await connected.closed()


async def test_a_charset_parameter_is_accepted() -> None:
    """`application/json; charset=utf-8` is JSON."""
    async with running() as server:
        answer = await server.ask(post(review(), headers={"Content-Type": "Application/JSON; charset=utf-8"}))

    assert answer.status == 200


async def test_9_mib_is_413_and_3_mib_is_judged() -> None:
    """The largest change that an API server accepts is judged; a larger body is refused."""
    big = review(object={"spec": "x" * (3 * 2**20)}, oldObject={"spec": "x" * (3 * 2**20)})
    huge = review(object={"spec": "x" * (9 * 2**20)})
    async with running() as server:
        assert (await server.ask(post(big))).status == 200
        assert (await server.ask(post(huge))).status == 413
        chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(huge), huge)
        head = post(b"", headers={"Content-Length": None, "Transfer-Encoding": "chunked"})
        assert (await server.ask(head + chunks)).status == 413


async def test_a_body_announced_too_large_is_refused_before_it_is_read() -> None:
    """Content-Length is enough to refuse it."""
    async with running(limits=Limits(linger_seconds=0.01)) as server:
        answer = await server.ask(post(b"", headers={"Content-Length": str(9 * 2**20)}))

    assert (answer.status, answer.headers["connection"]) == (413, "close")


async def test_a_chunked_body_is_judged() -> None:
    """Within the limit, like any other body."""
    body = review()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    head = post(b"", headers={"Content-Length": None, "Transfer-Encoding": "chunked"})
    async with running() as server:
        assert (await server.ask(head + chunks)).status == 200


async def test_invalid_chunk_framing_is_400() -> None:
    """It ends the connection; the service goes on."""
    head = post(b"", headers={"Content-Length": None, "Transfer-Encoding": "chunked"})
    async with running() as server:
        answer = await server.ask(head + b"zz\r\nhello\r\n")

        assert answer.status == 400
        assert (await server.ask(post(review()))).status == 200


async def test_a_body_whose_framing_breaks_midway_is_408() -> None:
    """The rest cannot arrive: the deadline ends the request, and its bytes are released."""
    head = post(b"", headers={"Content-Length": None, "Transfer-Encoding": "chunked"})
    async with running(limits=Limits(body_seconds=0.1, linger_seconds=0.01)) as server:
        bodies = server.app[GATE].bodies
        connected = await server.connect()
        await connected.send(head + b"5\r\nhello\r\n")
        await until(lambda: bodies.held == 10)  # a byte counts twice
        answer = await connected.ask(b"zz\r\nhello\r\n")

        assert (answer.status, bodies.held) == (408, 0)


async def test_an_answer_before_the_end_of_the_body_closes_the_connection() -> None:
    """The bytes after an unread body cannot be told from the next request."""
    async with running(limits=Limits(linger_seconds=0.01)) as server:
        connected = await server.connect()
        answer = await connected.ask(post(review(), path="/nobody")[:-20])

        assert (answer.status, answer.headers["connection"]) == (404, "close")
        assert await connected.closed()
        whole = await server.ask(post(review(), path="/nobody"))
        assert (whole.status, "connection" in whole.headers) == (404, False)


async def test_a_slow_body_is_408() -> None:
    """A body that stalls is refused at its deadline, and the connection is closed."""
    async with running(limits=Limits(body_seconds=0.05, linger_seconds=0.05)) as server:
        connected = await server.connect()
        answer = await connected.ask(post(review())[:-20])

        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert await connected.closed()


async def test_the_clients_timeout_bounds_the_body() -> None:
    """If the client's timeout is one second, the server waits no longer for the body."""
    async with running(limits=Limits(body_seconds=60, linger_seconds=0.05)) as server:
        answer = await server.ask(post(review(), path=f"{PATH}?timeout=1s")[:-20])

    assert b"within 1 s" in answer.body


async def test_a_client_that_disconnects_is_logged_without_a_traceback() -> None:
    """A connection lost in the middle of a body is counted."""
    async with running() as server:
        with logged("webhook.server.answering") as log:
            connected = await server.connect()
            await connected.send(post(review())[:-20])
            connected.writer.transport.abort()
            await until(lambda: bool(log.records))

        assert [(record.levelname, record.exc_info) for record in log.records] == [("WARNING", None)]
        assert await server.metric(reviews("unknown", "errored")) == 1


async def test_a_bug_is_500_with_a_traceback_in_the_log_and_none_in_the_answer() -> None:
    """Any exception of a judge is a 500, logged and counted; the failurePolicy applies."""

    async def broken(_request: AdmissionRequest) -> AdmissionResponse:
        raise KeyError("secret detail")

    async with running(broken) as server:
        with logged("webhook.server.answering") as log:
            answer = await server.ask(post(review()))

        assert answer.status == 500
        assert "retry-after" not in answer.headers
        assert b"secret detail" not in answer.body
        assert [record.exc_info[0] for record in log.records if record.exc_info] == [KeyError]
        assert log.fields()[0]["uid"] == "6f1c-42"
        assert await server.metric(reviews("CREATE", "errored")) == 1


async def test_a_timeout_inside_a_judge_is_not_the_clients_deadline() -> None:
    """A TimeoutError of a judge is a 500 like any other exception."""

    async def broken(_request: AdmissionRequest) -> AdmissionResponse:
        raise TimeoutError("a lookup")

    async with running(broken) as server:
        answer = await server.ask(post(review()))

    assert (answer.status, b"error in the guard" in answer.body) == (500, True)


async def test_a_judge_that_exceeds_the_clients_timeout_is_500_with_a_reason() -> None:
    """The judge is cancelled half a second before the client's timeout."""

    async def slow(_request: AdmissionRequest) -> AdmissionResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with running(slow) as server:
        answer = await server.ask(post(review(), path=f"{PATH}?timeout=1s"))

        assert (answer.status, answer.body) == (500, b"there was no verdict before the client's timeout\n")
        assert "retry-after" not in answer.headers
        assert await server.metric(reviews("CREATE", "errored")) == 1


async def test_a_replica_that_is_not_ready_answers_503() -> None:
    """Before the caches are complete there is no verdict; the API server asks another replica."""

    async def unready(_request: AdmissionRequest) -> AdmissionResponse:
        raise NotReady("pods are not synced")

    async with running(unready) as server:
        connected = await server.connect()
        answer = await connected.ask(post(review()))

        assert (answer.status, answer.body) == (503, b"pods are not synced\n")
        assert (answer.headers["retry-after"], answer.headers["connection"]) == ("0", "close")
        assert await connected.closed()
        assert await server.metric('eem_guardrail_reviews_shed_total{reason="not_ready"}') == 1
        assert await server.metric(reviews("CREATE", "errored")) == 0


async def test_reviews_beyond_the_limit_are_answered_503() -> None:
    """The reviews in progress are answered, and then there is room again."""
    inside, release = asyncio.Semaphore(0), asyncio.Event()

    async def waiting(_request: AdmissionRequest) -> AdmissionResponse:
        inside.release()
        await release.wait()
        return AdmissionResponse(allowed=True)

    async with running(waiting, limits=Limits(max_concurrent_reviews=2)) as server:
        first = [asyncio.create_task(server.ask(post(review()))) for _ in range(2)]
        for _ in first:
            await inside.acquire()
        refused = await server.ask(post(review()))
        release.set()
        answered = [(await task).status for task in first]
        again = await server.ask(post(review()))

        assert (refused.status, refused.headers["retry-after"]) == (503, "0")
        assert refused.headers["connection"] == "close"
        assert (answered, again.status) == ([200, 200], 200)
        assert await server.metric('eem_guardrail_reviews_shed_total{reason="overloaded"}') == 1


async def test_bodies_beyond_the_memory_budget_are_answered_503() -> None:
    """The memory of all bodies together is bounded, and released after each answer."""
    body = review(object={"spec": "x" * 400_000})
    limits = Limits(max_held_bytes=1_300_000, linger_seconds=0.05)  # for one body of an address, which counts twice
    async with running(limits=limits) as server:
        holder = await server.connect()
        await holder.send(post(body)[:-20])
        async with asyncio.timeout(30):
            while (await server.ask(post(body))).status != 503:
                pass
        small = await server.ask(post(review()))
        await holder.send(post(body)[-20:])

        assert small.status == 200
        assert (await holder.answer()).status == 200
        assert (await server.ask(post(body))).status == 200


METHODS = ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY")


@pytest.mark.parametrize("method", METHODS)
async def test_other_methods_are_405(method: str) -> None:
    """A path of the webhook accepts POST only, and the answer says so."""
    async with running() as server:
        connected = await server.connect()
        await connected.send(post(b"", method=method))
        head = (await connected.reader.readuntil(b"\r\n\r\n")).decode().lower()

    assert head.startswith("http/1.1 405 ")
    assert "allow: post" in head
    assert "location" not in head


PATHS = (
    "/",
    "/validate-networkpolicy/",
    "//validate-networkpolicy",
    "/validate-networkpolicy/..",
    "/x/../validate-networkpolicy",
    "/..;/validate-networkpolicy",
    "/VALIDATE-NETWORKPOLICY",
    "/validate-eem",
    "/readyz",
    "/metrics",
    "/%2e%2e/etc/passwd",
    "/" + "a" * 4000,
    "/%ff%00",
    "/validate-networkpolicy;x=1",
)


@pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_other_paths_are_404_and_never_a_redirect(path: str, method: str) -> None:
    """Only the webhook's paths exist."""
    async with running() as server:
        answer = await server.ask(post(review() if method == "POST" else b"", path=path, method=method))

    assert answer.status == 404
    assert "location" not in answer.headers
    assert b"validate" not in answer.body
    assert "aiohttp" not in str(answer.headers).lower()


async def test_the_decision_line_has_the_request_the_user_and_the_answer() -> None:
    """Each decision has one line."""
    async with running(refuse) as server:
        with logged("webhook.decision") as log:
            await server.ask(post(review(dryRun=True)))

    fields = log.fields()[0]
    assert len(log.records) == 1
    assert fields["milliseconds"] > 0
    assert {key: value for key, value in fields.items() if key != "milliseconds"} == {
        "webhook": "networkpolicies.eem-guardrail.io",
        "uid": "6f1c-42",
        "operation": "CREATE",
        "kind": "NetworkPolicy",
        "namespace": "eem",
        "name": "deny",
        "user": "jane",
        "dryRun": True,
        "result": "denied",
        "allowed": False,
        "code": 403,
        "message": "cuts off gw",
    }


async def test_pipelined_reviews_are_answered_in_order() -> None:
    """Each answer has its own uid."""
    async with running() as server:
        connected = await server.connect()
        await connected.send(b"".join(post(review(uid=f"u{number}")) for number in range(100)))
        uids = [(await connected.answer()).json()["response"]["uid"] for _ in range(100)]

    assert uids == [f"u{number}" for number in range(100)]


async def test_expect_100_continue_is_honoured() -> None:
    """A client that asks first is told to continue."""
    async with running() as server:
        connected = await server.connect()
        await connected.send(post(review(), headers={"Expect": "100-continue"})[: -len(review())])

        assert await connected.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await connected.ask(review())).status == 200


async def test_many_connections_at_once_are_all_answered() -> None:
    """A burst of new handshakes, each with a review, loses none."""

    async def one(server: Running) -> int:
        connected = await server.connect(tls=context)
        return (await connected.ask(post(review()))).status

    context = client_context(AUTHORITY)
    async with running() as server:
        statuses = await asyncio.gather(*(one(server) for _ in range(100)))

    assert statuses == [200] * 100


def test_paths_and_webhook_names_are_those_of_the_interface() -> None:
    """Manifests and dashboards rely on them."""
    assert json.loads(json.dumps(dict(WEBHOOKS))) == {
        "/validate-networkpolicy": "networkpolicies.eem-guardrail.io",
        "/validate-cluster-policy": "clusterpolicies.eem-guardrail.io",
        "/validate-eem": "eem.eem-guardrail.io",
        "/mutate-eem": "defaults.eem-guardrail.io",
    }
