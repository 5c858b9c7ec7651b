"""The help of fit, validate, test and predict: what is used, and where the several hundred other settings are."""

from __future__ import annotations

from eeg2speech.cli import STAGES
from eeg2speech.cli.text import page, paragraph, rows

Rows = tuple[tuple[str, str], ...]
OPTIONS: Rows = (
    ("-c, --config FILE", "The stage: maeeg, audiomae, alignment, diffusion or a file; further ones are laid over it."),
    ("--run FOLDER", "Everything goes into it [as the config says, e.g. runs/maeeg]."),
    ("--seed_everything N", "Of every random number [default: 0]."),
    ("-h, --help", "This."),
    ("--help=all", "Every option, several hundred lines."),
    ("--print_config", "Every setting with its value, behind --config, as YAML."),
    ("--model.help CLASS", "Settings of a model, e.g. of eeg2speech.tasks.MAEEGTask."),
)
CHECKPOINT = {
    "fit": "Go on from here: last, auto (the newest that is whole, or anew) or a file.",
    "validate": "What is validated: best, last or a file.",
    "test": "What is tested: best, last or a file.",
    "predict": "What predicts: best, last or a file.",
}
SETTINGS: Rows = (
    ("--data.store STORE", "Prepared store instead of the embedded simulated EEG."),
    ("--data.window X", "Seconds of a window."),
    ("--data.batch_size N", "Windows of a step on each device."),
    ("--data.workers N", "Processes that load data."),
    ("--data.split.test_subjects [A,B]", "People to hold out; --data.split.by says what is held out at all."),
    ("--data.simulation.snr X", "Decibels of the embedded data's response; -.inf leaves it out."),
    ("--model.init_args.KEY VALUE", "Of the stage, e.g. encoder_weights, optimizer.init_args.lr."),
    ("--trainer.max_steps N", "Steps of the optimizer."),
    ("--trainer.precision NAME", "32-true, bf16-mixed, 16-mixed."),
    ("--trainer.devices N", "Devices; --trainer FILE takes an overlay, e.g. trainer/ddp."),
    ("--trainer.enable_progress_bar false", "No bars."),
)
WHAT = {
    "fit": "Train a stage: maeeg, audiomae, alignment or diffusion, whichever the config is. Checkpoints, TensorBoard "
    "and the config itself go into the run folder; an earlier run there is set aside, unless it is gone on with. "
    "Ctrl-C finishes the step and saves.",
    "validate": "Validate a checkpoint once on the validation windows.",
    "test": "Test a checkpoint on the held-out lists: print tables and the verdict, and write every figure to "
    "test.json in the run folder, for a script to read.",
    "predict": "Represent the windows of the test lists: tokens and pooled features, and of stage 3 their speech.",
}
EXAMPLES = {
    "fit": (
        "eeg2speech fit --config maeeg",
        "eeg2speech fit --config maeeg --data.store stores/mine",
        "eeg2speech fit --config alignment --ckpt_path last",
        "eeg2speech fit --config maeeg --print_config",
    ),
    "validate": ("eeg2speech validate --config maeeg --ckpt_path last",),
    "test": ("eeg2speech test --config maeeg --ckpt_path best",),
    "predict": ("eeg2speech predict --config maeeg --ckpt_path best",),
}
MARGIN = 24


def help_text(stage: str) -> str:
    """The help of a command.

    Args:
        stage: One of ``STAGES``.
    """
    assert stage in STAGES
    options = (*OPTIONS[:2], ("--ckpt_path NAME", CHECKPOINT[stage]), *OPTIONS[2:])
    lines = [
        f"usage: eeg2speech {stage} --config FILE [--config OVERLAY ...] [--KEY VALUE]",
        "",
        *paragraph(WHAT[stage]),
        "",
        "options:",
        *rows(options, MARGIN),
        "",
        "settings that are often changed, and may stand in an overlay as well:",
        *rows(SETTINGS, MARGIN),
        "",
        "examples:",
        *(f"  {line}" for line in EXAMPLES[stage]),
    ]
    return page(lines)
