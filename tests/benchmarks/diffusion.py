"""Speech from EEG against diffusers' AudioLDM2Pipeline with its text stack, and training steps with cached latents.

    python -m tests.benchmarks.diffusion [--seconds 10.24] [--only generation|training]

Weights are random, of the published sizes, in single precision; 6 GB of disk are needed for them. A clip of 10.24 s
takes a CPU tens of minutes: give it `--seconds 1.28`. On a busy machine compare processor times, summed over cores.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from tests.audioldm2_full import write_full

if TYPE_CHECKING:  # each process imports its own side
    from eeg2speech.models.audioldm2.speech import SpeechDiffusion

STEP, CHANNELS = 0.16, 32
PROMPT = "speech"
Result = TypeVar("Result")


@dataclass
class Cost:
    """What a piece of work took: seconds, of the clock and of the processor."""

    wall: float
    cpu: float


@dataclass
class Run:
    """A clip's generation: parameters in memory, what loading and generating took, peak memory in bytes."""

    parameters: int
    loading: Cost
    generating: Cost
    peak: int


def timed(work: Callable[[], Result]) -> tuple[Result, Cost]:
    """Do it and say what it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result, Cost(time.perf_counter() - wall, time.process_time() - cpu)


def in_own_process(work: Callable[..., Result], *args: Any) -> Result:
    """Do it in a new process, whose peak memory is then its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(work, *args).result()


def peak(device: str) -> int:
    """Most bytes that this process had in memory so far, the GPU's if it computes there."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated()
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def speech_model(folder: Path, device: str, small: bool, trainable: Literal["lora", "none"]) -> SpeechDiffusion:
    """SpeechDiffusion with an aligner of stage 2's default size and AudioMAE."""
    from eeg2speech.models import Aligner, AudioMAE, ViTEncoder
    from eeg2speech.models.audioldm2.speech import SpeechDiffusion

    torch.manual_seed(0)
    audio = AudioMAE(blocks=[9, 10, 11], width=16 if small else 768, heads=2 if small else 12)
    aligner = Aligner(ViTEncoder(), audio, 1, CHANNELS, subject_layer=False, target="loa")
    return SpeechDiffusion(folder, audio, aligner.requires_grad_(False), trainable).to(device).eval()


def recording(batch: int, seconds: float, device: str) -> tuple[Tensor, Tensor, None, Tensor]:
    """EEG at 100 Hz, positions, no mask and subjects."""
    eeg, positions = torch.randn(batch, CHANNELS, round(100 * seconds)), 0.1 * torch.randn(batch, CHANNELS, 3)
    return eeg.to(device), positions.to(device), None, torch.zeros(batch, dtype=torch.long, device=device)


def ours(folder: Path, seconds: float, device: str, small: bool) -> Run:
    """EEG to waveform, 20 steps of DPM-Solver++."""
    from eeg2speech.models.audioldm2.sampling import Sampler

    model, loading = timed(lambda: speech_model(folder, device, small, "none"))
    eeg = recording(1, seconds, device)

    def generate() -> Tensor:
        with torch.inference_mode():
            steps = model.eeg_steps(*eeg)
            latents = Sampler().sample(model, model.condition(steps), steps.shape[1], [0])
            sound: Tensor = model.waveform(latents).cpu()
            return sound

    sound, generating = timed(generate)
    assert sound.shape == (1, round(16_000 * seconds))
    return Run(sum(p.numel() for p in model.parameters()), loading, generating, peak(device))


def theirs(folder: Path, seconds: float, device: str, small: bool) -> Run:
    """Text to waveform, 200 steps of DDIM: everything as it comes."""
    from diffusers import AudioLDM2Pipeline

    pipeline, loading = timed(lambda: AudioLDM2Pipeline.from_pretrained(folder).to(device))
    pipeline.set_progress_bar_config(disable=True)
    sound, generating = timed(lambda: pipeline(PROMPT, audio_length_in_s=seconds).audios)
    assert sound.shape == (1, round(16_000 * seconds))
    parts = [part for part in pipeline.components.values() if isinstance(part, nn.Module)]
    return Run(sum(p.numel() for part in parts for p in part.parameters()), loading, generating, peak(device))


