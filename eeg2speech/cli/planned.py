"""Building a stage from its config for a plan: with nothing that other stages or downloads have yet to bring."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eeg2speech.cli.lightning import StageCLI, StageParser, first_cause
from eeg2speech.cli.plan import USAGE
from eeg2speech.core.config_files import check_configs, find_config, find_configs
from eeg2speech.core.errors import ConfigError
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.planning import Run
from eeg2speech.tasks import Task
from eeg2speech.training import AverageTrained

STAGE2 = "alignment.yaml"


@dataclass
class PlannedStage:
    """A stage that will not be run.

    Attributes:
        task: With random weights, or those that its config names.
        data: Not set up.
        settings: What of the run counts.
        remarks: What was taken in place of what is not there yet.
    """

    task: Task
    data: EEGAudioDataModule
    settings: Run
    remarks: list[str] = field(default_factory=list)


class PlannedCLI(StageCLI):
    """Builds model and data module, and no trainer: a login node lacks the devices that it would ask for."""

    alignment: Sequence[str] = ()

    def _parse_ckpt_path(self) -> None:
        pass

    def _set_seed(self) -> None:
        pass

    def before_instantiate_classes(self) -> None:
        """Give stage 3 an aligner where stage 2 has not been trained."""
        self.remarks: list[str] = []
        model = self.config.model
        if not str(model.class_path).endswith(".DiffusionTask"):
            return
        settings = model.init_args
        if settings.described is None and not (settings.aligner and Path(settings.aligner).exists()):
            configs = self.alignment or [str(_beside(self.config.config))]
            settings.described = _describe_aligner(configs, self.config.data)
            self.remarks.append(f"{settings.aligner} is not there yet: an aligner of {', '.join(configs)} in its place")

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        """Do without."""
        return None


def build_planned(argv: Sequence[str], alignment: Sequence[str] = ()) -> PlannedStage:
    """Build a stage.

    Args:
        argv: Configs and settings as ``eeg2speech fit`` takes them.
        alignment: Configs of stage 2 that stand in for an aligner that is not there.

    Raises:
        ConfigError: No stage is named, or its settings do not fit one another.
    """
    cli = _parse(argv, alignment)
    trainer = cli.config.trainer
    steps = trainer.max_steps if trainer.max_steps > 0 else None
    settings = Run(
        cli.datamodule.batch_size, steps, trainer.accumulate_grad_batches, _precision(trainer.precision),
        any(callback.class_path.endswith(AverageTrained.__name__) for callback in trainer.callbacks or []),
    )  # fmt: skip
    assert isinstance(cli.model, Task)
    return PlannedStage(cli.model, cli.datamodule, settings, cli.remarks)


def _parse(argv: Sequence[str], alignment: Sequence[str]) -> PlannedCLI:
    argv = find_configs(argv)
    check_configs(argv)
    chosen = type("PlannedCLI", (PlannedCLI,), {"alignment": tuple(alignment)})
    kept, sys.argv = sys.argv, ["eeg2speech"]  # LightningCLI would warn about arguments of its own
    try:
        cli: PlannedCLI = chosen(
            Task, EEGAudioDataModule, subclass_mode_model=True, save_config_callback=None, parser_class=StageParser,
            auto_configure_optimizers=False, seed_everything_default=0, run=False, args=argv,
            parser_kwargs={"prog": "eeg2speech plan", "allow_abbrev": False, "usage": USAGE},
        )  # fmt: skip
        return cli
    except ValueError as error:
        raise first_cause(error) from error
    finally:
        sys.argv = kept


def _precision(value: Any) -> str:
    """Lightning's own names for what users may abbreviate."""
    return {"None": "32-true", "32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed", "64": "64-true"}.get(
        str(value), str(value)
    )


def _beside(configs: Any) -> Path:
    """Stage 2's config in the folder of the first config, else the package's."""
    beside = Path(str(configs[0])).with_name(STAGE2) if configs else Path(STAGE2)
    file = find_config(str(beside)) or find_config(STAGE2)
    if file is None:
        raise ConfigError(f"{beside}: no such config; name stage 2's, which the aligner will come from (--alignment)")
    return file


def _describe_aligner(configs: Sequence[str], data: Any) -> dict[str, Any]:
    """What stage 2 would leave: its aligner's classes and sizes, and the people it would know."""
    given = [word for config in configs for word in ("--config", config)]
    if data.store is not None:
        given += ["--data.store", str(data.store)]
    cli = _parse(given, ())
    _, described = cli.model.parts["aligner"]
    return {**described, "subjects": list(cli.datamodule.subject_names)}
