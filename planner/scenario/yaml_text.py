"""YAML text from outside -> plain values, within bounds that are checked before anything is built."""

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node

MOST_BYTES = 256 * 1024
_DEEPEST = 64  # levels of mappings and lists: below what Python's recursion takes
_MOST_BITS = 4096  # of a whole number; int() itself bounds decimal ones only
_MOST_VALUES = 100_000  # with every alias written out: a few lines of aliases can stand for billions


def load_yaml(text: str) -> Any:
    """Return the values of a YAML text.

    Raises
    ------
    YAMLError
        If it is no YAML, nested too deeply, or too large with every alias written out.
    """
    loader = YAML(typ="safe", pure=True)
    try:
        node = loader.compose(text)
        if node is None:
            return None
        _Extent().of(node, 0)
        content = loader.constructor.construct_document(node)
        _refuse_endless(content)
        return content
    except YAMLError:
        raise
    except RecursionError as exc:
        raise MarkedYAMLError(problem=_too_deep()) from exc
    except Exception as exc:  # int() refuses 4,300 digits, dates a 13th month, tags what they like
        raise MarkedYAMLError(problem=str(exc) or type(exc).__name__) from exc


def _refuse_endless(value: object) -> None:
    """Refuse whole numbers that cannot be shown; int() itself bounds decimal ones only."""
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise MarkedYAMLError(problem=f"a number has too many digits ({_MOST_BITS} bits are the most)")
    if isinstance(value, dict):
        for item in (*value.keys(), *value.values()):
            _refuse_endless(item)
    elif isinstance(value, list | tuple | set):
        for item in value:
            _refuse_endless(item)


def _too_deep() -> str:
    return f"it is nested more than {_DEEPEST} levels deep"


class _Extent:
    """How many values a node holds and how deep it is, each shared node looked at once."""

    def __init__(self) -> None:
        self._extents: dict[int, tuple[int, int]] = {}
        self._open: set[int] = set()

    def of(self, node: Node, depth: int) -> tuple[int, int]:
        """Return (values, levels) of a node that lies so deep, with every alias written out."""
        if not isinstance(node, CollectionNode):
            return 1, 0
        key = id(node)
        if key in self._open:
            raise MarkedYAMLError(problem="an alias contains itself", problem_mark=node.start_mark)
        if key not in self._extents:
            self._open.add(key)
            self._extents[key] = self._inside(node, depth)
            self._open.remove(key)
        values, levels = self._extents[key]
        if depth + levels > _DEEPEST:
            raise MarkedYAMLError(problem=_too_deep(), problem_mark=node.start_mark)
        if values > _MOST_VALUES:
            problem = f"with every alias written out it holds more than {_MOST_VALUES} values"
            raise MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return values, levels

    def _inside(self, node: CollectionNode, depth: int) -> tuple[int, int]:
        if depth > _DEEPEST:
            raise MarkedYAMLError(problem=_too_deep(), problem_mark=node.start_mark)
        pairs = isinstance(node, MappingNode)
        children = [part for pair in node.value for part in pair] if pairs else node.value
        extents = [self.of(child, depth + 1) for child in children]
        return 1 + sum(values for values, _ in extents), 1 + max((levels for _, levels in extents), default=0)
