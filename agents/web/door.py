"""How many may wait at the door: connections of which nobody knows yet whether they may ask.

Whoever has no token must not take the descriptors that the history needs: of a few hundred
connections that never ask, or ask in vain, the page would be gone for everybody. Those that were
answered are not counted.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp.web_protocol import RequestHandler

MOST = 64


class Door:
    """Let connections in; the one that has waited longest gives way to a new one."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._waiting: dict[RequestHandler, None] = {}

    def made_by(self, make: Callable[[], RequestHandler]) -> Callable[[], RequestHandler]:
        """Return what makes the protocol of a new connection."""

        def protocol() -> RequestHandler:
            while len(self._waiting) >= self._most:
                oldest = next(iter(self._waiting))
                del self._waiting[oldest]
                if oldest.transport is not None:  # else it has gone already
                    oldest.transport.abort()
            made = make()
            self._waiting[made] = None
            return made

        return protocol

    def let_in(self, protocol: RequestHandler) -> None:
        """Count a connection no more: who asks there may ask."""
        self._waiting.pop(protocol, None)
