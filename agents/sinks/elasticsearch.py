"""Keep the last revision of every metric and alert in Elasticsearch or OpenSearch.

Rules of this file:

* An index, no data stream: those are only appended to. `_id` is the key, so a key is there once.
* The version of a document is the place of its record on the topic, and the index refuses earlier
  ones: whatever is sent again, or too late, changes nothing. The revision would not do, since a
  deletion has none, and a key that comes back begins at 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from agents.printable import printable
from agents.sinks.contract import AwayError, RefusedError, Sink, Upsert, option
from agents.sinks.posting import Poster, secret_in
from streams.errors import ConfigError

if TYPE_CHECKING:
    from driftline.places import Place

_LONGEST_ID = 512
"""Bytes; a metric's key may be longer."""

_SHOWN = "items.*.status,items.*.error.type,items.*.error.reason"
_NDJSON = {"Content-Type": "application/x-ndjson"}
_ANSWER_BYTES = 16_777_216


class ElasticsearchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which cluster is written to."""

    target: Annotated[str, option("Of the cluster; USER:PASSWORD@ may be in it.", "URL")]
    index: Annotated[
        str, option("What indices are called: NAME-metrics and NAME-alerts.", "NAME")
    ] = "driftline"
    authorization_file: Annotated[
        str | None, option("Has what the Authorization header says, such as ApiKey ….", "FILE")
    ] = None


class Elasticsearch(Sink):
    """Keep the last revision of every metric and alert in Elasticsearch or OpenSearch.

    Documents are the records, with `visible_at_ms`; `_id` is the key, or its SHA-256 if that is
    longer than 512 bytes. What is deleted from the topic is deleted. First give the cluster the
    index template: curl -X PUT URL/_index_template/driftline -H 'content-type: application/json'
    -d @deploy/elasticsearch/index-template.json
    """

    name = "elasticsearch"
    options = ElasticsearchOptions
    at_once: ClassVar[int] = 2_000
    examples = (
        "driftline sink elasticsearch http://localhost:9200",
        "driftline sink elasticsearch https://es.example.com --authorization-file key",
    )

    def __init__(self, options: ElasticsearchOptions) -> None:
        url = f"{options.target.rstrip('/')}/_bulk?filter_path={_SHOWN}"
        secret = secret_in(options.authorization_file, option="--authorization-file")
        self._poster = Poster(
            url, authorization=secret, allow_private=True, answer_bytes=_ANSWER_BYTES
        )
        self._index = options.index
        self._refused: dict[tuple[Place, int], tuple[Upsert, str]] = {}

    def write(self, upserts: Sequence[Upsert]) -> None:
        """Send all of these in one request, and look at what became of each."""
        if not upserts:
            return
        body = b"".join(line + b"\n" for one in upserts for line in self._lines(one))
        answer = self._poster.post(body, _NDJSON)
        for upsert, item in zip(upserts, self._items(answer, len(upserts)), strict=True):
            self._judge(upsert, item)

    def flush(self) -> None:
        """Set aside what was refused.

        Raises
        ------
        RefusedError
            If there is any.
        """
        refused, self._refused = list(self._refused.values()), {}
        if refused:
            why = refused[0][1]
            more = f", and {len(refused) - 1} others" if len(refused) > 1 else ""
            raise RefusedError(
                "refused_by_index", f"{why}{more}", upserts=[upsert for upsert, _ in refused]
            )

    def _lines(self, upsert: Upsert) -> Iterator[bytes]:
        action = {
            "_index": f"{self._index}-{upsert.kind}",
            "_id": document_id(upsert.key),
            "version": upsert.offset + 1,
            "version_type": "external",
        }
        if upsert.record is None:
            yield msgspec.json.encode({"delete": action})
        else:
            told = msgspec.structs.asdict(upsert.record)
            yield msgspec.json.encode({"index": action})
            yield msgspec.json.encode(told | {"visible_at_ms": upsert.timestamp_ms})

    def _items(self, body: bytes, wanted: int) -> Sequence[_Item]:
        try:
            found = msgspec.json.decode(body, type=_Answer).items
        except msgspec.DecodeError:
            found = ()
        items = [item for one in found for item in one.values()]
        if len(items) != wanted:
            raise ConfigError(f"{self._poster.host} does not answer as Elasticsearch does")
        return items

    def _judge(self, upsert: Upsert, item: _Item) -> None:
        """Say what became of one document."""
        why = printable(f"{item.error.type}: {item.error.reason}")[:300] if item.error else ""
        said = f"{self._poster.host} answers {item.status} ({why})"
        if item.status < HTTPStatus.MULTIPLE_CHOICES or item.status == HTTPStatus.CONFLICT:
            return
        if item.status == HTTPStatus.NOT_FOUND and upsert.record is None:
            return  # it is deleted already
        if item.status in _BY_A_PERSON:
            raise ConfigError(f"{said}; may this user write {self._index}-{upsert.kind}?")
        if item.status in _LATER or item.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise AwayError(said)
        self._refused[(upsert.topic, upsert.partition), upsert.offset] = upsert, said


class _Error(msgspec.Struct):
    type: str = ""
    reason: str = ""


class _Item(msgspec.Struct):
    status: int
    error: _Error | None = None


class _Answer(msgspec.Struct):
    items: Sequence[dict[str, _Item]] = ()


_BY_A_PERSON = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})
_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


def document_id(key: bytes) -> str:
    """Return what a document is called.

    Examples
    --------
    >>> document_id(b"a1"), len(document_id(b"x" * 513))
    ('a1', 64)
    """
    try:
        found = key.decode()
    except UnicodeDecodeError:
        found = ""
    fits = 0 < len(key) <= _LONGEST_ID and found
    return found if fits else hashlib.sha256(key).hexdigest()
