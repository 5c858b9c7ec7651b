from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import ConfigError


@dataclass
class Augment:
    """Changes to training windows; all off by default.

    Attributes:
        channel_dropout: Probability that a channel of a window is missing: zero, and not in ``channel_mask``.
        amplitude: Windows are scaled by exp(u), u uniform in +- this.
        time_shift: Windows start up to this many seconds earlier or later, inside their segment.
        flip: Probability that the polarity of a window is reversed.

    Raises:
        ConfigError: A value is out of its range.
    """

    channel_dropout: float = 0.0
    amplitude: float = 0.0
    time_shift: float = 0.0
    flip: float = 0.0

    def __post_init__(self) -> None:
        for name, most in (("channel_dropout", 1.0), ("flip", 1.0), ("amplitude", np.inf), ("time_shift", np.inf)):
            value = getattr(self, name)
            if not 0 <= value <= most or value == np.inf:
                limit = "a probability" if most == 1 else "finite and 0 or more"
                raise ConfigError(f"{name}={value} must be {limit} (data.augment.{name})")

    def gains(self, generator: np.random.Generator, channels: int) -> NDArray[np.float32] | None:
        """Factor per channel for one window, (channels, 1); None if nothing changes."""
        if not (self.channel_dropout or self.amplitude or self.flip):
            return None
        gains = np.full((channels, 1), np.exp(generator.uniform(-self.amplitude, self.amplitude)), np.float32)
        if generator.random() < self.flip:
            gains = -gains
        gains[generator.random(channels) < self.channel_dropout] = 0
        return gains
