"""Whether JSON values are what a type of `pulse_jax.runs.formats` says."""

import types
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict


def faults(value: Any, kind: Any, place: str = "it") -> list[str]:
    """What in a JSON value is not as a type says: missing and strange keys, and values of another type."""
    if is_typeddict(kind):
        if not isinstance(value, dict):
            return [f"{place} is no object"]
        hints = get_type_hints(kind)
        found = [f"{place}.{key} is missing" for key in sorted(kind.__required_keys__ - value.keys())]
        found += [f"{place}.{key} is strange" for key in value if key not in hints]
        return found + [
            fault for key in value if key in hints for fault in faults(value[key], hints[key], f"{place}.{key}")
        ]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        tried = [faults(value, argument, place) for argument in arguments]
        return min(tried, key=len)
    if origin is list and isinstance(value, list):
        return [fault for i, one in enumerate(value) for fault in faults(one, arguments[0], f"{place}[{i}]")]
    if origin is dict and isinstance(value, dict):
        return [fault for key, one in value.items() for fault in faults(one, arguments[1], f"{place}.{key}")]
    expected = {float: (int, float)}.get(kind, kind if isinstance(kind, type) else object)
    right = kind is Any or (isinstance(value, expected) and (kind is bool or not isinstance(value, bool)))
    return [] if right else [f"{place} is {value!r:.60}, expected {kind}"]
