from eeg2speech.models.aligner import Aligner
from eeg2speech.models.audio import SpectrogramViT
from eeg2speech.models.audio_cache import CachedAudio
from eeg2speech.models.audiomae import AudioMAE
from eeg2speech.models.autoencoder import MaskedAutoencoder, Reconstruction
from eeg2speech.models.decoders import CrossDecoder, FullDecoder, LocalDecoder
from eeg2speech.models.encoder import ViTEncoder

__all__ = [
    "Aligner",
    "AudioMAE",
    "CachedAudio",
    "CrossDecoder",
    "FullDecoder",
    "LocalDecoder",
    "MaskedAutoencoder",
    "Reconstruction",
    "SpectrogramViT",
    "ViTEncoder",
]
