from __future__ import annotations

from pathlib import Path


def export(ckpt: Path, out: Path) -> int:
    """Write a checkpoint's encoder as encoder.safetensors and config.json.

    Args:
        ckpt: Checkpoint of a run, e.g. runs/maeeg/checkpoints/best.ckpt.
        out: Folder to write into.
    """
    from eeg2speech.checkpoint import export_part

    print(f"Wrote {export_part(ckpt, out)}/encoder.safetensors and config.json")
    return 0


COMMAND = export
