from eeg2speech.models.autoencoder import MaskedAutoencoder, Reconstruction
from eeg2speech.models.decoders import CrossDecoder, FullDecoder, LocalDecoder
from eeg2speech.models.encoder import ViTEncoder

__all__ = ["CrossDecoder", "FullDecoder", "LocalDecoder", "MaskedAutoencoder", "Reconstruction", "ViTEncoder"]
