"""An Elasticsearch in memory that takes `_bulk` as it is documented, and nothing else."""

from __future__ import annotations

import json
from typing import Any

from tests.pages import ROOT
from tests.receivers import Post

TEMPLATE = json.loads((ROOT / "deploy" / "elasticsearch" / "index-template.json").read_text())
_META = {"_index", "_id", "version", "version_type"}
_TYPES: dict[str, Any] = {
    "keyword": str,
    "text": str,
    "boolean": bool,
    "date": int,
    "long": int,
    "double": (int, float),
    "flattened": dict,
    "object": dict,
}


class Cluster:
    """Indices with documents that have external versions.

    Attributes
    ----------
    refusals
        What is answered of documents by their id, instead of taking them.
    """

    def __init__(self) -> None:
        self.versions: dict[tuple[str, str], int] = {}
        self.indices: dict[str, dict[str, dict[str, Any]]] = {}
        self.refusals: dict[str, tuple[int, str]] = {}

    def __call__(self, post: Post) -> tuple[int, bytes]:
        path, _, query = post.path.partition("?")
        assert path == "/_bulk"
        assert query == "filter_path=items.*.status,items.*.error.type,items.*.error.reason"
        assert post.headers["content-type"] == "application/x-ndjson"
        assert post.body.endswith(b"\n")
        lines = [json.loads(line) for line in post.body.splitlines()]
        items = []
        while lines:
            [(action, meta)] = lines.pop(0).items()
            assert set(meta) == _META
            assert meta["version_type"] == "external"
            document = lines.pop(0) if action == "index" else None
            assert action in ("index", "delete")
            items.append({action: self._done(meta, document)})
        return 200, json.dumps({"items": items}).encode()

    def _done(self, meta: Any, document: Any) -> Any:
        index, name, version = meta["_index"], meta["_id"], meta["version"]
        if name in self.refusals:
            status, kind = self.refusals[name]
            return {"status": status, "error": {"type": kind, "reason": "no \x1b[31m"}}
        if not 0 < len(name.encode()) <= 512:
            return {"status": 400, "error": {"type": "illegal_argument", "reason": "id"}}
        if self.versions.get((index, name), -1) >= version:
            return {"status": 409, "error": {"type": "version_conflict_engine_exception"}}
        self.versions[index, name] = version
        there = self.indices.setdefault(index, {})
        if document is None:
            return {"status": 200 if there.pop(name, None) else 404}
        for field, value in document.items():
            told = TEMPLATE["template"]["mappings"]["properties"][field]["type"]
            assert value is None or isinstance(value, _TYPES[told]), field
        there[name] = document
        return {"status": 201}
