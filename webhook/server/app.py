"""
Put the webhook's paths together: who judges what, behind which limits.

Nothing is read from the environment and nothing is kept in the module; what an application holds, its keys name.
"""

from collections.abc import Mapping
from types import MappingProxyType

from aiohttp import web

from webhook.guard.outcomes import Judge
from webhook.server.answering import answer_everything
from webhook.server.gate import Gate
from webhook.server.handlers import ReviewHandler
from webhook.server.reading import Reader
from webhook.server.serving import Serving

VALIDATE_NETWORK_POLICY = "/validate-networkpolicy"
VALIDATE_EEM = "/validate-eem"
MUTATE_EEM = "/mutate-eem"
WEBHOOKS: Mapping[str, str] = MappingProxyType(
    {
        VALIDATE_NETWORK_POLICY: "networkpolicies.eem-guardrail.io",
        VALIDATE_EEM: "eem.eem-guardrail.io",
        MUTATE_EEM: "defaults.eem-guardrail.io",
    }
)  # the name in the webhook configuration, for each path

SERVING = web.AppKey("serving", Serving)
GATE = web.AppKey("gate", Gate)


def make_app(judges: Mapping[str, Judge], serving: Serving, *, reader: Reader | None = None) -> web.Application:
    """
    Make the application that the API server calls.

    Args:
        judges: who judges the reviews of a path of WEBHOOKS; a path without a judge does not exist.
        serving: what this application shares with the others of the process.
        reader: reads the reviews; without it one that has a thread for large ones.

    Raises:
        KeyError: a path that is no webhook's.
    """
    limits = serving.limits
    gate = Gate(limits)
    reader = reader or Reader(limits)
    app = web.Application(
        middlewares=[answer_everything(serving, WEBHOOKS)],
        client_max_size=limits.max_body_bytes,
    )
    app[SERVING], app[GATE] = serving, gate

    async def close(_app: web.Application) -> None:
        reader.close()

    app.on_cleanup.append(close)
    for path, judge in judges.items():
        handler = ReviewHandler(
            webhook=WEBHOOKS[path], judge=judge, gate=gate, reader=reader, limits=limits, metrics=serving.metrics
        )
        app.router.add_post(path, handler.review)
    return app
