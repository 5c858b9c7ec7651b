"""Embeddings for the projector of TensorBoard, which reads them from tables beside the events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.files import written_beside

FOLDER = "projector"
CONFIG = "projector_config.pbtxt"
"""The file that TensorBoard reads, in the folder of the events."""
DIGITS = 4
"""Decimal places, which keep the text of many windows small."""


@dataclass(frozen=True)
class Cloud:
    """Points and their metadata.

    Attributes:
        vectors: (n, K).
        columns: Names of the metadata.
        facts: Metadata of each point, in the order of the columns.
    """

    vectors: NDArray[np.floating[Any]]
    columns: Sequence[str]
    facts: Sequence[Sequence[str]]


def write_projector(run: Path, clouds: Mapping[str, Cloud]) -> None:
    """Write the embeddings of a run and replace those of an earlier test.

    ``SummaryWriter.add_embedding`` would warn and keep the tables of the earlier test.

    Args:
        run: Folder of the events.
        clouds: Points by name of their folder.
    """
    config = []
    for name, cloud in clouds.items():
        folder = run / FOLDER / name
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "tensors.tsv", ([f"{x:.{DIGITS}f}" for x in vector] for vector in cloud.vectors.tolist()))
        _write(folder / "metadata.tsv", (map(_cell, row) for row in (cloud.columns, *cloud.facts)))
        places = {"tensor_path": "tensors.tsv", "metadata_path": "metadata.tsv"}
        lines = [f'tensor_name: "{name}"', *(f'{key}: "{FOLDER}/{name}/{file}"' for key, file in places.items())]
        config += ["embeddings {", *(f"  {line}" for line in lines), "}"]
    with written_beside(run / CONFIG) as partial:
        partial.write_text("\n".join(config) + "\n", encoding="utf-8")


def _write(file: Path, rows: Iterable[Iterable[str]]) -> None:
    with written_beside(file) as partial, partial.open("w", encoding="utf-8") as lines:
        lines.writelines("\t".join(row) + "\n" for row in rows)


def _cell(text: str) -> str:
    return " ".join(text.split())  # a tab would start another column
