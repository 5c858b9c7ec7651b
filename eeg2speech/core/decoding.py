"""Values of JSON as frozen dataclasses, by the types of their fields."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


class FieldError(ValueError):
    """A value does not have the type of its field."""


def decode(kind: Any, value: Any, key: str = "") -> Any:
    """A value of JSON as a type: the reverse of ``files.to_jsonable`` for dataclasses.

    Keys without a field are ignored, and a key that is missing takes the default of its field.

    Args:
        kind: A dataclass, dict with str keys, list, tuple, Literal, float, int, str, bool or Any, or one of them or
            None. For a float, None is NaN.
        value: As ``json`` reads it.
        key: Where the value stands, for messages, e.g. ``alignment.splits``.

    Raises:
        FieldError: A key is missing or has a value of another type.
    """
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):  # all unions are with None
        return None if value is None else decode(next(one for one in args if one is not type(None)), value, key)
    if is_dataclass(kind):
        return _decode_fields(kind, value, key)
    if origin is dict:
        _require(isinstance(value, Mapping), value, key)
        return {name: decode(args[1], inner, f"{key}.{name}") for name, inner in value.items()}
    if origin in (list, tuple):
        _require(isinstance(value, list), value, key)
        kinds = [args[0]] * len(value) if origin is list or args[-1] is Ellipsis else args
        _require(len(kinds) == len(value), value, key)
        return origin(decode(*pair, f"{key}[{place}]") for place, pair in enumerate(zip(kinds, value, strict=True)))
    if origin is Literal:
        _require(value in args, value, key)
        return value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float:
        _require(value is None or number, value, key)
        return math.nan if value is None else float(value)
    _require(isinstance(value, kind) and (kind is not int or number), value, key)
    return value


def _decode_fields(kind: Any, value: Any, key: str) -> Any:
    _require(isinstance(value, Mapping), value, key)
    hints = get_type_hints(kind)
    found = {}
    for one in fields(kind):
        place = f"{key}.{one.name}".removeprefix(".")
        if one.name in value:
            found[one.name] = decode(hints[one.name], value[one.name], place)
        elif one.default is MISSING and one.default_factory is MISSING:
            raise FieldError(f"{place} is missing")
    return kind(**found)


def _require(right: bool, value: Any, key: str) -> None:
    if not right:
        raise FieldError(f"{key} has the value {str(value)[:40]!r}")
