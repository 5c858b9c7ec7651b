"""fit, validate, test and predict: LightningCLI over the stages, with short errors and one fixed run folder."""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.utilities import rank_zero_info

from eeg2speech.cli import STAGES
from eeg2speech.data.datamodule import EEGAudioDataModule
from eeg2speech.errors import ConfigError
from eeg2speech.tasks import Task

USAGE = "eeg2speech {} --config FILE [--config OVERLAY ...] [--{{data,model,trainer}}.KEY VALUE ...]"
RUN_FILES = ("checkpoints", "config.yaml", "test.json")


class SaveRunConfig(SaveConfigCallback):
    """Keeps the config of every start: ``config.yaml``, then ``config.1.yaml``, and so on.

    A start from scratch never writes over an earlier run: that one's folder is first renamed to ``<run>.1``.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Choose the file name before the parent writes it."""
        folder = Path(trainer.log_dir or ".")  # a collective: every rank asks
        if trainer.is_global_zero and not self.already_saved:
            if stage == "fit" and self.config.get("ckpt_path") is None:
                set_aside(folder)
            name, count = Path(self.config_filename), 0
            while (folder / self.config_filename).exists():
                count += 1
                self.config_filename = f"{name.stem}.{count}{name.suffix}"
        self.overwrite = True
        super().setup(trainer, pl_module, stage)


def set_aside(folder: Path) -> None:
    """Rename a run folder that holds checkpoints, so that a new run starts in an empty one."""
    if not (folder / "checkpoints").is_dir():
        return
    count = 1
    while (aside := folder.with_name(f"{folder.name}.{count}")).exists():
        count += 1
    folder.replace(aside)
    rank_zero_info(f"The earlier run in {folder} is now {aside}; --ckpt_path last would have continued it")


class StageParser(LightningArgumentParser):
    """Says in a few lines what is wrong, and what was probably meant."""

    def error(self, message: str, ex: Exception | None = None) -> Any:
        """Add a suggestion to an unknown key; of nested messages keep the one that tells."""
        text = str(message)
        refused = re.search(r"class_path '([\w.]+)':\s+Option '([\w.]+)' is not accepted", text)
        if refused:
            text = f"{refused[1]} does not accept option '{refused[2]}' (class_path '{refused[1]}')"
        if "required: " in text and ".model" in text:
            text = "no stage: give its configuration, e.g. --config configs/maeeg.yaml"
        found = re.search(
            r"[Oo]ption '([\w.]+)' is not accepted|does not accept option '([\w.]+)'|"
            r"[Uu]nrecognized arguments: --([\w.]+)|[Kk]ey '([\w.]+)' is not expected",
            text,
        )
        if found:
            word = next(group for group in found.groups() if group)
            near = difflib.get_close_matches(word.rsplit(".", 1)[-1], self._known(text), n=1, cutoff=0.6)
            if near:
                text += f"\nDid you mean {self._known(text)[near[0]]!r} instead of {word!r}?"
        super().error(text, ex)

    def _known(self, message: str) -> dict[str, str]:
        classes = re.findall(r"class_path '?([\w.]+)'?", message)
        if classes:
            module, _, name = classes[-1].rpartition(".")
            if module.startswith(("eeg2speech.", "lightning.", "torch.")):
                parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters
                return {parameter: parameter for parameter in parameters}
        return {action.dest.rsplit(".", 1)[-1]: action.dest for p in (self, *self._parts()) for action in p._actions}

    def _parts(self) -> Iterator[Any]:
        for action in self._actions:
            if isinstance(action.choices, dict):
                yield from (part for part in action.choices.values() if hasattr(part, "_actions"))


class StageCLI(LightningCLI):
    """LightningCLI whose run folder is one setting and whose checkpoints are found by name."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the run folder and tell the model what the data module knows."""
        parser.add_argument("--run", type=Path, default=Path("runs/run"), help="Folder that everything goes into.")
        parser.link_arguments("data.samples", "model.init_args.samples", apply_on="instantiate")

    def before_instantiate_classes(self) -> None:
        """Put the logger, and with it checkpoints, into the run folder."""
        config: Namespace = self.config[self.subcommand]
        run = Path(config.run)
        if config.trainer.logger is None or config.trainer.logger is True:
            config.trainer.logger = Namespace(
                class_path="lightning.pytorch.loggers.TensorBoardLogger",
                init_args=Namespace(save_dir=str(run.parent), name=run.name, version="", default_hp_metric=False),
            )
        config.trainer.default_root_dir = str(run)

    def _parse_ckpt_path(self) -> None:
        config = self.config[self.config.subcommand]
        name = config.get("ckpt_path")
        if name in ("last", "best"):
            file = Path(config.run) / "checkpoints" / f"{name}.ckpt"
            if not file.is_file():
                raise ConfigError(
                    f"{file}: no such checkpoint (ckpt_path={name}, run={config.run}); "
                    "train first with `eeg2speech fit`, or name another --run"
                )
            config.ckpt_path = str(file)
        elif name is not None and not Path(name).is_file():
            raise ConfigError(f"{name}: no such checkpoint (ckpt_path); give a file, `last` or `best`")
        # When fitting, the command line decides; a checkpoint's own settings would silently override it.
        if self.config.subcommand != "fit":
            super()._parse_ckpt_path()


def run_stage(argv: Sequence[str]) -> int:
    """Run fit, validate, test or predict.

    Args:
        argv: Subcommand and options.

    Returns:
        Exit status.
    """
    _quieten()
    common = {"allow_abbrev": False}
    parser_kwargs = {
        "prog": "eeg2speech",
        **common,
        **{name: {**common, "usage": USAGE.format(name)} for name in STAGES},
    }
    from_console = list(argv) == sys.argv[1:]
    kept = sys.argv
    if not from_console:  # called by a program: LightningCLI would warn about its own arguments
        sys.argv = ["eeg2speech"]
    try:
        StageCLI(
            Task,
            EEGAudioDataModule,
            subclass_mode_model=True,
            save_config_callback=SaveRunConfig,
            parser_class=StageParser,
            auto_configure_optimizers=False,
            seed_everything_default=0,
            trainer_defaults={"use_distributed_sampler": False},
            parser_kwargs=parser_kwargs,
            args=None if from_console else list(argv),
        )
    finally:
        sys.argv = kept
    return 0


def _quieten() -> None:
    # true of this project by design, and no help to its users
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*Checkpoint directory .* exists and is not empty.*")
    warnings.filterwarnings("ignore", ".*`LearningRateMonitor`.*")
    warnings.filterwarnings("ignore", "The number of training batches .* is smaller than the logging interval.*")
