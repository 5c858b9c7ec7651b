"""Classes of independent components: by ICLabel, or by their correlation with channels at the eyes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import mne
import numpy as np
import scipy
from numpy.typing import NDArray

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.data.electrodes.names import electrode_key

if TYPE_CHECKING:
    from mne.io import BaseRaw
    from mne.preprocessing import ICA

CLASSES = ("brain", "muscle", "eye", "heart", "line", "channel", "other")
"""Classes of ICLabel, in the order of its output."""
FRONTAL = (("fp1", "fp2"), ("af7", "af8"), ("af3", "af4"))
"""Electrodes that replace missing EOG channels, those nearest to the eyes first."""
BLINK_BAND = (1.0, 10.0)
"""Band in hertz in which components are compared with EOG channels."""

logger = logging.getLogger(__name__)


def classify_components(raw: BaseRaw, ica: ICA, source_name: str) -> tuple[list[str], NDArray[np.float64]]:
    """Most likely class of each component and its probability by ICLabel.

    ICLabel was trained on components of extended infomax, with average reference, from 1 to 100 Hz.

    Reference: Pion-Tonachini et al. 2019, ICLabel: an automated electroencephalographic independent component
    classifier, dataset, and website.
    """
    try:
        import onnxruntime  # noqa: F401  # mne_icalabel would import it only after minutes of work
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
            "%s: ICLabel needs spectra up to 100 Hz, here they end at half of %g Hz", source_name, raw.info["sfreq"]
        )
    with mne.use_log_level("ERROR"):  # no warning: mne has no information about the filters of the array
        # the default backend, torch, takes seconds to import for a network of 3 million weights
        probabilities = np.asarray(iclabel_label_components(raw, ica, inplace=False, backend="onnx"), np.float64)
    return [CLASSES[k] for k in probabilities.argmax(axis=1)], probabilities.max(axis=1)


def frontal_electrodes(names: Sequence[str], source_name: str) -> list[int]:
    """Indices of the electrodes nearest to the eyes, which replace missing EOG channels."""
    rows = {electrode_key(name): row for row, name in enumerate(names)}
    for pair in FRONTAL:
        if found := [rows[name] for name in pair if name in rows]:
            return found
    raise DataError(
        f"{source_name}: it has neither EOG channels nor one of {', '.join(n for pair in FRONTAL for n in pair)}, "
        "so preprocessing.ica.method=eog cannot find the eyes; choose iclabel or null"
    )


def eye_correlations(sources: NDArray[np.float64], eyes: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    """Largest absolute correlation of each component with a channel at the eyes from 1 to 10 Hz, (components,).

    Args:
        sources: Components, (components, samples).
        eyes: Channels at or near the eyes, (channels, samples).
        rate: Samples per second.
    """
    band = scipy.signal.butter(2, BLINK_BAND, "bandpass", fs=rate, output="sos")
    slow = scipy.signal.sosfiltfilt(band, np.concatenate([sources, eyes]), axis=1)
    slow -= slow.mean(axis=1, keepdims=True)
    slow /= np.maximum(np.linalg.norm(slow, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return np.asarray(np.abs(slow[: len(sources)] @ slow[len(sources) :].T).max(axis=1))
