"""Writing files so that none is ever half there."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def written_beside(file: Path) -> Iterator[Path]:
    """Give a path beside ``file`` to write to, and rename it to ``file`` once that went well.

    After an error nothing is left behind and an earlier ``file`` is as it was. Two writers never share a path, be they
    on two machines.
    """
    partial = file.with_name(f"{file.name}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def write_json(file: Path, content: Any) -> None:
    """Write indented JSON, never half of it."""
    with written_beside(file) as partial:
        text = json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True)
        partial.write_text(text + "\n", encoding="utf-8")
