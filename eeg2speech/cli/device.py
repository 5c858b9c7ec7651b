from __future__ import annotations

import torch

from eeg2speech.core.errors import ConfigError


def choose_device(name: str) -> str:
    """The device of a name; ``auto`` takes a GPU where there is one.

    Raises:
        ConfigError: There is no such device.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"--device {name}: {str(error).splitlines()[0]}; choose cpu, or auto") from error
    return name
