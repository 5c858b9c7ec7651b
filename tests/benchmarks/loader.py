"""Windows per second of the data module against gathering the same windows from the bare memory map.

    python -m tests.benchmarks.loader [--seconds 10]

Both take turns, so that a busy machine slows both; the ratio is what counts.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from eeg2speech.data.loading.datamodule import EEGAudioDataModule


def main(seconds: float) -> None:
    """Measure with and without scaling, in slices of a second."""
    data = EEGAudioDataModule(hop=0.32)
    data.prepare_data()
    data.setup()
    dataset = data.datasets["train"]
    maps = {index: data.store.eeg(recording) for index, recording in enumerate(data.store.recordings)}
    keys = list(data.train_dataloader().batch_sampler)  # type: ignore[arg-type]
    samples = data.samples

    def bare() -> int:
        for batch in keys:
            windows = [dataset.windows[index] for index, _ in batch]
            stacked = np.stack([maps[w.recording][:, w.start : w.start + samples] for w in windows])
            torch.from_numpy(stacked)
        return len(keys) * data.batch_size

    def loader() -> int:
        return sum(len(batch["eeg"]) for batch in data.train_dataloader())

    def workers() -> int:
        return sum(len(batch["eeg"]) for batch in loaded)

    data.workers = 2
    loaded = data.train_dataloader()
    data.workers = 0
    ways = {"bare memory map": bare, "data module": loader, "data module, 2 workers": workers}
    for way in ways.values():
        way()
    spent, windows = dict.fromkeys(ways, 0.0), dict.fromkeys(ways, 0)
    while min(spent.values()) < seconds:
        for name, way in ways.items():
            begun = time.perf_counter()
            windows[name] += way()
            spent[name] += time.perf_counter() - begun
    table = Table(title=f"{samples} samples x 32 electrodes, batches of {data.batch_size}")
    for column in ("", "windows/s", "time, bare map = 1"):
        table.add_column(column, justify="right")
    rates = {name: windows[name] / spent[name] for name in ways}
    for name, rate in rates.items():
        table.add_row(name, f"{rate:.0f}", f"{rates['bare memory map'] / rate:.2f}")
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--seconds", type=float, default=10)
    main(parser.parse_args().seconds)
