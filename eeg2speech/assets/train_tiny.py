"""Trains the tiny set: small components of AudioLDM 2, on the packaged speech, on a laptop.

Run as ``python -m eeg2speech.assets.train_tiny OUT`` after ``eeg2speech fit --config configs/audiomae.yaml``. Only
training sounds of the shipped configs are used; ``manifest.json`` lists their hashes, so that tests can exclude them.
Components that exist in OUT are kept.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from diffusers import AudioLDM2UNet2DConditionModel, AutoencoderKL, DDIMScheduler, DDPMScheduler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional as F

from eeg2speech.audio.mel import LogMel, level
from eeg2speech.core.files import write_json
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.loading.splits import Split
from eeg2speech.data.store.writer import audio_hash
from eeg2speech.losses.mse import DiffusionLoss
from eeg2speech.models.audio.encoder import SpectrogramViT
from eeg2speech.models.audioldm2.conditioner import Conditioner
from eeg2speech.models.audioldm2.files import MANIFEST, OWN_AUDIO
from eeg2speech.models.audioldm2.vocoder import IstftVocoder
from eeg2speech.tasks.optimizers import WarmupCosine

SPLIT = Split(by="both", test=0.2, val=0.1, test_subjects=1)
"""Of configs/parts; the set is trained on its training sounds."""
SAMPLES = 51200
"""Of a window of 3.2 s."""
CONTROL = 8
"""Channels concatenated with the latents, as many as they have."""
DROPPED = 0.1
"""Fraction of windows that the UNet is trained on without a condition."""
Step = Callable[[Tensor], Tensor]
"""Computes a loss from waveforms, (B, S)."""


class Crops:
    """Random crops of the training sounds.

    Args:
        sounds: Waveforms, (samples,) each.
        seed: Of the positions.
    """

    def __init__(self, sounds: list[Tensor], seed: int) -> None:
        self.sounds, self.random = sounds, torch.Generator().manual_seed(seed)
        self.weights = torch.tensor([float(len(sound)) for sound in sounds])

    def draw(self, count: int, samples: int = SAMPLES) -> Tensor:
        """Waveforms at the level of the store, (count, samples)."""
        chosen = torch.multinomial(self.weights, count, replacement=True, generator=self.random).tolist()
        starts = torch.rand(count, generator=self.random).tolist()
        firsts = [int(start * (len(self.sounds[i]) - samples)) for i, start in zip(chosen, starts, strict=True)]
        return torch.stack([self.sounds[i][first : first + samples] for i, first in zip(chosen, firsts, strict=True)])


def fit(name: str, module: nn.Module, steps: int, batches: Iterator[Tensor], step: Step, rate: float) -> None:
    """Train a component with AdamW and a cosine schedule."""
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], rate, (0.9, 0.98), 1e-6, 1e-3)
    schedule = WarmupCosine(optimizer, max(1, steps // 20), steps)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    running = 0.0
    with Progress(*columns) as progress:
        task = progress.add_task(name, total=steps)
        for count in range(1, steps + 1):
            loss = step(next(batches))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            running += (loss.item() - running) / min(count, 50)
            progress.update(task, advance=1, description=f"{name} {running:.3f}")
    print(f"{name}: loss {running:.4f} after {steps} steps", flush=True)
    module.eval().requires_grad_(False)


def train_vae(crops: Crops, mel: LogMel, steps: int) -> AutoencoderKL:
    """A small autoencoder with AudioLDM 2's latent shape, and its scaling factor."""
    vae = AutoencoderKL(
        in_channels=1, out_channels=1, latent_channels=8, block_out_channels=(16, 32, 64), layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3, norm_num_groups=8,
        mid_block_add_attention=False, sample_size=64,
    ).to(memory_format=torch.channels_last)  # fmt: skip
    mean, std = -5.7, 2.7  # of log mel spectrograms, which the initial weights standardise
    with torch.no_grad():
        vae.encoder.conv_in.bias -= vae.encoder.conv_in.weight.sum((1, 2, 3)) * mean / std
        vae.encoder.conv_in.weight /= std
        vae.decoder.conv_out.weight *= std
        vae.decoder.conv_out.bias.fill_(mean)

    def step(audio: Tensor) -> Tensor:
        spectrum = mel(level(audio))[:, None].to(memory_format=torch.channels_last)
        posterior = vae.encode(spectrum).latent_dist
        error = F.l1_loss(vae.decode(posterior.sample()).sample, spectrum) / std
        divergence = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).mean()
        loss: Tensor = error + 1e-3 * divergence
        return loss

    fit("VAE", vae, steps, iter(lambda: crops.draw(8, 10240), None), step, 3e-3)
    latents = vae.encode(mel(level(crops.draw(64)))[:, None]).latent_dist.mean
    vae.register_to_config(scaling_factor=1 / latents.std().item())
    return vae


def train_vocoder(crops: Crops, mel: LogMel, vae: AutoencoderKL, steps: int) -> IstftVocoder:
    """A vocoder, trained on true spectrograms and on those reconstructed by the autoencoder."""
    vocoder: IstftVocoder = IstftVocoder()

    def step(audio: Tensor) -> Tensor:
        wave = level(audio)
        spectrum = mel(wave)
        with torch.no_grad():
            coded = vae.decode(vae.encode(spectrum[4:, None]).latent_dist.mean).sample[:, 0]
        made = vocoder(torch.cat([spectrum[:4], coded]))
        return spectral_loss(made, wave) + F.l1_loss(mel(made), spectrum)

    fit("Vocoder", vocoder, steps, iter(lambda: crops.draw(8, 7680), None), step, 2e-3)
    return vocoder


