"""MAEEG against `transformers.ViTMAEForPreTraining`: windows per second, and what equal wall time teaches.

    python -m tests.benchmarks.model [--seconds 60]

Models take turns in slices of a few seconds, so that a busy machine slows all of them; ratios are what counts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from transformers import ViTMAEConfig, ViTMAEForPreTraining

from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.losses import masked_mse
from eeg2speech.metrics import NormalizedMSE
from eeg2speech.models import CrossDecoder, FullDecoder, MaskedAutoencoder, ViTEncoder

RATIO = 0.8
Step = Callable[[], None]


def vit_mae(
    width: int, depth: int, heads: int, mlp: int, decoder: tuple[int, int, int, int], size: int
) -> ViTMAEForPreTraining:
    """Hugging Face's masked autoencoder on one channel in patches of 16 x 16."""
    config = ViTMAEConfig(
        hidden_size=width, num_hidden_layers=depth, num_attention_heads=heads, intermediate_size=mlp,
        decoder_hidden_size=decoder[0], decoder_num_hidden_layers=decoder[1], decoder_num_attention_heads=decoder[2],
        decoder_intermediate_size=decoder[3], num_channels=1, image_size=size, mask_ratio=RATIO, norm_pix_loss=False,
    )  # fmt: skip
    return ViTMAEForPreTraining(config)


def train_step(model: nn.Module, optimizer: torch.optim.Optimizer, image: Tensor, places: Tensor) -> None:
    """One optimizer step of either model."""
    if isinstance(model, MaskedAutoencoder):
        result = model(image, places, None, RATIO)
        loss = masked_mse(result.prediction / result.gain, result.target / result.gain, result.weight)
    else:
        loss = model(image[:, None], interpolate_pos_encoding=True).loss
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def throughput(batch: int, rounds: int) -> None:
    """ViT-B geometry: 128 x 1024 in patches of 16 x 16 is 512 patches."""
    image, places = torch.randn(batch, 128, 1024), 0.1 * torch.randn(batch, 128, 3)

    def encoder() -> ViTEncoder:
        return ViTEncoder((16, 16), width=768, depth=12, heads=12, mlp_ratio=4.0)

    models: dict[str, nn.Module] = {
        "transformers ViTMAE": vit_mae(768, 12, 12, 3072, (512, 8, 16, 2048), 352),
        "MAEEG full": MaskedAutoencoder(encoder(), FullDecoder(512, 8, 16, 4.0)),
        "MAEEG cross": MaskedAutoencoder(encoder(), CrossDecoder(512, 4, 16, 4.0)),
    }
    optimizers = {name: torch.optim.AdamW(model.parameters(), lr=1e-5) for name, model in models.items()}
    table = Table(title=f"ViT-B, 512 patches, {RATIO:.0%} hidden, batch {batch}: windows/s, ratio to transformers")
    for column in ("precision", *models):
        table.add_column(column, justify="right")
    for precision in (torch.float32, torch.bfloat16):
        spent = dict.fromkeys(models, 0.0)
        for turn in range(rounds + 1):
            for name, model in models.items():
                begun = time.perf_counter()
                with torch.autocast("cpu", torch.bfloat16, enabled=precision is torch.bfloat16):
                    train_step(model, optimizers[name], image, places)
                if turn:  # the first warms up
                    spent[name] += time.perf_counter() - begun
        rates = {name: rounds * batch / seconds for name, seconds in spent.items()}
        base = rates["transformers ViTMAE"]
        table.add_row(str(precision)[6:], *(f"{rate:.2f} ({rate / base:.2f}x)" for rate in rates.values()))
    Console().print(table)


def forever(data: EEGAudioDataModule) -> Iterator[dict[str, Tensor]]:
    """Training batches, epoch after epoch."""
    loader, epoch = data.train_dataloader(), 0
    while True:
        loader.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]
        yield from loader
        epoch += 1


def nmse(model: nn.Module, data: EEGAudioDataModule) -> float:
    """Error on hidden patches of validation windows; masks are drawn anew, for all models from the same seed."""
    model.eval()
    metric = NormalizedMSE()
    torch.manual_seed(0)
    with torch.no_grad():
        for batch in data.batches("val", 256):
            if isinstance(model, MaskedAutoencoder):
                result = model(batch["eeg"], batch["positions"], None, RATIO)
                metric.update(result.prediction, result.target, result.weight)
            else:
                image = batch["eeg"].repeat_interleave(4, dim=1)[:, None]
                out = model(image, interpolate_pos_encoding=True)
                target = model.patchify(image, interpolate_pos_encoding=True)
                metric.update(out.logits, target, out.mask[..., None].expand_as(target))
    model.train()
    return float(metric.compute())


def learning(seconds: float) -> None:
    """The embedded data, patches of 4 electrodes x 16 samples (for ViTMAE every electrode is repeated four times)."""
    data = EEGAudioDataModule(batch_size=32, hop=0.32)
    data.prepare_data()
    data.setup()
    torch.manual_seed(0)
    models: dict[str, nn.Module] = {
        "transformers ViTMAE": vit_mae(64, 4, 4, 128, (64, 2, 4, 128), 192),
        "MAEEG full": MaskedAutoencoder(ViTEncoder(), FullDecoder()),
        "MAEEG cross": MaskedAutoencoder(ViTEncoder(), CrossDecoder()),
    }
    optimizers = {
        name: torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.95), weight_decay=0.05)
        for name, model in models.items()
    }
    batches = {name: forever(data) for name in models}
    spent, steps = dict.fromkeys(models, 0.0), dict.fromkeys(models, 0)
    while min(spent.values()) < seconds:
        for name, model in models.items():
            begun = time.perf_counter()
            while time.perf_counter() - begun < 5:
                batch = next(batches[name])
                image = batch["eeg"]
                if not isinstance(model, MaskedAutoencoder):
                    image = image.repeat_interleave(4, dim=1)
                train_step(model, optimizers[name], image, batch["positions"])
                steps[name] += 1
            spent[name] += time.perf_counter() - begun
    table = Table(title=f"SIMULATED EEG, {seconds:g} s of training each, constant learning rate")
    for column in ("", "steps", "windows/s", "NMSE"):
        table.add_column(column, justify="right")
    for name, model in models.items():
        rate = steps[name] * data.batch_size / spent[name]
        table.add_row(name, str(steps[name]), f"{rate:.0f}", f"{nmse(model, data):.3f}")
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--seconds", type=float, default=60, help="training time of each model in the second table")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    throughput(options.batch, options.rounds)
    learning(options.seconds)
