"""Read YAML that somebody else may have written: within limits, and nothing that is silently lost.

A file of a few hundred bytes can stand for billions of values by aliases of aliases, and deep
nesting exhausts the stack. Both are refused before anything is built; so is a key that comes twice,
of which YAML parsers keep the last without a word.
"""

from pathlib import Path
from typing import Any

import yaml

from streams.errors import ConfigError

LARGEST_BYTES = 1 << 20
MOST_VALUES = 100_000
DEEPEST = 20

# The one in C reads a megabyte in a fifth of the time.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NO_TEXTS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float"))


def read_yaml(path: Path, *, option: str, texts: frozenset[str] = frozenset()) -> object:
    """Return what a YAML file says.

    Parameters
    ----------
    option
        What named the file, for errors.
    texts
        Keys of which the value is the text that is written there: to YAML, `yes`, `no`, `on` and
        `off` are booleans, `1.0` is a float and `01` is 1, and no class can be told by that.

    Raises
    ------
    ConfigError
        If it cannot be read, is no YAML, or is beyond the limits.
    """
    name = f"{option}: {str(path)!r}"
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
        if len(content) > LARGEST_BYTES:
            raise ConfigError(f"{name} has over {LARGEST_BYTES:,} bytes")
        return _load(content.decode("utf-8-sig"), name, texts)
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name} is not UTF-8: {error}") from None
    except yaml.YAMLError as error:
        text = " ".join(str(error).split())
        raise ConfigError(f"{name} is no YAML: {text}") from None
    except RecursionError:
        raise ConfigError(f"{name} is nested too deeply") from None


def _load(text: str, name: str, texts: frozenset[str]) -> object:
    _check_depth(text, name)
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        _count(root, name, {}, ())
        _keep_texts(root, texts, set())
        return loader.construct_document(root)
    finally:
        loader.dispose()


def _check_depth(text: str, name: str) -> None:
    """Refuse deep nesting before nodes are made, which goes as deep on the stack of C."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise ConfigError(f"{name}{_line(event)}: nested more than {DEEPEST} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _count(node: yaml.Node, name: str, known: dict[int, int], above: tuple[int, ...]) -> int:
    """Return how many values a node stands for, aliases written out; refuse too many."""
    if id(node) in above:
        raise ConfigError(f"{name}{_line(node)}: a value contains itself")
    if id(node) in known:
        return known[id(node)]
    inside: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        inside = node.value
    elif isinstance(node, yaml.MappingNode):
        _refuse_repeated(node, name)
        inside = [part for pair in node.value for part in pair]
    total = 1 + sum(_count(part, name, known, (*above, id(node))) for part in inside)
    if total > MOST_VALUES:
        raise ConfigError(f"{name} stands for over {MOST_VALUES:,} values, aliases written out")
    known[id(node)] = total
    return total


def _keep_texts(node: yaml.Node, texts: frozenset[str], seen: set[int]) -> None:
    if id(node) in seen or isinstance(node, yaml.ScalarNode):
        return
    seen.add(id(node))
    for part in node.value:
        key, value = part if isinstance(node, yaml.MappingNode) else (None, part)
        told = isinstance(value, yaml.ScalarNode) and value.tag in _NO_TEXTS
        if told and key is not None and key.value in texts:
            value.tag = "tag:yaml.org,2002:str"
        _keep_texts(value, texts, seen)


def _refuse_repeated(node: yaml.MappingNode, name: str) -> None:
    seen = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
            continue
        if (key.tag, key.value) in seen:
            raise ConfigError(f"{name}{_line(key)}: the key {key.value!r} is there twice")
        seen.add((key.tag, key.value))


def _line(part: yaml.Node | yaml.Event) -> str:
    return "" if part.start_mark is None else f", line {part.start_mark.line + 1}"
