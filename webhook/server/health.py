"""
Tell probes and Prometheus how the service is: /livez, /readyz, /metrics.

Alive means that the event loop turns, and depends on nothing outside: a restart repairs no API server. Ready means
that a truthful verdict is possible and that this replica is not on its way out.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from aiohttp import web

from webhook.server.answering import answer_everything
from webhook.server.refusals import SERVER_NAME, plain
from webhook.server.serving import Serving

Check = Callable[[], str | None]  # None when all is well, else what is not, in a few words
READY, NOT_READY = 200, 503
_DRAIN_CHECK = "serving"


def make_health_app(
    checks: Mapping[str, Check], serving: Serving, notes: Mapping[str, Check] = MappingProxyType({})
) -> web.Application:
    """
    Make the application for probes and Prometheus.

    Args:
        checks: what must be well for this replica to be ready, by name; draining is checked in any case.
        serving: the metrics to show, and whether this replica drains.
        notes: what people should know and what makes nobody less ready, by name; only `?verbose` shows it.
    """

    async def livez(_request: web.Request) -> web.Response:
        return plain(READY, "ok")

    async def readyz(request: web.Request) -> web.Response:
        found = {name: check() for name, check in checks.items()}
        found[_DRAIN_CHECK] = "draining" if serving.drain.started else None
        ready = not any(found.values())
        lines = [f"[-]{name}: {problem}" if problem else f"[+]{name} ok" for name, problem in found.items()]
        verbose = "verbose" in request.query or not ready
        if verbose:
            said = {name: note() for name, note in notes.items()}
            lines += [f"[!]{name}: {problem}" if problem else f"[+]{name} ok" for name, problem in said.items()]
        summary = "ok" if ready else "not ready"
        return plain(READY if ready else NOT_READY, "\n".join([*lines, summary]) if verbose else summary)

    async def show_metrics(_request: web.Request) -> web.Response:
        content, content_type = serving.metrics.exposition()
        return web.Response(body=content, headers={"Content-Type": content_type, "Server": SERVER_NAME})

    app = web.Application(middlewares=[answer_everything(serving, {})])
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", show_metrics)
    return app
