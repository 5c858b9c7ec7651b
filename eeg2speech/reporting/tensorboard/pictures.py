"""Pictures of a test: PNG files in the run's folder, and the same in TensorBoard."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.image import imread

from eeg2speech.core.files import written_beside
from eeg2speech.plotting import Figure

DPI = 120


def show_picture(figure: Figure, file: Path, logger: TensorBoardLogger | None, tag: str, step: int) -> None:
    """Write a figure as PNG, and add the same picture to TensorBoard; drawing takes long and is done once.

    Args:
        figure: The figure.
        file: An existing file is replaced only once the new one is complete.
        logger: None writes the file alone.
        tag: In TensorBoard.
        step: Optimizer steps of the weights.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(file) as partial:
        figure.savefig(partial, format="png", dpi=DPI)
    if logger is not None:
        logger.experiment.add_image(tag, imread(file)[..., :3], step, dataformats="HWC")