def spectral_loss(made: Tensor, wave: Tensor) -> Tensor:
    """Distance of magnitude spectra at three resolutions, linear and logarithmic (Yamamoto et al. 2020)."""
    loss = made.new_zeros(())
    for size, hop in ((1024, 160), (512, 100), (256, 50)):
        window = torch.hann_window(size)
        ours, theirs = (torch.stft(x, size, hop, window=window, return_complex=True).abs() for x in (made, wave))
        loss = loss + (ours - theirs).norm() / (theirs.norm() + 1e-4)
        loss = loss + F.l1_loss((ours + 1e-3).log(), (theirs + 1e-3).log())
    return loss / 3


def train_unet(
    crops: Crops, mel: LogMel, vae: AutoencoderKL, audio: SpectrogramViT, steps: int, batch: int
) -> tuple[AudioLDM2UNet2DConditionModel, Conditioner, DDPMScheduler]:
    """A small UNet in the layout of the speech checkpoint, its conditioner and its noise schedule."""
    levels = 3
    unet = AudioLDM2UNet2DConditionModel(
        sample_size=80, in_channels=8 + CONTROL, out_channels=8, block_out_channels=(32, 48, 64), layers_per_block=1,
        down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * (levels - 1)),
        up_block_types=(*["CrossAttnUpBlock2D"] * (levels - 1), "UpBlock2D"),
        cross_attention_dim=([None, audio.width],) * levels, attention_head_dim=4, norm_num_groups=8,
    )  # fmt: skip
    conditioner = Conditioner(audio.width, audio.width, concat_channels=CONTROL, rows=audio.rows)
    scheduler = DDPMScheduler(
        1000, 0.0015, 0.0195, "scaled_linear", prediction_type="v_prediction", clip_sample=False
    )  # AudioLDM 2's noise; predicting it instead fails from scratch: at the first step its error is amplified 84 times
    loss_of = DiffusionLoss()
    parts = nn.ModuleDict({"unet": unet, "conditioner": conditioner})

    def step(wave: Tensor) -> Tensor:
        with torch.no_grad():
            latents = vae.encode(mel(level(wave))[:, None]).latent_dist.mean * vae.config.scaling_factor
            loa = audio(wave)
        noise = torch.randn(latents.shape, generator=crops.random)
        time = torch.randint(0, 1000, (len(wave),), generator=crops.random)
        dropped = torch.rand(len(wave), generator=crops.random) < DROPPED
        made = conditioner(loa, dropped)
        noisy = torch.cat([scheduler.add_noise(latents, noise, time), made.pop("control")], dim=1)
        predicted = unet(noisy, time, **made).sample
        loss: Tensor = loss_of(predicted, latents, noise, scheduler.alphas_cumprod[time], "v_prediction")
        return loss

    fit("UNet", parts, steps, iter(lambda: crops.draw(batch), None), step, 2e-3)
    return unet, conditioner, scheduler


def train(out: Path, sounds: list[Tensor], audiomae: Path, steps: Sequence[int], batch: int, seed: int) -> None:
    """Train and write the components that do not exist yet.

    Args:
        out: Folder of the set.
        sounds: Waveforms at 16 kHz, (samples,) each.
        audiomae: Exported encoder of a run of ``configs/audiomae.yaml``, whose tokens are LOA.
        steps: Training steps of autoencoder, vocoder and UNet.
        batch: Windows per step of the UNet.
        seed: Of all random numbers.
    """
    torch.manual_seed(seed)
    crops, mel = Crops(sounds, seed), LogMel()
    if not (out / "vae").is_dir():
        train_vae(crops, mel, steps[0]).save_pretrained(out / "vae")
    vae = AutoencoderKL.from_pretrained(out / "vae").eval().requires_grad_(False)
    if not (out / "vocoder").is_dir():
        train_vocoder(crops, mel, vae, steps[1]).save_pretrained(out / "vocoder")
    if not (out / "unet").is_dir():
        audio = SpectrogramViT(audiomae, width=64, depth=2, heads=4)
        unet, conditioner, scheduler = train_unet(crops, mel, vae, audio, steps[2], batch)
        conditioner.save_pretrained(out / "conditioner")
        DDIMScheduler.from_config(scheduler.config, set_alpha_to_one=False).save_pretrained(out / "scheduler")
        unet.save_pretrained(out / "unet")
    shutil.copytree(audiomae, out / OWN_AUDIO, dirs_exist_ok=True)
    for file in out.glob("*/diffusion_pytorch_model.safetensors"):
        halve(file)


def main() -> None:
    """Train the set on the training part of the embedded speech."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to write, eeg2speech/assets/tiny in the package")
    parser.add_argument("--audiomae", type=Path, default=Path("runs/audiomae/encoder"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, nargs=3, default=[1500, 2000, 1500], help="of VAE, vocoder and UNet")
    parser.add_argument("--batch", type=int, default=8, help="windows a step of the UNet")
    chosen = parser.parse_args()
    data = EEGAudioDataModule(split=SPLIT, audio=True)
    data.prepare_data()
    data.setup()
    names = sorted({window.segment.stimulus for window in data.datasets["train"].windows})
    sounds = [torch.from_numpy(data.store.audio(name, 0, 2**31)) for name in names]
    train(chosen.out, sounds, chosen.audiomae, chosen.steps, chosen.batch, chosen.seed)
    digests = [audio_hash(data.store.audio_file(name)).hex() for name in names]
    heard = dict(zip(names, digests, strict=True))
    write_json(chosen.out / MANIFEST, {"heard": heard, "steps": chosen.steps, "seed": chosen.seed})


def halve(file: Path) -> None:
    """Store weights in half precision."""
    file.write_bytes(save({name: value.half() for name, value in load_file(file).items()}, {"format": "pt"}))
    file.chmod(0o644)  # diffusers lets nobody but the owner read


if __name__ == "__main__":
    main()
