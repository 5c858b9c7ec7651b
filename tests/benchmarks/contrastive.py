"""Memory and time of a step of InfoNCE: all similarities at once against blocks of rows that are computed again.

    python -m tests.benchmarks.contrastive [--batches 256 1024 4096 8192] [--chunk 256] [--seconds 10] [--keys]

Memory is how far a forward and a backward pass raise the peak of the process's resident memory above where it stood
before, embeddings and their gradients excluded (Linux only: /proc). Time is the median of steps in which the ways take
turns, so that a busy machine slows all of them; ratios are what counts.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import normalize

from eeg2speech.losses import InfoNCE

MIB = 1024
"""Kibibytes, in which the kernel counts, of a mebibyte."""


def step(loss: InfoNCE, pair: list[Tensor], key: Tensor | None) -> float:
    """Seconds of a forward and a backward pass."""
    begun = time.perf_counter()
    loss(*pair, key).backward()
    return time.perf_counter() - begun


def memory(line: str) -> float:
    """A line of the process's status in MiB: ``VmHWM``, the peak, or ``VmRSS``, now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(text.split()[1]) for text in lines if text.startswith(f"{line}:")) / MIB


def raised(loss: InfoNCE, pair: list[Tensor], key: Tensor | None) -> float:
    """MiB by which a step raises the peak; gradients of the embeddings are there before."""
    ctypes.CDLL(None).malloc_trim(0)  # nothing that an earlier step left may be used again
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = memory("VmRSS")
    step(loss, pair, key)
    return memory("VmHWM") - before


def main(batches: list[int], width: int, chunk: int, keys: bool, seconds: float) -> None:
    """Print a row per batch."""
    ways = {"whole": InfoNCE(), "chunked": InfoNCE(chunk=chunk)}
    generator = torch.Generator().manual_seed(0)
    table = Table(title=f"InfoNCE, K = {width}, chunk = {chunk}, {torch.get_num_threads()} thread(s), float32")
    for column in ("batch", *(f"{way}, MiB" for way in ways), "ratio", *(f"{way}, ms" for way in ways), "ratio"):
        table.add_column(column, justify="right")
    small = [torch.ones(2 * chunk, width, requires_grad=True) for _ in range(2)]
    for loss in ways.values():
        step(loss, small, None)  # what libraries allocate once
    for batch in batches:
        pair = [normalize(torch.randn(batch, width, generator=generator), dim=-1).requires_grad_() for _ in range(2)]
        for embedding in pair:
            embedding.grad = torch.zeros_like(embedding)
        key = torch.randint(batch // 2, (batch,), generator=generator) if keys else None
        peaks = {way: raised(loss, pair, key) for way, loss in ways.items()}
        times: dict[str, list[float]] = {way: [] for way in ways}
        while min(map(sum, times.values())) < seconds:
            for way, loss in ways.items():
                times[way].append(step(loss, pair, key))
        median = {way: 1000 * statistics.median(spent) for way, spent in times.items()}
        table.add_row(
            str(batch),
            *(f"{peak:.0f}" for peak in peaks.values()), f"{peaks['chunked'] / peaks['whole']:.2f}",
            *(f"{ms:.0f}" for ms in median.values()), f"{median['chunked'] / median['whole']:.2f}",
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--batches", type=int, nargs="+", default=[256, 1024, 4096, 8192])
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--chunk", type=int, default=256)
    parser.add_argument("--keys", action="store_true", help="every sound is heard by about two")
    parser.add_argument("--seconds", type=float, default=10, help="of each way and batch, at the least")
    arguments = parser.parse_args()
    main(arguments.batches, arguments.width, arguments.chunk, arguments.keys, arguments.seconds)
