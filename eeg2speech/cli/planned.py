"""The stage of a plan, built from its config without a trainer, trained earlier stages or downloads."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser

from eeg2speech.cli.lightning import StageCLI, first_cause
from eeg2speech.cli.plan import USAGE, PlanOptions
from eeg2speech.cli.renamed import check_renamed
from eeg2speech.core.config_files import check_configs, find_config, find_configs
from eeg2speech.core.errors import ConfigError
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.planning import Run
from eeg2speech.tasks import Task
from eeg2speech.training import AverageTrained

STAGE2 = "alignment.yaml"
PRECISIONS = {"None": "32-true", "32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed", "64": "64-true"}
"""Lightning's names of precisions, by the abbreviations that users may give."""


class PlannedCLI(StageCLI):
    """Builds model and data module, and no trainer, whose devices a login node may not have.

    Attributes:
        options: Options of the plan.
        remarks: Replacements for parts that do not exist yet, in words.
    """

    model: Task
    datamodule: EEGAudioDataModule
    options: PlanOptions
    remarks: list[str]

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of the plan."""
        super().add_arguments_to_parser(parser)
        parser.add_class_arguments(PlanOptions, as_group=False)

    @property
    def settings(self) -> Run:
        """Settings of the run that its cost depends on."""
        trainer = self.config.trainer
        steps = self.options.steps or trainer.max_steps
        return Run(
            batch=self.datamodule.batch_size,
            steps=steps if steps > 0 else None,
            accumulated=trainer.accumulate_grad_batches,
            precision=PRECISIONS.get(str(trainer.precision), str(trainer.precision)),
            averaged=any(one.class_path.endswith(AverageTrained.__name__) for one in trainer.callbacks or []),
        )

    def _parse_ckpt_path(self) -> None:
        """Take no checkpoint."""

    def _set_seed(self) -> None:
        """Draw no numbers."""

    def before_instantiate_classes(self) -> None:
        """Describe an aligner for stage 3 if stage 2 has not been trained."""
        self.options = PlanOptions(**{field.name: self.config[field.name] for field in fields(PlanOptions)})
        self.remarks = []
        if not str(self.config.model.class_path).endswith(".DiffusionTask"):
            return
        settings = self.config.model.init_args
        if settings.aligner_config is None and not (settings.aligner and Path(settings.aligner).exists()):
            configs = self.options.alignment or [str(_beside(self.config.config))]
            settings.aligner_config = _describe_aligner(configs, self.config.data.store)
            self.remarks.append(f"{settings.aligner} does not exist: an aligner of {', '.join(configs)} in its place")

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        """Build no trainer."""
        return None


def build_planned(argv: Sequence[str]) -> PlannedCLI:
    """Build a stage.

    Args:
        argv: Options of ``eeg2speech plan``, and configs and settings as ``eeg2speech fit`` takes them.

    Raises:
        ConfigError: No stage is named, or its settings contradict each other.
    """
    argv = find_configs(argv)
    check_configs(argv)
    check_renamed("plan", argv)
    argv = [re.sub(r"^--alignment(?==|$)", "--alignment+", word) for word in argv]  # each adds an overlay
    kept, sys.argv = sys.argv, ["eeg2speech"]  # LightningCLI warns about words of another program
    try:
        return PlannedCLI(
            argv, run=False, save_config_callback=None, parser_kwargs={"prog": "eeg2speech plan", "usage": USAGE}
        )
    except ValueError as error:
        raise first_cause(error) from error
    finally:
        sys.argv = kept


def _beside(configs: Any) -> Path:
    """Stage 2's config in the folder of the first config, else the package's."""
    beside = Path(str(configs[0])).with_name(STAGE2) if configs else Path(STAGE2)
    file = find_config(str(beside)) or find_config(STAGE2)
    if file is None:
        raise ConfigError(f"{beside}: no such config; name the config of stage 2 (--alignment)")
    return file


def _describe_aligner(configs: Sequence[str], store: Path | None) -> dict[str, Any]:
    """The aligner that stage 2 would write: its classes, sizes and subjects."""
    given = [word for config in configs for word in ("--config", config)]
    cli = build_planned([*given, *(["--data.store", str(store)] if store is not None else [])])
    _, described = cli.model.parts["aligner"]
    return {**described, "subjects": list(cli.datamodule.subject_names)}
