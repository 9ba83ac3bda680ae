"""Make connections whose loss is noticed."""

import socket
from typing import Final

import aiohttp
from aiohappyeyeballs import AddrInfoType

# 11 watches, as many lists at the start, and the requests of those who write and of reviews that need a live answer.
_MAX_CONNECTIONS: Final = 64
# Chunks of a watch's stream; the default of 64 KiB doubles the work for a large list.
_READ_BUFFER_BYTES: Final = 256 * 1024

# A peer that is gone is noticed within 30 s: asked after 15 s of silence, then each 5 s, given up after the third.
# What was sent and not acknowledged counts as lost after the same 30 s. Linux by itself waits for two hours, or for a
# quarter of one.
_TCP_OPTIONS: Final = {
    "TCP_KEEPIDLE": 15,  # seconds
    "TCP_KEEPINTVL": 5,  # seconds
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 30_000,  # milliseconds
}


def open_session(user_agent: str) -> aiohttp.ClientSession:
    """Make a session without cookies, without proxies from the environment, and with watched connections."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=_MAX_CONNECTIONS, socket_factory=_socket),
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=_READ_BUFFER_BYTES,
        headers={"User-Agent": user_agent},
        trust_env=False,
    )


def _socket(address: AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _TCP_OPTIONS.items():
        # Not every system has every one of them (macOS has no TCP_USER_TIMEOUT).
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made
