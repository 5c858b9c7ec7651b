"""fit, validate, test and predict: LightningCLI over the stages, with short errors and one fixed run folder."""

from __future__ import annotations

import importlib
import inspect
import logging
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import yaml  # type: ignore[import-untyped]
from jsonargparse import ArgumentParser, Namespace, capture_parser
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, RichModelSummary
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_info

from eeg2speech.checkpoints.parts import read_checkpoint
from eeg2speech.cli import STAGES
from eeg2speech.cli.suggestion import closest, in_a_line
from eeg2speech.core import slurm
from eeg2speech.core.config_files import check_configs, config_folder, config_names, find_config, find_configs
from eeg2speech.core.errors import ConfigError, Eeg2SpeechError, of_disk
from eeg2speech.core.folder_locks import LONG_PATIENCE, PATIENCE, first_rank, guest, sole_writer
from eeg2speech.core.paths import expanded
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.tasks import Task
from eeg2speech.training import GracefulInterrupt, LineProgress, ModelParts, ThroughputBar
from eeg2speech.training.atomic_checkpoint_io import AtomicCheckpointIO
from eeg2speech.training.resuming import check_newest, check_place, check_results, newest_checkpoint
from eeg2speech.training.run_folder import SaveRunConfig, check_apart, check_movable, goes_on, holds_run
from eeg2speech.training.run_logger import RunLogger

TRAINER = "parts/trainer.yaml"
"""Config with the settings and callbacks that the trainer of every stage has."""
USAGE = "eeg2speech {} --config FILE [--config OVERLAY ...] [--KEY VALUE]"
_UNKNOWN = re.compile(
    r"[Uu]nrecognized arguments: --([\w.]+)|[Kk]ey '([\w.]+)' is not expected|^Subcommand .* option '([\w.]+)'"
)
_REFUSED = re.compile(
    r"class_path '((?:eeg2speech|lightning|torch)\.[\w.]+)':\s+Option '([\w.]+)' is not accepted"
    r"|((?:eeg2speech|lightning|torch)\.[\w.]+) does not accept option '([\w.]+)'"
)


class StageParser(LightningArgumentParser):
    """Says in a few lines what is wrong, and what was probably meant."""

    def error(self, message: str, ex: Exception | None = None) -> Any:
        """Of messages nested in one another keep the one that tells, and suggest what was meant."""
        text = in_a_line(message)
        if found := _REFUSED.search(text):  # parsers of nested classes report to one another
            path, option = (group for group in found.groups() if group)
            module, _, name = path.rpartition(".")
            parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters
            text = f"{path} does not accept option '{option}'"
            text += _suggestion(option.partition(".")[0], {p: p for p in parameters})
        elif found := _UNKNOWN.search(text):
            word = found[1] or found[2] or found[3]
            text += _suggestion(word, {a.dest.rsplit(".", 1)[-1]: a.dest for p in self._parts() for a in p._actions})
        elif found := re.search(r"arguments: (\S+\.ya?ml)\b", text):
            text += f"; did you mean --config {found[1]}?"
        elif "required: " in text and ".model" in text:
            text = "no stage: give its configuration, e.g. --config maeeg"
        elif "File does not exist" in text:
            stages = ", ".join(name for name in config_names() if "/" not in name)
            text += f"; the package has {stages}, and overlays in {config_folder()}"
        super().error(text, ex)

    def _parts(self) -> Iterator[Any]:
        yield self
        for action in self._actions:
            if isinstance(action.choices, dict):
                yield from (part for part in action.choices.values() if hasattr(part, "_actions"))


def _suggestion(word: str, known: dict[str, str]) -> str:
    near = closest(word.rsplit(".", 1)[-1], known)
    return f". Did you mean {known[near]!r} instead of {word!r}?" if near else ""


