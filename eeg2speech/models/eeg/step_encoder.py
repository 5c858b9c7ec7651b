"""Any network as the EEG side of stage 2: one vector for every 160 ms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


class StepEncoder(nn.Module, ABC):
    """An encoder of EEG that gives one vector a step; the aligner projects it into the space of EEG and sound.

    Derive from it, set the attributes in the constructor, decorate the class with ``models.register`` so that trained
    models can be loaded, and name it under ``model.init_args.encoder`` of stage 2.

    Attributes:
        config: Arguments of the constructor in plain values.
        width: Features of a step.
        samples: EEG samples of a step: 160 ms at 100 Hz.
        subject_channels: Channels of an inner signal that the subject layer mixes; None: it mixes the electrodes before
            the encoder.
        any_montage: Whether electrodes are identified by their positions, so that any montage can be used.
    """

    config: dict[str, Any]
    width: int
    samples = 16
    subject_channels: int | None = None
    any_montage = False

    def build(self, channels: int) -> None:
        """Make the weights that depend on the number of channels; the aligner calls it once, in its constructor.

        Args:
            channels: Most channels of a window; some have fewer.
        """

    @abstractmethod
    def forward(
        self,
        eeg: Tensor,
        positions: Tensor | None,
        channel_mask: Tensor | None,
        subject_layer: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Encode windows of EEG.

        Args:
            eeg: Scaled EEG, (B, C, T); channels that do not exist may hold anything.
            positions: Metres in head coordinates, (B, C, 3).
            channel_mask: True where a channel exists, (B, C); None if all do.
            subject_layer: Mixes the channels of the inner signal by each window's subject, (B, subject_channels, T) to
                the same shape; None if the model has no subject layer or it mixes the electrodes.

        Returns:
            (B, L, width), one vector for every ``samples`` samples.
        """
