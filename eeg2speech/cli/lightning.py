"""fit, validate, test and predict: LightningCLI over the stages, with errors of one line and one run folder."""

from __future__ import annotations

import logging
import re
import sys
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import yaml  # type: ignore[import-untyped]
from jsonargparse import ArgumentParser, DefaultHelpFormatter, capture_parser
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, RichModelSummary
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from eeg2speech.checkpoints.parts import read_checkpoint
from eeg2speech.cli import STAGES
from eeg2speech.cli.parser import CommandParser, in_a_line
from eeg2speech.core import slurm
from eeg2speech.core.config_files import check_configs, config_folder, config_names, find_config, find_configs
from eeg2speech.core.errors import ConfigError, Eeg2SpeechError, of_disk
from eeg2speech.core.folder_locks import LONG_PATIENCE, PATIENCE, first_rank, guest, sole_writer
from eeg2speech.core.paths import expanded
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.tasks import Task
from eeg2speech.training import GracefulInterrupt, LineProgress, ModelParts, ThroughputBar
from eeg2speech.training.atomic_checkpoint_io import AtomicCheckpointIO
from eeg2speech.training.resuming import check_newest, check_results, check_stage, find_checkpoint
from eeg2speech.training.run_folder import SaveRunConfig, check_apart, check_movable, goes_on, holds_run
from eeg2speech.training.run_logger import RunLogger

TRAINER = "parts/trainer.yaml"
"""Config with the settings and callbacks that the trainer of every stage has."""
USAGE = "eeg2speech {} --config FILE [--config OVERLAY ...] [--KEY VALUE]"


def trainer_config() -> Path:
    """The config file with the trainer's settings and callbacks that all stages share."""
    return find_config(TRAINER) or config_folder() / TRAINER


class StageParser(CommandParser, LightningArgumentParser):
    """The parser of the commands for Lightning, whose ``--help=all`` has types and all defaults."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, formatter_class=DefaultHelpFormatter, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> Any:
        """Add which config is missing to a message about it."""
        text = in_a_line(message)
        if found := re.search(r"arguments: (\S+\.ya?ml)\b", text):
            text += f"; did you mean --config {found[1]}?"
        elif re.search(r"required.*\bmodel\b", text):
            text = "no stage: give its configuration, e.g. --config maeeg"
        elif "File does not exist" in text:
            stages = ", ".join(name for name in config_names() if "/" not in name)
            text += f"; the package has {stages}, and overlays in {config_folder()}"
        super().error(text, ex)


class StageCLI(LightningCLI):
    """LightningCLI whose run folder is one setting and whose checkpoints are found by name.

    Args:
        argv: Words of the command line, with configs as paths.
        from_console: Whether they are also in ``sys.argv``; then LightningCLI takes them from there.
        locks: Holds the locks of the run folder until it is closed.
        settings: Of LightningCLI.
    """

    def __init__(
        self, argv: Sequence[str], from_console: bool = False, locks: ExitStack | None = None, **settings: Any
    ) -> None:
        self._argv, self._locks = argv, locks or ExitStack()
        super().__init__(
            Task, EEGAudioDataModule, args=None if from_console else list(argv), parser_class=StageParser,
            subclass_mode_model=True, auto_configure_optimizers=False, seed_everything_default=0, **settings,
        )  # fmt: skip

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the run folder, the trainer that every stage starts from, and links from the data module to the model."""
        parser.add_argument("--run", type=Path, default=Path("runs/run"), help="Run folder, for all output.")
        # as defaults: `callbacks+:` of a stage's config appends to a default, but not to a list in a file it names
        file = trainer_config()
        check_configs(["--config", str(file)])
        shared = yaml.safe_load(file.read_text(encoding="utf-8"))
        parser.set_defaults({f"trainer.{key}": value for key, value in shared.items()})
        for ours, theirs in (("samples", "samples"), ("subject_names", "subjects"), ("channels", "channels")):
            parser.link_arguments(f"data.{ours}", f"model.init_args.{theirs}", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Expand a run folder that begins with ``~`` in a config."""
        super().parse_arguments(parser, args)
        config = self.config[self.config.subcommand] if "subcommand" in self.config else self.config
        config.run = expanded(config.run)

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if subcommand == "test":
            parser.set_defaults({"verbose": False})  # callbacks print tables that can be read
        if subcommand in ("validate", "test"):
            parser.add_argument(
                "--allow_seen", type=bool, default=False,
                help="Continue if splits of unseen sounds or subjects contain trained ones; results are marked.",
            )  # fmt: skip
        if subcommand == "predict":
            parser.set_defaults({"return_predictions": False})  # not used, and those of hours do not fit into memory
        return parser

    def instantiate_classes(self) -> None:
        """Set whether the data module allows tests of splits that are not unseen."""
        super().instantiate_classes()
        self.datamodule.allow_seen = bool(self._get(self.config, "allow_seen", default=False))

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Put the logger, and with it checkpoints, into the run folder, unless the config names a logger."""
        run = Path(self._get(self.config_init, "run"))
        logger = self._get(self.config_init, "trainer").get("logger")
        if logger is None or logger is True:
            kwargs["logger"] = RunLogger(run)
        return super().instantiate_trainer(default_root_dir=str(run), **kwargs)

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Callback]) -> pl.Trainer:
        if config.get("enable_progress_bar") is not False:  # one in the YAML could not be switched off
            callbacks = [*callbacks, ThroughputBar() if sys.stdout.isatty() else LineProgress()]
        given = list(config.get("callbacks") or [])
        if config.get("logger") is False:  # it has nowhere to write to, and says so in an error
            given = config["callbacks"] = [one for one in given if not isinstance(one, LearningRateMonitor)]
        if not any(isinstance(callback, GracefulInterrupt) for callback in given):
            callbacks = [*callbacks, GracefulInterrupt()]
        try:
            trainer: pl.Trainer = super()._instantiate_trainer(config, callbacks)
        except (ValueError, TypeError, ImportError, MisconfigurationException) as error:
            text = f"{' '.join(str(error).split())} (trainer; see {self.subcommand} --help=all)"
            if "gpu backend" in text:  # of Lightning's that there is none
                text += "; --trainer.accelerator cpu trains without"
            raise ConfigError(text) from error
        precision = str(trainer.precision)
        if precision.endswith("-true") and precision != "32-true":
            raise ConfigError(
                f"precision={precision} is not supported; use 32-true, bf16-mixed or 16-mixed (trainer.precision)"
            )
        callbacks = trainer.callbacks  # type: ignore[attr-defined]
        callbacks[:] = [
            ModelParts() if type(one) is RichModelSummary and one not in given else one for one in callbacks
        ]
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = AtomicCheckpointIO()
        return trainer

    def _parse_ckpt_path(self) -> None:
        command = str(self.config.subcommand)
        config = self.config[command]
        run, name = Path(config.run), config.get("ckpt_path")
        self._enter(run, waiting=name is not None)
        file = find_checkpoint(None if name is None else str(name), run, command, self._argv)
        config.ckpt_path = None if file is None else str(file)
        if file is not None:
            checkpoint = read_checkpoint(file)  # reports a damaged file before anything is built
            check_stage(file, checkpoint, str(config.model.class_path))
            if command == "test":
                check_results(file, run)
        if command != "fit":
            super()._parse_ckpt_path()  # takes the settings of the checkpoint; those of a fit are the command line's
        elif config.trainer.get("logger") in (None, True, False):  # any other logger has a folder of its own
            if file is not None:
                check_newest(file, run)
            if not goes_on(run, config) and holds_run(run):
                check_movable(run, config)

    def _enter(self, run: Path, waiting: bool) -> None:
        """Lock the run folder before anything in it is read."""
        check_apart(run, self.config[self.config.subcommand].data.get("store"), self._argv)
        if not first_rank():
            return
        if self.config.subcommand == "fit":
            patience = LONG_PATIENCE if waiting or slurm.continues(run) else PATIENCE
            self._locks.enter_context(sole_writer(run, "fit", patience=patience))
        else:
            self._locks.enter_context(guest(run, str(self.config.subcommand)))

    def _set_seed(self) -> None:
        seed = self._get(self.config, "seed_everything")
        if not isinstance(seed, bool) and not 0 <= seed < 2**32:
            raise ConfigError(f"seed_everything={seed} is not in 0 to {2**32 - 1}")
        super()._set_seed()


