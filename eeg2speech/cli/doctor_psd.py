"""The picture of power spectra that `eeg2speech doctor --psd` saves."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eeg2speech.core.errors import ConfigError
from eeg2speech.data.store.store import Store
from eeg2speech.plotting import psd_figure
from eeg2speech.quality.doctor import Facts


def save_psd(facts: Facts, store: Store, file: Path) -> None:
    """Save the subjects' spectra.

    Args:
        facts: Of the store.
        store: It.
        file: Picture to write.

    Raises:
        ConfigError: It cannot be written.
    """
    notch = store.description.settings.get("preprocessing.notch")
    figure = psd_figure(
        np.array(facts.frequencies),
        {subject: np.array(power) for subject, power in facts.spectra.items()},
        {subject: (shape.slope, shape.intercept) for subject, shape in facts.shapes.items()},
        f"{facts.name}: power spectrum of every subject" + (" (simulated EEG)" if facts.simulated else ""),
        float(notch) if notch else None,
    )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=150)
    except OSError as error:
        raise ConfigError(f"psd={file}: cannot be written ({error.strerror}); choose another place") from error
