from __future__ import annotations

from pathlib import Path


def export(ckpt: Path, out: Path) -> int:
    """Write what later stages take over from a checkpoint as safetensors files and one config.json.

    Of stages 1 and audiomae that is the encoder, of alignment also the aligner: both projections, the subject layer and
    the audio encoder.

    Args:
        ckpt: Checkpoint of a run, e.g. runs/maeeg/checkpoints/best.ckpt.
        out: Folder to write into.
    """
    from eeg2speech.checkpoint import export_parts

    files = [f"{part}.safetensors" for part in export_parts(ckpt, out)]
    print(f"Wrote {', '.join(files)} and config.json into {out}")
    return 0


COMMAND = export