def generation(folder: Path, seconds: float, device: str, small: bool) -> None:
    """One clip each, by processes that do nothing else."""
    sides: dict[str, tuple[Callable[..., Run], str]] = {
        "ours, general": (ours, "general"),
        "pipeline, general": (theirs, "general"),
        "ours, speech": (ours, "speech"),
    }
    runs = {
        name: in_own_process(side, folder / layout, seconds, device, small) for name, (side, layout) in sides.items()
    }
    base = runs["pipeline, general"]
    figures: dict[str, Callable[[Run], str]] = {
        "parameters, M": lambda run: f"{run.parameters / 1e6:.1f}",
        "loading, s": lambda run: f"{run.loading.wall:.1f}",
        "generating, s": lambda run: f"{run.generating.wall:.1f}",
        "  times as fast": lambda run: f"{base.generating.wall / run.generating.wall:.1f}",
        "generating, processor s": lambda run: f"{run.generating.cpu:.1f}",
        "  times as fast ": lambda run: f"{base.generating.cpu / run.generating.cpu:.1f}",
        "peak memory, GB": lambda run: f"{run.peak / 1e9:.2f}",
        "  share": lambda run: f"{run.peak / base.peak:.2f}",
    }
    table = Table(title=f"A clip of {seconds:g} s on {device} ({torch.get_num_threads()} threads)")
    table.add_column("")
    for name in runs:
        table.add_column(name, justify="right")
    for name, figure in figures.items():
        table.add_row(name, *(figure(run) for run in runs.values()))
    Console().print(table)
    print("goals: 8 times as fast as the pipeline, with half the memory")


def training(folder: Path, seconds: float, device: str, small: bool, batch: int, rounds: int) -> None:
    """Steps with the latents computed anew and with those of the cache, in turns, on one model in the speech layout."""
    from eeg2speech.losses.mse import DiffusionLoss
    from eeg2speech.models.audio.cached import ContentCache

    model = speech_model(folder / "speech", device, small, "lora")
    eeg, audio = recording(batch, seconds, device), 0.1 * torch.randn(batch, round(16_000 * seconds), device=device)
    model.unet.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer, loss = torch.optim.AdamW(trained, lr=1e-4), DiffusionLoss()
    scheduler = model.scheduler

    def step() -> None:
        latents, true = model.latents(audio), model.loa_of_sound(audio)
        noise, times = torch.randn_like(latents), torch.randint(len(scheduler.betas), (batch,), device=device)
        with torch.no_grad():
            loa = model.loa_of_steps(model.eeg_steps(*eeg))
        predicted = model.predict(scheduler.add_noise(latents, noise, times), times, model.conditioner(loa))
        signal = scheduler.alphas_cumprod.to(latents)[times]
        error = loss(predicted, latents, noise, signal, scheduler.config.prediction_type)
        optimizer.zero_grad(set_to_none=True)
        (error + (loa - true).square().mean()).backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()

    ways = {"encoded in every step": None, "cached": ContentCache("latents", folder / "latents")}
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, cache in ways.items():
            model.cache = cache
            _, cost = timed(step)
            if turn:  # the first fills the cache
                costs[name].append(cost)
    best = {name: Cost(min(c.wall for c in taken), min(c.cpu for c in taken)) for name, taken in costs.items()}
    table = Table(title=f"Training steps on {batch} windows of {seconds:g} s on {device}, best of {rounds}, LoRA")
    for column in ("latents", "ms", "processor ms"):
        table.add_column(column, justify="right")
    for name, cost in best.items():
        table.add_row(name, f"{1e3 * cost.wall:.0f}", f"{1e3 * cost.cpu:.0f}")
    Console().print(table)
    slow, fast = best["encoded in every step"], best["cached"]
    print(f"cached: {slow.wall / fast.wall:.2f} times as fast, {slow.cpu / fast.cpu:.2f} by processor time; goal: 1.5")


def main() -> None:
    """Write the networks, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.24, help="of a clip; a multiple of 0.16")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", choices=("generation", "training"))
    parser.add_argument("--batch", type=int, default=1, help="windows of a training step")
    parser.add_argument("--rounds", type=int, default=5, help="training steps of each kind")
    parser.add_argument("--small", action="store_true", help="tiny networks, to see whether this runs")
    args = parser.parse_args()
    if args.seconds <= 0 or abs(args.seconds / STEP - round(args.seconds / STEP)) > 1e-6:
        parser.error(f"--seconds {args.seconds:g} is not a multiple of {STEP}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # elsewhere: a process starts with the peak of the one that starts it
        in_own_process(write_full, folder, args.small)
        if args.only != "training":
            generation(folder, args.seconds, args.device, args.small)
        if args.only != "generation":
            training(folder, args.seconds, args.device, args.small, args.batch, args.rounds)


if __name__ == "__main__":
    main()
