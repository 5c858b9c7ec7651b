from eeg2speech.models.aligner import Aligner
from eeg2speech.models.audio.audiomae import AudioMAE
from eeg2speech.models.audio.cached import CachedAudio
from eeg2speech.models.audio.encoder import AudioEncoder, SpectrogramViT
from eeg2speech.models.eeg.autoencoder import MaskedAutoencoder, Reconstruction
from eeg2speech.models.eeg.decoders import CrossDecoder, FullDecoder, LocalDecoder
from eeg2speech.models.eeg.eegnet import EEGNet
from eeg2speech.models.eeg.encoder import ViTEncoder
from eeg2speech.models.eeg.simpleconv import SimpleConv
from eeg2speech.models.eeg.step_encoder import StepEncoder
from eeg2speech.models.registry import register

__all__ = [
    "Aligner",
    "AudioEncoder",
    "AudioMAE",
    "CachedAudio",
    "CrossDecoder",
    "EEGNet",
    "FullDecoder",
    "LocalDecoder",
    "MaskedAutoencoder",
    "Reconstruction",
    "SimpleConv",
    "SpectrogramViT",
    "StepEncoder",
    "ViTEncoder",
    "register",
]
