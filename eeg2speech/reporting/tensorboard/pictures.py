"""Pictures of a test: PNG files in the run's folder, and the same in TensorBoard."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch.loggers import TensorBoardLogger

from eeg2speech.plotting import Figure, write_png


def show_picture(figure: Figure, file: Path, logger: TensorBoardLogger | None, tag: str, step: int) -> None:
    """Write a figure as PNG, and add the same picture to TensorBoard; drawing takes long and is done once.

    Args:
        figure: The figure.
        file: Of the picture.
        logger: None writes the file alone.
        tag: In TensorBoard.
        step: Optimizer steps of the weights.
    """
    picture = write_png(figure, file)
    if logger is not None:
        logger.experiment.add_image(tag, picture, step, dataformats="HWC")
