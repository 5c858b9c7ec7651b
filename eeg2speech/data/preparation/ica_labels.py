"""What independent components are: recognised by ICLabel, or by their likeness to the eyes' channels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import mne
import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.data.electrodes.names import electrode_key

if TYPE_CHECKING:
    from mne.io import BaseRaw
    from mne.preprocessing import ICA

CLASSES = ("brain", "muscle", "eye", "heart", "line", "channel", "other")
"""What ICLabel tells apart, in the order of its answers."""
FRONTAL = (("fp1", "fp2"), ("af7", "af8"), ("af3", "af4"))
"""Electrodes in place of EOG channels, those nearest to the eyes first."""
BLINK_BAND = (1.0, 10.0)
"""Hertz in which components are compared with the eyes."""

logger = logging.getLogger(__name__)


def iclabel(raw: BaseRaw, ica: ICA, source_name: str) -> tuple[list[str], NDArray[np.float64]]:
    """Ask ICLabel, which was trained on components of extended infomax, average reference and 1 to 100 Hz.

    Args:
        raw: What was fitted on, with such a reference and band.
        ica: The fit.
        source_name: The recording or subject, for error messages.

    Returns:
        Most likely class of each component and its probability, (components,).

    Raises:
        ConfigError: mne-icalabel or onnxruntime is not installed.
        DataError: The position of an electrode is unknown.

    Reference: Pion-Tonachini et al. 2019, ICLabel: an automated electroencephalographic independent component
    classifier, dataset, and website.
    """
    try:
        import onnxruntime  # noqa: F401  # asked for here, as mne_icalabel asks for it only after minutes of work
        from mne_icalabel.iclabel import iclabel_label_components
    except ImportError as error:
        raise ConfigError(
            "preprocessing.ica.method=iclabel needs packages that are not installed: pip install eeg2speech[ica], or "
            "choose eog"
        ) from error
    unknown = [
        ch["ch_name"] for ch in raw.info["chs"] if not np.isfinite(ch["loc"][:3]).all() or not ch["loc"][:3].any()
    ]
    if unknown:
        raise DataError(
            f"{source_name}: ICLabel needs the position of every electrode, that of {', '.join(unknown)} is unknown; "
            "give positions, name them in preprocessing.bad, or choose preprocessing.ica.method=eog"
        )
    if raw.info["sfreq"] < 200:
        logger.warning(
            "%s: ICLabel knows spectra up to 100 Hz, here they end at half of %g Hz", source_name, raw.info["sfreq"]
        )
    with mne.use_log_level("ERROR"):  # mne cannot know how the array was filtered
        # the torch backend is tried first otherwise: seconds of import for a network of 3 million weights
        probabilities = np.asarray(iclabel_label_components(raw, ica, inplace=False, backend="onnx"), np.float64)
    return [CLASSES[k] for k in probabilities.argmax(axis=1)], probabilities.max(axis=1)


def foremost(names: Sequence[str], source_name: str) -> list[int]:
    """The electrodes nearest to the eyes, by number: they stand in for EOG channels.

    Raises:
        DataError: None of the electrodes is near the eyes.
    """
    rows = {electrode_key(name): row for row, name in enumerate(names)}
    pairs = ([rows[name] for name in pair if name in rows] for pair in FRONTAL)
    nearest = next((pair for pair in pairs if pair), None)
    if nearest is None:
        raise DataError(
            f"{source_name}: it has neither EOG channels nor one of {', '.join(n for pair in FRONTAL for n in pair)}, "
            "so preprocessing.ica.method=eog cannot find the eyes; choose iclabel or null"
        )
    return nearest


def eye_correlations(sources: NDArray[np.float64], eyes: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    """How much components look like the eyes.

    Args:
        sources: Components, (components, samples).
        eyes: What was recorded at or near the eyes, (channels, samples).
        rate: Samples per second.

    Returns:
        Largest absolute correlation with any of the eyes' channels from 1 to 10 Hz, (components,).
    """
    band = butter(2, BLINK_BAND, "bandpass", fs=rate, output="sos")
    slow = sosfiltfilt(band, np.concatenate([sources, eyes]), axis=1)
    slow -= slow.mean(axis=1, keepdims=True)
    slow /= np.maximum(np.linalg.norm(slow, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return np.asarray(np.abs(slow[: len(sources)] @ slow[len(sources) :].T).max(axis=1))
