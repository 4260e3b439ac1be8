"""The layout of `monitors.yaml` as a JSON Schema, for editors: made of the types that read it.

It tells misspelt keys and wrong types. What makes no sense beyond that, such as limits that no
value passes, `driftline monitors check` tells.
"""

from typing import Any

import msgspec

from streams.chosen import Choice
from streams.monitors import VALUES, Drift
from streams.monitors_file import Layout, LayoutOfModel, LayoutOfWindow
from streams.rule_kinds import OTHER_KINDS, RULE_KINDS
from streams.rules_file import threshold_type
from streams.silences import LayoutOfSilence

_PLACE = "#/$defs/{name}"


def monitors_schema() -> dict[str, Any]:
    """Return the schema, in the dialect of 2020-12.

    Examples
    --------
    >>> schema = monitors_schema()
    >>> sorted(schema["properties"])[:3]
    ['baseline', 'coarse', 'defaults']
    >>> schema["$defs"]["Threshold"]["required"]
    ['name', 'metric']
    """
    rule = threshold_type()
    layouts = [Layout, LayoutOfModel, LayoutOfWindow, LayoutOfSilence]
    kinds = [*layouts, Choice, Drift, *OTHER_KINDS, rule]
    _, found = msgspec.json.schema_components(kinds, ref_template=_PLACE)
    parts = {name.lstrip("_"): _clean(part) for name, part in found.items()}
    parts["Threshold"]["oneOf"] = [{"required": [kind.name]} for kind in RULE_KINDS]
    for kind in OTHER_KINDS:
        parts[kind.__name__]["anyOf"] = [{"required": [key]} for key in kind.keys]
    file = parts.pop("Layout")
    keys = file["properties"]
    windows = [{"type": "string"}, _of("LayoutOfWindow")]
    rules = [_of(kind.__name__) for kind in OTHER_KINDS]
    keys["windows"]["items"] = {"anyOf": windows}
    keys["thresholds"]["items"] = {"anyOf": [_of("Threshold"), *rules]}
    keys["drift"]["items"] = _of("Drift")
    keys["silences"]["items"] = _of("LayoutOfSilence")
    keys["models"]["additionalProperties"] = {"anyOf": [_of("LayoutOfModel"), {"type": "null"}]}
    keys["values"]["additionalProperties"] = {"enum": list(VALUES)}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **file, "$defs": parts}


def _of(name: str) -> dict[str, str]:
    return {"$ref": _PLACE.format(name=name)}


def _clean(part: Any) -> Any:
    """Return a part with the names of others as they are here."""
    if isinstance(part, dict):
        return {
            key: value.replace("/_", "/") if key == "$ref" else _clean(value)
            for key, value in part.items()
        }
    return [_clean(one) for one in part] if isinstance(part, list | tuple) else part
