"""
Build the application for probes and Prometheus: /livez, /readyz, /metrics.

Alive means that the event loop runs; it depends on nothing outside, because a restart does not repair an API server.
Ready means that a correct verdict is possible and that the replica does not drain.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from aiohttp import web

from webhook.server.answering import answer_everything
from webhook.server.refusals import SERVER_NAME, plain
from webhook.server.serving import Serving

Check = Callable[[], str | None]
"""Return None if all is well, else the problem in a few words."""

READY, NOT_READY = 200, 503
_DRAIN_CHECK = "serving"


def make_health_app(
    checks: Mapping[str, Check], serving: Serving, notes: Mapping[str, Check] = MappingProxyType({})
) -> web.Application:
    """
    Return the application for probes and Prometheus.

    Args:
        checks: the conditions of readiness, by name; draining is always checked.
        serving: the metrics to show, and whether this replica drains.
        notes: conditions that operators should know but that do not affect readiness, by name; shown with `?verbose`.
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
