"""Step time of the alignment with cached embeddings of the sound against computing them in every step.

The audio encoder is AudioMAE's ViT-B with random weights, frozen. `python -m tests.benchmarks.audio [--batch 8]`
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

from eeg2speech.losses import InfoNCE
from eeg2speech.models import Aligner, AudioMAE, CachedAudio, ViTEncoder

SUBJECTS, CHANNELS, SAMPLES = 8, 32, 320


def main() -> None:
    """Interleave both and print milliseconds per step and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.manual_seed(0)
    eeg, positions = torch.randn(args.batch, CHANNELS, SAMPLES), 0.1 * torch.randn(args.batch, CHANNELS, 3)
    audio, subject = 0.1 * torch.randn(args.batch, 160 * SAMPLES), torch.arange(args.batch) % SUBJECTS
    with tempfile.TemporaryDirectory() as folder:
        encoder = AudioMAE()
        ways = {"computed": encoder, "cached": CachedAudio(encoder, Path(folder))}
        aligners = {name: Aligner(ViTEncoder(width=96), way, SUBJECTS, CHANNELS) for name, way in ways.items()}
        seconds: dict[str, list[float]] = {name: [] for name in aligners}
        for turn in range(args.rounds + 1):  # the first one fills the cache
            for name, aligner in aligners.items():
                if aligner.subject_layer is not None:
                    aligner.subject_layer.mark_trained(range(SUBJECTS))
                begin = time.perf_counter()
                vectors = aligner.embed_eeg(eeg, positions, None, subject)
                InfoNCE()(vectors, aligner.embed_sound(audio)).backward()
                if turn:
                    seconds[name].append(time.perf_counter() - begin)
    best = {name: min(times) for name, times in seconds.items()}
    for name, value in best.items():
        print(f"{name:10} {1e3 * value:8.0f} ms a step of {args.batch} windows of 3.2 s (best of {args.rounds})")
    print(f"cached steps are {best['computed'] / best['cached']:.1f} times as fast")


if __name__ == "__main__":
    main()
