"""
Bound what one client can take from all the others: every limit and deadline of the server, with its reason.

The API server is the only client that matters, and its side of the connection is known: HTTP/1.1, at most 25 idle
connections, which it closes after 90 s without use, a request body of at most 3 MiB, a timeout of 1 to 30 s.
"""

from dataclasses import dataclass
from math import ceil

MAX_BODY_BYTES = 8 * 1024 * 1024  # 2 objects (new and old) x 3 MiB that the API server accepts + 2 MiB of envelope
# Of the connections, the reviews in progress and the bytes that they hold, one client address gets at most this share:
# a pod that floods the service does not take the place of the API servers, which have other addresses.
ADDRESS_SHARE = 0.75
# Bodies, twice, and what is built of them, together: the share of one address has room for one review of the largest
# size and the most values. All connections take as much again, so that all requests under way stay below 200 MiB of the
# pod's 512.
MAX_HELD_BYTES = 100 * 1024 * 1024
# The API server stores objects of at most 1.5 MiB: 41,000 `ipBlock` peers, with three values each, in an update twice.
MAX_POLICY_VALUES = 300_000
# A review of an EEM resource has some hundred values. Its rules take up to 12 µs of the event loop for each.
MAX_INSTANCE_VALUES = 20_000
MAX_RULES = 40_000  # of a policy: each rule that selects something has at least seven values
MAX_DEPTH = 100  # the API server's objects are some 30 levels deep, managedFields included
# Up to this size a body is decoded on the event loop: a list of empty entries, the costliest body, takes 40 ms there,
# a common one 5 ms. Larger bodies are decoded in a thread. They are rare: kubectl sends a few kilobytes.
LARGE_BODY_BYTES = 32 * 1024
# Of one address: one is read while the other is decoded. The bodies of the others are not read meanwhile.
LARGE_BODIES = 2
LARGE_REVIEWS = 16  # of one address, with those that wait for their body to be read
MAX_HEADERS = 64  # the API server sends eight
MAX_HEADER_BYTES = 8190  # per line; aiohttp's own value, more is answered with 400
MAX_CONNECTIONS = 768  # 25 idle ones for each of a few API servers, and a burst; some 100 KiB each under TLS
MAX_CONCURRENT_REVIEWS = 64  # only reviews that wait for a live list add up; each holds its objects
BACKLOG = 1024  # connections that the kernel keeps while a burst of handshakes is processed

HANDSHAKE_SECONDS = 10.0  # the API server's client allows the same
HEADER_SECONDS = 14.0  # from connecting (handshake included), or from a header's first byte, to the header's end
SWEEP_SECONDS = 1.0  # between two checks of the connections' deadlines; a connection is closed within 15 s
BODY_SECONDS = 10.0  # the API server sends a body that it has in memory: longer is an attack or a broken network
WRITE_SECONDS = 15.0  # until a client that does not read must take an answer that fills the buffers
LINGER_SECONDS = 2.0  # after a refused body, so that the client sees the answer and not a reset
TLS_CLOSE_SECONDS = 5.0  # waiting for the client's close_notify
KEEPALIVE_SECONDS = 120.0  # above the client's 90 s: the client always closes first, so no POST meets a close
DEFAULT_TIMEOUT_SECONDS = 10.0  # a webhook's timeout if the configuration sets none
MIN_TIMEOUT_SECONDS = 1.0  # the smallest timeout that a webhook configuration can hold
MAX_TIMEOUT_SECONDS = 30.0  # the largest timeout that a webhook configuration can hold
WAITING_SHARE = 0.6  # of the client's timeout may pass before judging begins; a longer wait is answered with 503
MAX_SENT_ELSEWHERE_PER_SECOND = 50  # a handshake costs as much as a verdict: 5 % of a core; further clients must wait
ROUND_SECONDS = 0.005  # of judging per event loop iteration while handshakes, watches and probes wait
ANSWER_MARGIN_SECONDS = 0.5  # of the client's timeout is kept for the answer to arrive in time

DRAIN_SECONDS = 12.0  # until every proxy and API server knows that this replica stops
IN_FLIGHT_SECONDS = 30.0  # the longest timeout that a review can still have when listening stops


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The limits of one server. The defaults are for production; tests use smaller values."""

    max_body_bytes: int = MAX_BODY_BYTES
    max_held_bytes: int = MAX_HELD_BYTES
    max_policy_values: int = MAX_POLICY_VALUES
    max_instance_values: int = MAX_INSTANCE_VALUES
    large_body_bytes: int = LARGE_BODY_BYTES
    max_headers: int = MAX_HEADERS
    max_header_bytes: int = MAX_HEADER_BYTES
    max_connections: int = MAX_CONNECTIONS
    max_concurrent_reviews: int = MAX_CONCURRENT_REVIEWS
    address_share: float = ADDRESS_SHARE
    large_bodies: int = LARGE_BODIES
    large_reviews: int = LARGE_REVIEWS
    max_sent_elsewhere_per_second: int = MAX_SENT_ELSEWHERE_PER_SECOND
    backlog: int = BACKLOG
    round_seconds: float = ROUND_SECONDS
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

    def of_address(self, most: int) -> int:
        """Return how many of *most* one client address may have."""
        return ceil(most * self.address_share)
