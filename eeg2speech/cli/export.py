"""`eeg2speech export`: the parts of a checkpoint, for later stages and other programs."""

from __future__ import annotations

from pathlib import Path

GROUPS: dict[str, list[str]] = {}
EXAMPLES = """
    eeg2speech export runs/maeeg/checkpoints/best.ckpt my_encoder
    eeg2speech export runs/alignment/checkpoints/best.ckpt my_aligner --json
"""


def export(ckpt: Path, out: Path, json: bool = False) -> int:
    """Export the parts of a checkpoint that later stages need, as safetensors files and one config.json.

    Stage 1 and audiomae export the encoder. Alignment also exports the aligner: both projections, the subject layer and
    the audio encoder.

    Args:
        ckpt: Checkpoint of a run, e.g. runs/maeeg/checkpoints/best.ckpt.
        out: Folder to write into.
        json: Print what was written as JSON: folder, files.
    """
    from eeg2speech.cli.output import json_stdout, print_json
    from eeg2speech.core.progress import waiting

    with waiting(f"Exporting {ckpt}"), json_stdout(json):
        from eeg2speech.checkpoints.parts import export_parts

        files = [f"{part}.safetensors" for part in export_parts(ckpt, out)]
    if json:
        print_json({"folder": out, "files": [*files, "config.json"]})
    else:
        print(f"Wrote {', '.join(files)} and config.json into {out}")
    return 0