def run_stage(argv: Sequence[str]) -> int:
    """Run fit, validate, test or predict.

    Args:
        argv: Subcommand and options.

    Returns:
        Exit status.
    """
    slurm.check_launch()
    from_console = list(argv) == sys.argv[1:]
    argv = find_configs(argv)
    _filter_warnings()
    usages = {name: {"usage": USAGE.format(name)} for name in STAGES}
    kept = sys.argv
    # processes that Lightning starts take these words; LightningCLI warns about words of another program
    sys.argv = [kept[0], *argv] if from_console else ["eeg2speech"]
    locks = ExitStack()
    try:
        StageCLI(
            argv,
            from_console,
            locks,
            save_config_callback=SaveRunConfig,
            trainer_defaults={"use_distributed_sampler": False},
            parser_kwargs={"prog": "eeg2speech", **usages},
        )
    except ValueError as error:
        raise first_cause(error) from error
    except MisconfigurationException as error:
        raise ConfigError(f"{in_a_line(str(error))} (see eeg2speech {argv[0]} --help=all)") from error
    except OSError as error:
        if found := of_disk(error):
            raise found from error
        raise
    except SystemExit as left:
        if isinstance(left.__context__, KeyboardInterrupt):  # which Lightning turns into status 1
            raise left.__context__ from None
        raise
    finally:
        locks.close()
        sys.argv = kept
    return 0


def stage_parsers() -> dict[str, ArgumentParser]:
    """The parsers of the stages' commands."""
    whole = capture_parser(lambda: run_stage([next(iter(STAGES))]))
    (commands,) = (action for action in whole._actions if isinstance(action.choices, dict))
    assert isinstance(commands.choices, dict)
    return commands.choices


def first_cause(error: BaseException) -> BaseException:
    """The error for the user inside those that jsonargparse wraps around it."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, Eeg2SpeechError):
            return inner
        inner = inner.__cause__ or inner.__context__
    return error


def _filter_warnings() -> None:
    """Hide warnings and tips that do not apply to this project."""
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*Checkpoint directory .* exists and is not empty.*")
    warnings.filterwarnings("ignore", ".*`LearningRateMonitor`.*")
    warnings.filterwarnings("ignore", "Found .* in eval mode at the start of training.*")  # what is frozen
    warnings.filterwarnings("ignore", "The number of training batches .* is smaller than the logging interval.*")
    warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated")  # Lightning 2.6, torch 2.15
    warnings.filterwarnings("ignore", "The `srun` command is available on your system but is not used")  # log-in nodes
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.rank_zero"):
        logging.getLogger(name).addFilter(_no_advice)


def _no_advice(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(("💡", "TPU available"))
