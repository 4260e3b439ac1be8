"""Tasks of the main loop that end the process where they fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from agents.exits import describe, end_process, exit_code
from agents.settings import Settings
from agents.topics_admin import way_out
from streams.errors import StateError


class Tasks:
    """Starts tasks, and keeps them from being collected."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Awaitable[None], name: str) -> asyncio.Task[None]:
        """Begin to do something; `name` is what the log says where it fails."""
        task = asyncio.get_running_loop().create_task(self._guarded(work, name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Awaitable[None], name: str) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except StateError as error:
            end_process(f"{name}: {error}; {way_out(self._settings)}", code=exit_code(error))
        except BaseException as error:  # noqa: BLE001 - a task that dies silently hangs a worker
            end_process(f"{name}: {describe(error)}", code=exit_code(error))
