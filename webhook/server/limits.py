"""
Bound what one caller can take from all the others: every limit and deadline of the server, with its reason.

The API server is the only caller that matters, and its side of the connection is known: HTTP/1.1, at most 25 idle
connections, closed by it after 90 s without use, a request body of at most 3 MiB, a timeout of 1 to 30 s.
"""

from dataclasses import dataclass

MAX_BODY_BYTES = 8 * 1024 * 1024  # 2 objects (new and old) x 3 MiB that the API server accepts + 2 MiB of envelope
MAX_HELD_BODY_BYTES = 64 * 1024 * 1024  # 8 bodies of the largest size at once; an eighth of the pod's memory
# Up to this size a body is read on the event loop: the costliest one, a list of nothing but empty entries, holds it
# for 40 ms, a common one for 5. Larger ones are read in a thread, and few are: kubectl's own size is some kilobytes.
LARGE_BODY_BYTES = 32 * 1024
MAX_HEADERS = 64  # the API server sends eight
MAX_HEADER_BYTES = 8190  # a line; aiohttp's own figure, more is answered with 400
MAX_CONNECTIONS = 1024  # 25 idle ones for each of a few API servers, and a burst; some 50 KiB each under TLS
MAX_CONCURRENT_REVIEWS = 64  # only reviews that wait for something (a live read) add up; each holds its objects
BACKLOG = 1024  # connections that the kernel keeps while a burst of handshakes is worked off

HANDSHAKE_SECONDS = 10.0  # what the API server's own client allows
HEADER_SECONDS = 14.0  # from connecting (handshake included), or from a header's first byte, to its end
SWEEP_SECONDS = 1.0  # how often deadlines of connections are looked at: none lives longer than 15 s past its due
BODY_SECONDS = 10.0  # the API server sends a body that it has in memory: longer is an attack or a dead network
WRITE_SECONDS = 15.0  # to take an answer that fills the buffers, for a peer that reads nothing
LINGER_SECONDS = 5.0  # reading on after a refused body, so that the peer sees the answer and not a reset
TLS_CLOSE_SECONDS = 5.0  # waiting for the peer's own close_notify
KEEPALIVE_SECONDS = 120.0  # above the client's 90 s: who closes first is never in doubt, and no POST meets a close
DEFAULT_TIMEOUT_SECONDS = 10.0  # a webhook's timeout where the configuration names none
MAX_TIMEOUT_SECONDS = 30.0  # the largest that the API server allows
WAITING_SHARE = 0.6  # of the caller's timeout may pass before judging begins; who would wait longer is sent elsewhere
MAX_SENT_ELSEWHERE_PER_SECOND = 50  # a handshake costs as much as a verdict: 5 % of a core; more are told to wait
TURN_SECONDS = 0.005  # of judging at a time while others wait for the event loop: handshakes, watches, probes
ANSWER_MARGIN_SECONDS = 0.5  # kept back from the caller's timeout, for the answer to arrive in time

DRAIN_SECONDS = 12.0  # until every proxy and API server has heard that this replica goes
IN_FLIGHT_SECONDS = 30.0  # the longest timeout a review can still have when listening stops


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The limits of one server; the defaults are for production, tests inject small ones."""

    max_body_bytes: int = MAX_BODY_BYTES
    max_held_body_bytes: int = MAX_HELD_BODY_BYTES
    large_body_bytes: int = LARGE_BODY_BYTES
    max_headers: int = MAX_HEADERS
    max_header_bytes: int = MAX_HEADER_BYTES
    max_connections: int = MAX_CONNECTIONS
    max_concurrent_reviews: int = MAX_CONCURRENT_REVIEWS
    max_sent_elsewhere_per_second: int = MAX_SENT_ELSEWHERE_PER_SECOND
    backlog: int = BACKLOG
    turn_seconds: float = TURN_SECONDS
    handshake_seconds: float = HANDSHAKE_SECONDS
    header_seconds: float = HEADER_SECONDS
    sweep_seconds: float = SWEEP_SECONDS
    body_seconds: float = BODY_SECONDS
    write_seconds: float = WRITE_SECONDS
    linger_seconds: float = LINGER_SECONDS
    tls_close_seconds: float = TLS_CLOSE_SECONDS
    keepalive_seconds: float = KEEPALIVE_SECONDS
    drain_seconds: float = DRAIN_SECONDS
    in_flight_seconds: float = IN_FLIGHT_SECONDS
