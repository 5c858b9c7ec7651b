"""Small networks, and batches to send through them."""

from __future__ import annotations

import torch

from eeg2speech.models import CrossDecoder, FullDecoder, LocalDecoder, MaskedAutoencoder, ViTEncoder

DECODERS = {"full": FullDecoder, "local": LocalDecoder, "cross": CrossDecoder}
KINDS = ("random", "electrodes", "time")


def make_encoder(seed=0, **settings):
    torch.manual_seed(seed)
    return ViTEncoder(**{"patch": (4, 16), "width": 16, "depth": 2, "heads": 2} | settings)


def make_autoencoder(decoder="cross", seed=0, normalize_target=False, **settings):
    encoder = make_encoder(seed, **settings)
    return MaskedAutoencoder(encoder, DECODERS[decoder](width=12, depth=2, heads=2), normalize_target)


def make_batch(batch=3, channels=12, samples=80, seed=0):
    """EEG and electrode positions in metres."""
    generator = torch.Generator().manual_seed(seed)
    eeg = torch.randn(batch, channels, samples, generator=generator)
    places = torch.randn(batch, channels, 3, generator=generator)
    centre = torch.tensor([0.0, 0.0, 0.04])
    return eeg, 0.09 * torch.nn.functional.normalize(places, dim=-1) + centre


def first_channels(batch, channels, counts):
    """A mask of the first ``counts`` channels of each window."""
    return torch.arange(channels).expand(batch, -1) < torch.tensor(counts)[:, None]


def hidden_samples(result, patch, shape):
    """Where samples were hidden, marked patch by patch, as a reference for ``paint``."""
    hidden = torch.zeros(shape, dtype=torch.bool)
    steps = shape[2] // patch[1]
    for window, indices in enumerate(result.masked.hidden.tolist()):
        for place, index in enumerate(indices):
            if result.masked.hidden_exists is None or result.masked.hidden_exists[window, place]:
                group, step = divmod(index, steps)
                rows = slice(group * patch[0], (group + 1) * patch[0])
                hidden[window, rows, step * patch[1] : (step + 1) * patch[1]] = True
    return hidden
