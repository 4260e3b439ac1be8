"""A TCP proxy that makes a network bad: slow, thin, interrupted, or silent."""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

_CHUNK_BYTES = 65_536
_LOOK_S = 0.01
#: An abrupt end: a reset instead of a farewell.
_LINGER = struct.pack("ii", 1, 0)


class Proxy:
    """Forward connections to a broker, in a thread of its own.

    Attributes
    ----------
    port
        Where to listen on 127.0.0.1.
    target_port
        Where to forward to on 127.0.0.1.
    latency_s
        By how much every chunk is held up, each way.
    bytes_per_s
        Bandwidth of a connection, each way; None is unlimited.
    silent
        Whether nothing goes through: connections stay open, and no byte moves.
    """

    def __init__(self, port: int, target_port: int) -> None:
        self.port, self.target_port = port, target_port
        self.latency_s = 0.0
        self.bytes_per_s: float | None = None
        self.silent = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def heal(self) -> None:
        """Make the network good again."""
        self.latency_s, self.bytes_per_s, self.silent = 0.0, None, False

    def reset(self) -> int:
        """Break all connections; return how many ends that were."""
        return self._call(self._reset())

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _close(self) -> None:
        self._server.close()
        await self._reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _reset(self) -> int:
        ends = list(self._writers)
        for writer in ends:
            with suppress(OSError):
                socket_ = writer.get_extra_info("socket")
                socket_.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            writer.transport.abort()
        return len(ends)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            await self._sound()
            there, onward = await asyncio.open_connection("127.0.0.1", self.target_port)
            self._writers.add(onward)
            try:
                await asyncio.gather(self._pump(reader, onward), self._pump(there, writer))
            finally:
                self._drop(onward)
        except (OSError, asyncio.CancelledError):
            return
        finally:
            self._drop(writer)
            self._tasks.discard(task)

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.transport.abort()

    async def _sound(self) -> None:
        while self.silent:  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(_LOOK_S)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK_BYTES):
            if self.latency_s:
                await asyncio.sleep(self.latency_s)
            if self.bytes_per_s:
                await asyncio.sleep(len(chunk) / self.bytes_per_s)
            await self._sound()
            writer.write(chunk)
            await writer.drain()
        raise ConnectionResetError
