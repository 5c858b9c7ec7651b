"""The stages, as a reader meets them."""

from __future__ import annotations

from typing import Any, NamedTuple

from eeg2speech.reporting.html.run import Run


class Stage(NamedTuple):
    """A stage.

    Attributes:
        title: Its name.
        lead: What it does and what its test asks.
    """

    title: str
    lead: str


STAGES = {
    "MAEEGTask": Stage(
        "Stage 1: masked autoencoding of EEG (MAEEG)",
        "An encoder of EEG learns by filling in hidden patches. The test asks how well it fills them in on held-out "
        "windows, beside interpolation on the same masks.",
    ),
    "AudioMAETask": Stage(
        "Masked autoencoding of sound",
        "A small encoder of sound learns by filling in hidden patches of spectrograms. Stage 2 takes it over.",
    ),
    "AlignmentTask": Stage(
        "Stage 2: alignment of EEG and speech",
        "EEG and speech are embedded in one space. The test asks whether a held-out window of EEG finds the sound that "
        "was heard, beside permutations, controls that cannot know it, and linear decoders.",
    ),
    "DiffusionTask": Stage(
        "Stage 3: speech from EEG",
        "A diffusion model speaks from EEG. The test asks whether what it says can be told from other held-out sounds, "
        "beside permutations and the same model without that EEG. How good it sounds proves nothing.",
    ),
}
_BY_RESULT = {"diffusion": "DiffusionTask", "alignment": "AlignmentTask", "reconstruction": "MAEEGTask"}


def stage_of(run: Run) -> tuple[str, Stage]:
    """Name of the task and what to say of it; a run without a config is known by what its test found."""
    task = run.task
    if not task and run.test is not None:
        task = next((name for key, name in _BY_RESULT.items() if key in run.test), "")
    if task in STAGES:
        return task, STAGES[task]
    return task, Stage(task or "Run of an unknown stage", "A stage that this report has no words for.")


def training_facts(run: Run) -> list[tuple[str, str]]:
    """How the run was trained, from its config."""
    trainer: dict[str, Any] = run.config.get("trainer") or {}
    facts = []
    steps, epochs = trainer.get("max_steps"), trainer.get("max_epochs")
    if isinstance(steps, int) and steps > 0:
        facts.append(("Training", f"{steps} steps"))
    elif isinstance(epochs, int) and epochs > 0:
        facts.append(("Training", f"{epochs} epochs"))
    batch = run.data.get("batch_size")
    if batch is not None:
        facts.append(("Batch", f"{batch} windows for each device"))
    trained_on = run.settings.get("train_on")
    if trained_on not in (None, "real"):
        facts.append(("Trained on", f"{trained_on} in place of what belongs together: a null, not a model"))
    if run.config.get("seed_everything") is not None:
        facts.append(("Seed", str(run.config["seed_everything"])))
    return facts
