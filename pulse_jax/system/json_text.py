"""JSON that may be a stranger's: whatever is wrong with it is a `ValueError`."""

import json
from typing import Any

__all__ = ["parse_json"]

_MAX_DEPTH = 64


def parse_json(text: str | bytes) -> Any:
    """Return the value that a JSON text stands for.

    Args:
        text: The text, or its UTF-8 bytes.

    Raises:
        ValueError: It is no JSON, holds a name twice in one object, or is nested more deeply than this program writes:
            whoever compares, hashes or shows what is deep would fail in turn.
    """
    try:
        value = json.loads(text if isinstance(text, str) else text.decode("utf-8"), object_pairs_hook=_object)
    except RecursionError:
        raise ValueError(f"JSON nested more than {_MAX_DEPTH} deep") from None
    layer, depth = [value], 0
    while layer:
        depth += 1
        if depth > _MAX_DEPTH:
            raise ValueError(f"JSON nested more than {_MAX_DEPTH} deep")
        layer = [
            child
            for node in layer
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("JSON with a name twice in one object")
    return result
