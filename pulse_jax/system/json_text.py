"""JSON as records hold it, and JSON that may be a stranger's: whatever is wrong with it is a `ValueError`."""

import json
import re
from typing import Any

__all__ = ["json_text", "parse_json"]

_MAX_DEPTH = 64
# A list of nothing but numbers, null and the like, over several lines; in a string there is no end of a line.
_NUMBERS = re.compile(r'\[\n[^][{}"]+\]')


def json_text(value: Any) -> str:
    """Return JSON with a line for each entry, and lists of numbers on one line.

    Args:
        value: What to write.

    Raises:
        ValueError: It holds a number that is not finite.
    """
    text = json.dumps(value, indent=1, allow_nan=False)
    return _NUMBERS.sub(lambda found: f"[{' '.join(found[0][1:-1].split())}]", text)


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