class StageCLI(LightningCLI):
    """LightningCLI whose run folder is one setting and whose checkpoints are found by name.

    Whoever closes ``at_work`` lets the run folder go; ``argv`` is the command line.
    """

    def __init__(self, *given: Any, argv: Sequence[str] = (), at_work: ExitStack | None = None, **named: Any) -> None:
        self._argv, self._at_work = argv, at_work or ExitStack()
        super().__init__(*given, **named)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the run folder, the trainer that every stage starts from, and links from the data module to the model."""
        parser.add_argument("--run", type=Path, default=Path("runs/run"), help="Folder that everything goes into.")
        # as defaults: `callbacks+:` of a stage's config appends to a default, but not to a list in a file it names
        file = find_config(TRAINER) or config_folder() / TRAINER
        check_configs(["--config", str(file)])
        shared = yaml.safe_load(file.read_text(encoding="utf-8"))
        parser.set_defaults({f"trainer.{key}": value for key, value in shared.items()})
        for ours, theirs in (("samples", "samples"), ("subject_names", "subjects"), ("channels", "channels")):
            parser.link_arguments(f"data.{ours}", f"model.init_args.{theirs}", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """A run folder that a config names may begin with ``~``."""
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
                help="Go on where sounds or subjects that were trained on are in lists of unseen ones; results say so.",
            )  # fmt: skip
        if subcommand == "predict":
            parser.set_defaults({"return_predictions": False})  # nobody takes them, and hours do not fit into memory
        return parser

    def instantiate_classes(self) -> None:
        """Set whether the data module allows tests of lists that are not unseen."""
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
        config = self.config[self.config.subcommand]
        name = config.get("ckpt_path")
        if name is not None:
            name = config.ckpt_path = str(name)  # typing may take `str | Path` for `Path | str`, if it met that first
        fitting = self.config.subcommand == "fit"
        self._enter(Path(config.run), waiting=name is not None)
        if name is None and not fitting and (best := Path(config.run) / "checkpoints" / "best.ckpt").is_file():
            name = "best"
            rank_zero_info(f"{self.config.subcommand}: the model is {best}; --ckpt_path names another")
        if name in ("last", "best", "auto"):
            check_place(self._argv, name)
        if fitting and (name == "auto" or slurm.continues(Path(config.run))):
            found = newest_checkpoint(Path(config.run))
            name = config.ckpt_path = str(found) if found else None if name == "auto" else name
        if name in ("last", "best"):
            file = Path(config.run) / "checkpoints" / f"{name}.ckpt"
            if not file.is_file():
                raise ConfigError(
                    f"{file}: no such checkpoint (ckpt_path={name}, run={config.run}); "
                    "train first with `eeg2speech fit`, or name another --run"
                )
            config.ckpt_path = str(file)
        elif name is not None and not Path(name).is_file():
            raise ConfigError(
                f"{name}: no such checkpoint (ckpt_path); give a file, `last` or `best`, or to fit `auto`"
            )
        if name is None and not fitting and (last := Path(config.run) / "checkpoints" / "last.ckpt").is_file():
            raise ConfigError(f"{last.parent}: holds no best.ckpt; --ckpt_path last takes {last.name}")
        if name is None and not fitting:
            rank_zero_info(
                f"{self.config.subcommand}: {config.run} holds no best.ckpt and no --ckpt_path is given; the model is "
                "untrained"
            )
        if name is not None:
            checkpoint = read_checkpoint(
                Path(config.ckpt_path)
            )  # a damaged file is named here, before anything is built
            _check_stage(Path(config.ckpt_path), checkpoint, str(config.model.class_path))
            if self.config.subcommand == "test":
                check_results(Path(config.ckpt_path), Path(config.run))
        if fitting and config.trainer.get("logger") in (None, True, False):  # else a logger says where the run goes
            self._check_start(Path(config.run), config)
        # When fitting, the command line decides; a checkpoint's own settings would silently override it.
        if not fitting:
            super()._parse_ckpt_path()

    def _enter(self, run: Path, waiting: bool) -> None:
        """Keep others out of the run folder, before anything in it is read."""
        check_apart(run, self.config[self.config.subcommand].data.get("store"), self._argv)
        if not first_rank():
            return
        if self.config.subcommand == "fit":
            patience = LONG_PATIENCE if waiting or slurm.continues(run) else PATIENCE
            self._at_work.enter_context(sole_writer(run, "fit", patience=patience))
        else:
            self._at_work.enter_context(guest(run, str(self.config.subcommand)))

    def _check_start(self, run: Path, config: Namespace) -> None:
        """See that no other run would be written over, before anything is built."""
        if config.ckpt_path is not None:
            check_newest(Path(config.ckpt_path), run)
        if not goes_on(run, config) and holds_run(run):
            check_movable(run, config)

    def _set_seed(self) -> None:
        seed = self._get(self.config, "seed_everything")
        if not isinstance(seed, bool) and not 0 <= seed < 2**32:
            raise ConfigError(f"seed_everything={seed} is not in 0 to {2**32 - 1}")
        super()._set_seed()


def _check_stage(file: Path, checkpoint: Mapping[str, Any], wanted: str) -> None:
    """See that a checkpoint is of the stage that the config is for."""
    settings = checkpoint.get("hyper_parameters")
    theirs = str(settings.get("_class_path", "")) if isinstance(settings, dict) else ""
    ours = wanted.rpartition(".")[2]
    if theirs and theirs.rpartition(".")[2] != ours:
        raise ConfigError(
            f"{file}: a checkpoint of {theirs.rpartition('.')[2]}, while the config is for {ours} (ckpt_path, "
            "model.class_path); later stages take a run over by model.encoder_weights or model.aligner"
        )


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
    check_configs(argv)
    _quieten()
    common = {"allow_abbrev": False}
    parser_kwargs = {
        "prog": "eeg2speech",
        **common,
        **{name: {**common, "usage": USAGE.format(name)} for name in STAGES},
    }
    kept = sys.argv
    # processes that Lightning starts get these words; called by a program, LightningCLI would warn about its own
    sys.argv = [kept[0], *argv] if from_console else ["eeg2speech"]
    at_work = ExitStack()
    try:
        StageCLI(
            Task,
            EEGAudioDataModule,
            argv=argv,
            at_work=at_work,
            subclass_mode_model=True,
            save_config_callback=SaveRunConfig,
            parser_class=StageParser,
            auto_configure_optimizers=False,
            seed_everything_default=0,
            trainer_defaults={"use_distributed_sampler": False},
            parser_kwargs=parser_kwargs,
            args=None if from_console else argv,
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
        at_work.close()
        sys.argv = kept
    return 0


def stage_parsers() -> dict[str, ArgumentParser]:
    """The parsers of the stages' commands."""
    whole = capture_parser(lambda: run_stage([next(iter(STAGES))]))
    (commands,) = (action for action in whole._actions if isinstance(action.choices, dict))
    assert isinstance(commands.choices, dict)
    return commands.choices


def first_cause(error: BaseException) -> BaseException:
    """The message for the user inside what jsonargparse wraps around an error of a class that it builds."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, Eeg2SpeechError):
            return inner
        inner = inner.__cause__ or inner.__context__
    return error


def _quieten() -> None:
    # true of this project by design, and no help to its users
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
