"""`eeg2speech generate`: speech out of a trained model, as sound files and a table of what came from where."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.paths import expanded

CHECKPOINT = Path("runs/diffusion/checkpoints/best.ckpt")
OUT = Path("runs/diffusion/generated")
GROUPS = {
    "which EEG": ["store", "what", "subjects", "recordings", "conditions", "splits", "limit"],
    "how": ["seed", "solver", "steps", "guidance", "overlap", "batch_size", "device", "components"],
    "what is written": ["out", "overwrite", "json"],
}
EXAMPLES = """
    eeg2speech generate --ckpt runs/diffusion/checkpoints/best.ckpt --out speech
    eeg2speech generate --store stores/mine --subjects [sub-01] --out speech
"""


def generate(
    ckpt: Path = CHECKPOINT,
    store: Path | None = None,
    out: Path = OUT,
    what: Literal["segments", "recordings", "windows"] = "segments",
    subjects: list[str | int] | None = None,
    recordings: list[str | int] | None = None,
    conditions: list[str] | None = None,
    splits: list[str] | None = None,
    limit: int = 0,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    solver: Literal["dpm", "ddim"] | None = None,
    overlap: float = 0.32,
    batch_size: int = 8,
    device: str = "auto",
    components: str | None = None,
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Write speech generated from EEG as 16-bit wav files at 16 kHz, with generated.tsv beside them.

    The table says of each file which EEG it came from, which sound was heard, and whether the model was trained on it.
    A clip depends on the seed and on where its EEG lies, not on its batch. A second run adds what is missing or was
    made with other settings.

    Args:
        ckpt: Checkpoint of stage 3, or a folder that `eeg2speech export` wrote.
        store: Prepared store; not given: the embedded dataset as it was in training.
        out: Folder to write into.
        what: A file for each of `segments`, `recordings` (all of each, with the pauses) or `windows` (of segments).
        subjects: Only these people, e.g. [sub-01].
        recordings: Only these recordings.
        conditions: Only segments of these, of listening, overt, imagined and rest.
        splits: Only these splits, of train, val, unseen_stimulus, unseen_subject, unseen_both and unused.
            Not given: the test lists, or everything where the split does not hold (another store, `recordings`).
        limit: At most so many files, drawn from all over the store; 0 for all. A larger one adds to a smaller one's.
        seed: Of the noise that speech is made from.
        steps: Of the solver; as the checkpoint has it if not given.
        guidance: Scale of classifier-free guidance, 1 for none; as the checkpoint has it if not given.
        solver: `dpm` (DPM-Solver++) or `ddim`; as the checkpoint has it if not given.
        overlap: Seconds that a window has in common with the next, over which they are cross-faded.
        batch_size: Windows that are generated at once.
        device: E.g. cpu or cuda; auto takes a GPU where there is one.
        components: Folder or hub id of AudioLDM 2's parts, where they have moved since training.
        overwrite: Replace what another model has generated into OUT.
        json: Print what was done as JSON: folder, table, files, made, seconds, subjects, eeg.
    """
    for name, value in (("limit", limit), ("batch_size", batch_size - 1)):
        if value < 0:
            raise ConfigError(f"--{name} is below {'0' if name == 'limit' else '1'}")
    ckpt, out = expanded(ckpt), expanded(out)
    if not ckpt.exists():
        raise DataError(
            f"{ckpt}: no such checkpoint (--ckpt); train stage 3 first, "
            "`eeg2speech fit --config configs/diffusion.yaml`, or name another"
        )
    from eeg2speech.cli.generating import Choice, Manner, generate  # brings torch

    choice = Choice(what, _text(subjects), _text(recordings), conditions, splits, limit)
    manner = Manner(seed, solver, steps, guidance, overlap, batch_size, device, components)
    generate(ckpt, store, out, choice, manner, overwrite, json)
    return 0


def _text(names: list[str | int] | None) -> list[str] | None:
    return None if names is None else [str(name) for name in names]  # YAML reads 10 as a number


COMMAND = generate
