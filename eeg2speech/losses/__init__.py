from eeg2speech.losses.contrastive import InfoNCE, SigLIP
from eeg2speech.losses.mse import masked_mse

__all__ = ["InfoNCE", "SigLIP", "masked_mse"]
