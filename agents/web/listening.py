"""Listen to what workers tell of themselves, and to dead letters, for *Pipeline*.

Rules of this file:

* It is apart from the history: without brokers, or without access, the page shows all else.
* It belongs to no group and keeps nothing: dead letters of the last day are counted, of a partition
  no more than the newest thousand.
* Nothing that it reads is believed: whoever may write there may have written anything.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec
from confluent_kafka import KafkaException, Message
from confluent_kafka.admin import AdminClient

from agents import clients, topics_admin
from agents.ends import find_offsets, offsets_since
from agents.installation import RECENT_MS
from agents.settings import Settings
from agents.status import Status
from agents.web.owning import Owning
from agents.web.told import Letters, Told
from driftline.reader import Reader
from streams.errors import ConfigError, NoAnswerError
from streams.topics import Topics

_DAY_MS = 86_400_000
_NEWEST = 1_000
_MOST_REASONS = 200
_MOST_WORKERS = 1_000
_MOST_BYTES, _MOST_BYTES_IN_ALL = 1_048_576, 67_108_864
"""Of what workers tell: one, and all of them. A thousand models of the longest names are 300 kB."""
_TEXT_CHARS, _EXAMPLE_BYTES = 500, 120
_AGAIN_S = 10.0
_ASK_S = 10.0


class _Worker(NamedTuple):
    told_ms: int
    size_bytes: int
    status: Status


class Heard:
    """What was heard until now; any thread may ask for it."""

    def __init__(self, workers_topic: str) -> None:
        self._topic = workers_topic
        self._lock = threading.Lock()
        self._workers: dict[bytes, _Worker] = {}
        self._bytes = 0
        self._letters: dict[tuple[str, str], Letters] = {}
        self.wrong: str | None = None

    def take(self, message: Message) -> None:
        """Take a record of any of the topics."""
        with self._lock:
            if message.topic() == self._topic:
                self._take_worker(message)
            elif message.value() is not None or message.headers():
                self._take_letter(message)

    def told(self, now_ms: int) -> Told:
        """Return what holds now: a worker that was killed takes nothing back."""
        with self._lock:
            since_ms = now_ms - RECENT_MS
            recent = [one.status for one in self._workers.values() if one.told_ms >= since_ms]
            workers = tuple(sorted(recent, key=lambda one: one.worker_id))
            return Told(workers, tuple(self._letters.values()), self.wrong)

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._workers.clear()
            self._bytes = 0
            self._letters.clear()

    def _take_worker(self, message: Message) -> None:
        key, value = bytes(message.key() or b""), message.value()
        self._drop(key)
        if value is None or len(value) > _MOST_BYTES:
            return
        try:
            status = msgspec.json.decode(value, type=Status)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        self._workers[key] = _Worker(message.timestamp()[1], len(key) + len(value), status)
        self._bytes += self._workers[key].size_bytes
        # The longest silent first: whoever made up a thousand workers hides real ones for a beat.
        while len(self._workers) > _MOST_WORKERS or self._bytes > _MOST_BYTES_IN_ALL:
            self._drop(next(iter(self._workers)))

    def _drop(self, key: bytes) -> None:
        before = self._workers.pop(key, None)
        if before is not None:
            self._bytes -= before.size_bytes

    def _take_letter(self, message: Message) -> None:
        found: Any = message.headers() or ()
        headers = {name: _text(text) for name, text in found}
        topic = headers.get("__connect.errors.topic") or str(message.topic())
        reason = headers.get("driftline.reason") or "unknown"
        before = self._letters.pop((topic, reason), None)
        if len(self._letters) >= _MOST_REASONS:
            del self._letters[next(iter(self._letters))]
        number, offset = (
            headers.get(f"__connect.errors.{name}", "?") for name in ("partition", "offset")
        )
        value = bytes(message.value() or b"")[:_EXAMPLE_BYTES]
        self._letters[topic, reason] = Letters(
            topic,
            reason,
            1 if before is None else before.records + 1,
            message.timestamp()[1],
            f"{topic}/{number}:{offset}",
            headers.get("__connect.errors.exception.message", ""),
            value.decode(errors="replace"),
        )


def _text(value: bytes | str | None) -> str:
    text = value if isinstance(value, str) else (value or b"").decode(errors="replace")
    return text[:_TEXT_CHARS]


class Listening:
    """Listen in a thread, for as long as the ``with`` block lasts."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._topics = settings, Topics(settings.prefix)
        self._heard = Heard(self._topics.workers)
        self._owning = Owning(settings)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="driftline-listen", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._owning.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._owning.stop()

    def told(self) -> Told:
        """Return what holds now."""
        return self._heard.told(_now_ms())._replace(monitors=self._owning.monitors)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._listen()
            except KafkaException as error:
                self._heard.wrong = f"workers cannot be heard: {error.args[0].str()}"
            except (ConfigError, NoAnswerError, TimeoutError) as error:
                self._heard.wrong = f"workers cannot be heard: {error}"
            except Exception as error:  # noqa: BLE001 - told; a thread that ended would tell nothing
                self._heard.wrong = f"workers cannot be heard: {type(error).__name__}"
            self._stop.wait(_AGAIN_S)

    def _listen(self) -> None:
        start = self._start()
        kafka = {"log_level": 2, **self._settings.kafka}
        topics = sorted({topic for topic, _ in start})
        self._heard.forget()
        servers = self._settings.bootstrap_servers
        with Reader(servers, topics, start=start, kafka=kafka) as reader:
            while not self._stop.is_set():
                for message in reader.messages(0.5):
                    self._heard.take(message)
                self._heard.wrong = None

    def _start(self) -> dict[tuple[str, int], int]:
        """Return where to begin: workers a minute ago, dead letters a day ago."""
        existing = topics_admin.existing(self._settings)
        workers = self._topics.workers
        if workers not in existing:
            raise ConfigError(f"topic {workers} does not exist, or may not be read")
        admin = AdminClient(clients.admin(self._settings))
        own = [(workers, number) for number in range(existing[workers])]
        found = offsets_since(admin, own, _now_ms() - RECENT_MS)
        letters = [
            (topic, number)
            for topic in self._topics.all_dead_letters
            for number in range(existing.get(topic, 0))
        ]
        if letters:
            until_s = time.monotonic() + _ASK_S
            ends = find_offsets(
                admin, letters, latest=True, wanted=lambda: time.monotonic() < until_s
            )
            since = offsets_since(admin, letters, _now_ms() - _DAY_MS)
            found |= {place: max(since[place], ends[place] - _NEWEST) for place in letters}
        return found


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
