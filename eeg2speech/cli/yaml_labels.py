"""YAML in which ``027`` is a label: the old standard reads it as the octal number 23, and so as another participant."""

from __future__ import annotations

import re
from typing import Any

import jsonargparse
import yaml  # type: ignore[import-untyped]

MODE = "yaml_labels"
"""Parser mode of jsonargparse that reads options so."""

NUMBERS = {
    "tag:yaml.org,2002:int": r"[-+]?(?:0|[1-9][0-9]*)",
    "tag:yaml.org,2002:float": r"[-+]?(?:(?:0|[1-9][0-9]*)\.[0-9]*(?:[eE][-+]?[0-9]+)?"
    r"|(?:0|[1-9][0-9]*)[eE][-+]?[0-9]+|\.[0-9]+(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF|nan|NaN|NAN))",
}
"""Numbers of the 1.2 standard: without leading zeros, and never in base 60."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    pass


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag not in {*NUMBERS, "tag:yaml.org,2002:timestamp"}]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern in NUMBERS.items():
    _Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), list("-+0123456789."))


def load(text: str) -> Any:
    """Read a value or a file of options."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506  (derived from SafeLoader)


jsonargparse.set_loader(MODE, load, (yaml.YAMLError,))
