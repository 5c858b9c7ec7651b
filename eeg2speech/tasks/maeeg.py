from __future__ import annotations

from eeg2speech.core.types import Batch
from eeg2speech.tasks.masked import Image, MaskedTask


class MAEEGTask(MaskedTask):
    """Stage 1: masked autoencoder of EEG. Arguments are those of ``MaskedTask``.

    Electrodes take the place of AudioMAE's mel bands. The name MAEEG is due to Chien et al. 2022 (arXiv 2211.02625),
    who gave it to another model.
    """

    learned = "eeg"

    def image(self, batch: Batch) -> Image:
        """EEG: electrodes by samples."""
        # attention without a mask is faster, and nearly all data has one montage
        mask = None if bool(batch["channel_mask"].all()) else batch["channel_mask"]
        return Image(batch["eeg"], batch["positions"], mask)
