"""Names of version 0.1 that were replaced are no longer defined where they were public."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "eeg2speech"
OLD = {
    "": "SoundCheckpointIO SoundCheckpoint remembered_data TrainedOn deal_out dealt_like dealt_parts check_dealing "
        "all_whole HearsSounds ReadsRecordings Aligned Speaker load_speech speak_windows speak_arms speak_clips "
        "speak_raw speak_epochs speak_eeg speak_part TestAlignment TestSpeech Heard Spoken SpokenPart hear hear_part "
        "hear_training STRANGERS GAZES spooled output_of rate_of _hears",
    "core": "strict figure",
    "data/files": "reading",
    "data/preparation": "Pieces moved",
    "evaluation": "Training arms",
    "metrics": "Figure",
    "models/eeg": "know",
    "tasks": "shown thaw dropped gamma regression stranger described encoder_rate",
    "data/loading/datamodule.py": "story pairs",
    "tasks/alignment.py": "rows",
    "tasks/diffusion.py": "control",
    "cli": "share what",
}  # fmt: skip
"""Old names by folder or file of the package; of "" in all of it."""


def defined(file: Path) -> set[str]:
    """Names of the classes, functions, constants and arguments of public functions of a module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.FunctionDef):
            found.add(node.name)
            if not node.name.startswith("_") or node.name == "__init__":
                found |= {arg.arg for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


@pytest.mark.parametrize("scope", OLD, ids=lambda scope: scope or "package")
def test_old_names_are_gone(scope: str) -> None:
    place = PACKAGE / scope
    files = [place] if place.suffix else sorted(place.rglob("*.py"))
    assert files
    old = set(OLD[scope].split())
    assert {str(file.relative_to(PACKAGE)): sorted(old & defined(file)) for file in files if old & defined(file)} == {}


def test_definitions_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("X = 1\nclass A:\n    def __init__(self, rows: int) -> None: ...\n")
    assert defined(tmp_path / "a.py") == {"X", "A", "__init__", "self", "rows"}
