"""A headless Chromium, driven by its own protocol: pages as people see them."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import re
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.debian import program

_SWITCHES = (
    *("--headless", "--disable-gpu", "--no-sandbox", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--remote-debugging-port=0", "about:blank"),
)
WAIT_S = 60.0


class RefusedError(RuntimeError):
    """The browser cannot do what it was told."""


class Browser:
    """A tab.

    Attributes
    ----------
    requests
        Addresses of all that was asked for.
    complaints
        What was said on the console, refused by the policy, or thrown.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._ids = socket, itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._loaded = asyncio.Event()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
            elif said["method"] == "Network.requestWillBeSent":
                self.requests.append(said["params"]["request"]["url"])
            elif said["method"] == "Page.loadEventFired":
                self._loaded.set()
            elif said["method"] == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(said["params"]["exceptionDetails"]))
            elif said["method"] == "Log.entryAdded":
                self.complaints.append(said["params"]["entry"]["text"])
            elif said["method"] == "Runtime.consoleAPICalled":
                self.complaints.append(json.dumps(said["params"]["args"]))

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_str(
            json.dumps({"id": number, "method": method, "params": parameters})
        )
        said = await asyncio.wait_for(answer, WAIT_S)
        if "error" in said:
            raise RefusedError(str(said["error"]))
        return said["result"]  # type: ignore[no-any-return]

    async def run(self, script: str) -> Any:
        """Return what a script says; a promise is waited for."""
        found = await self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, condition: str) -> Any:
        """Wait until a script says something that is true, and return that."""
        while True:
            try:
                return await self._until(condition)
            except RefusedError as error:
                if not any(word in str(error) for word in ("navigated", "destroyed")):
                    raise  # else the page before this one is only just gone

    async def _until(self, condition: str) -> Any:
        return await self.run(
            "new Promise((done, failed) => { const look = () => {"
            f" const found = ({condition}); if (found) done(found); else if (Date.now() > end)"
            " failed(document.body.innerText); else setTimeout(look, 20); };"
            f" const end = Date.now() + {WAIT_S * 1000 - 5000}; look(); }})"
        )

    async def go(self, url: str) -> None:
        """Open an address, and wait until it is loaded."""
        self._loaded.clear()
        await self.call("Page.navigate", url=url)
        await asyncio.wait_for(self._loaded.wait(), WAIT_S)

    async def size(self, width: int, height: int, *, dark: bool = False) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def picture(self, path: Path) -> None:
        shot = await self.call("Page.captureScreenshot", captureBeyondViewport=False)
        path.write_bytes(base64.b64decode(shot["data"]))  # noqa: ASYNC240 - nothing else runs

    async def close(self) -> None:
        await self.call("Browser.close")
        self._reading.cancel()
        await self._socket.close()


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    chromium = program("chromium", "chromium-browser", "google-chrome")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs
            [chromium, *_SWITCHES, f"--user-data-dir={folder}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stderr is not None
            said = iter(process.stderr.readline, "")
            found = next(m for line in said if (m := re.search(r"ws://(\S+?)/", line)))
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://{found[1]}/json") as answer:
                    (tab, *_) = [one for one in await answer.json() if one["type"] == "page"]
                socket = await session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0)
                page = Browser(socket)
                for domain in ("Page", "Network", "Runtime", "Log"):
                    await page.call(f"{domain}.enable")
                yield page
                await page.close()
        finally:
            process.terminate()
            process.wait()
            assert process.stderr is not None
            process.stderr.close()
