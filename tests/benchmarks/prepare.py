"""What `eeg2speech prepare` costs: hours of EEG per minute, memory for a long recording, how fast its store is read.

    python -m tests.benchmarks.prepare throughput [--minutes 10] [--rate 2048] [--recordings 4]
    python -m tests.benchmarks.prepare memory [--hours 2] [--rate 8192]
    python -m tests.benchmarks.prepare reading      # needs braindecode and zarr, in an environment of their own

All compare in one run; on a busy machine only the ratios count. Files are written into a temporary folder (TMPDIR):
`memory` needs 15 GB there.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

CHANNELS = 64


def write_bdf(file: Path, seconds: int, rate: int, seed: int = 0) -> None:
    """A BDF file of 1/f noise on BioSemi's offsets, second by second: ten seconds, again and again."""
    import mne

    names = mne.channels.make_standard_montage("biosemi64").ch_names
    rng = np.random.default_rng(seed)
    noise = np.cumsum(rng.standard_normal((CHANNELS, 10 * rate)), axis=1) * 2000 / np.sqrt(rate)
    noise -= np.linspace(0, 1, noise.shape[1]) * noise[:, -1:]  # the seconds follow each other without a step
    counts = (noise + rng.uniform(-1e5, 1e5, (CHANNELS, 1))).astype("<i4")
    bytes3 = counts[..., None].view(np.uint8).reshape(*counts.shape, 4)[..., :3]
    records = [np.ascontiguousarray(bytes3[:, s * rate : (s + 1) * rate]).tobytes() for s in range(10)]

    def cells(values: list[str], width: int) -> bytes:
        return "".join(value.ljust(width) for value in values).encode("ascii")

    fixed = [("", 80), ("", 80), ("01.01.20", 8), ("00.00.00", 8), (str(256 * (CHANNELS + 1)), 8), ("24BIT", 44)]
    fixed += [(str(seconds), 8), ("1", 8), (str(CHANNELS), 4)]
    columns = [(names, 16), (["active electrode"] * CHANNELS, 80), (["uV"] * CHANNELS, 8)]
    columns += [([text] * CHANNELS, 8) for text in ("-262144", "262143", "-8388608", "8388607")]
    columns += [(["None"] * CHANNELS, 80), ([str(rate)] * CHANNELS, 8), ([""] * CHANNELS, 32)]
    with file.open("wb") as stream:
        stream.write(b"\xffBIOSEMI" + b"".join(text.ljust(width).encode("ascii") for text, width in fixed))
        stream.write(b"".join(cells(values, width) for values, width in columns))
        for second in range(seconds):
            stream.write(records[second % 10])


def plain_mne(file: str, out: str) -> None:
    """What a user would write: the same steps on a whole recording in memory."""
    import mne

    raw = mne.io.read_raw_bdf(file, preload=True, verbose="ERROR")
    raw.set_montage("biosemi64", verbose="ERROR")
    raw.filter(0.5, 40, method="iir", iir_params={"order": 4, "ftype": "butter", "output": "sos"}, verbose="ERROR")
    raw.notch_filter(50, method="iir", notch_widths=2, verbose="ERROR")
    raw.resample(100, method="polyphase", verbose="ERROR")
    raw.set_eeg_reference("average", verbose="ERROR")
    np.save(out, (raw.get_data() * 1e6).astype(np.float32))


def ours(root: Path, out: Path, jobs: int) -> None:
    """The command, in this process."""
    from eeg2speech.cli import main

    status = main(["prepare", "files", str(root), str(out), "--montage", "biosemi64", "--jobs", str(jobs)])
    if status:
        raise SystemExit(status)


def throughput(minutes: float, rate: int, recordings: int) -> None:
    """Hours of EEG per minute, with one and two workers."""
    from joblib import Parallel, delayed

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "raw")
        root.mkdir()
        for number in range(recordings):
            write_bdf(root / f"sub-{number:02d}.bdf", round(minutes * 60), rate, number)
        files = sorted(root.iterdir())
        hours = recordings * minutes / 60

        def plain(jobs: int) -> None:
            Parallel(n_jobs=jobs)(delayed(plain_mne)(str(f), str(Path(folder, f"{f.stem}.npy"))) for f in files)

        ways: dict[str, Callable[[], None]] = {}
        for jobs in (1, 2):
            ways[f"mne script, {jobs} workers"] = lambda jobs=jobs: plain(jobs)  # type: ignore[misc]
            ways[f"eeg2speech prepare, {jobs} workers"] = lambda jobs=jobs: ours(root, Path(folder, f"s{jobs}"), jobs)  # type: ignore[misc]
        table = Table(title=f"{recordings} recordings of {minutes:g} min, {CHANNELS} channels at {rate} Hz")
        for column in ("", "hours of EEG per minute", "mne script, 1 worker = 1"):
            table.add_column(column, justify="right")
        speeds = {}
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            speeds[name] = hours / ((time.perf_counter() - begun) / 60)
        for name, speed in speeds.items():
            table.add_row(name, f"{speed:.2f}", f"{speed / speeds['mne script, 1 workers']:.2f}")
        Console().print(table)


def memory(hours: float, rate: int) -> None:
    """Peak memory of one long recording; a process of its own, so that nothing else counts."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "raw")
        root.mkdir()
        write_bdf(root / "sub-01.bdf", round(hours * 3600), rate)
        size = sum(file.stat().st_size for file in root.iterdir())
        script = "import sys; from pathlib import Path; from tests.benchmarks.prepare import ours; "
        script += "ours(Path(sys.argv[1]), Path(sys.argv[2]), 1)"
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", script, str(root), str(Path(folder, "store"))], check=True)
        seconds = time.perf_counter() - begun
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(
        f"{hours:g} h, {CHANNELS} channels at {rate} Hz, {size / 1e9:.1f} GB of BDF: "
        f"{seconds / 60:.1f} min, peak memory {peak / 1e9:.2f} GB"
    )


def reading(seconds: float = 5.0) -> None:
    """Random windows of 3.2 s of 64 channels at 100 Hz, one at a time and in batches of 64."""
    import mne
    import zarr
    from braindecode.datasets import BaseConcatDataset, RawDataset
    from braindecode.preprocessing import create_fixed_length_windows

    samples, length = 320, 100 * 3600
    rng = np.random.default_rng(0)
    eeg = rng.standard_normal((CHANNELS, length)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "eeg.npy"), eeg)
        mapped = np.asarray(np.load(Path(folder, "eeg.npy"), mmap_mode="r"))
        array = zarr.create_array(Path(folder, "eeg.zarr"), shape=eeg.shape, chunks=(CHANNELS, samples), dtype="f4")
        array[:] = eeg
        raw = mne.io.RawArray(eeg * 1e-6, mne.create_info(CHANNELS, 100.0, "eeg"), verbose="ERROR")
        raw.save(Path(folder, "eeg_raw.fif"), verbose="ERROR")
        lazy = mne.io.read_raw_fif(Path(folder, "eeg_raw.fif"), verbose="ERROR")
        options = {"window_size_samples": samples, "window_stride_samples": 32, "drop_last_window": True}

        def windows(recording: mne.io.BaseRaw, preload: bool) -> BaseConcatDataset:
            data = BaseConcatDataset([RawDataset(recording, {"subject": 1})])
            return create_fixed_length_windows(data, 0, None, preload=preload, verbose="ERROR", **options)

        braindecode, loaded = windows(lazy, False), windows(raw, True)
        ways: dict[str, Callable[[int], object]] = {
            "store (memory map)": lambda start: mapped[:, start : start + samples].copy(),
            "zarr, chunks of one window": lambda start: array[:, start : start + samples],
            "braindecode windows, in the file": lambda start: braindecode[start // 32],
            "braindecode windows, in memory": lambda start: loaded[start // 32],
        }
        rates = {}
        for name, way in ways.items():
            starts = rng.integers(0, (length - samples) // 32, 100_000) * 32
            begun, done = time.perf_counter(), 0
            while time.perf_counter() - begun < seconds:
                way(int(starts[done % len(starts)]))
                done += 1
            rates[name] = done / (time.perf_counter() - begun)
    table = Table(title=f"Random windows of {samples} samples x {CHANNELS} channels, one process")
    for column in ("", "windows/s", "store = 1"):
        table.add_column(column, justify="right")
    for name, rate in rates.items():
        table.add_row(name, f"{rate:.0f}", f"{rate / rates['store (memory map)']:.3f}")
    Console().print(table)
    print(json.dumps(rates))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parts = parser.add_subparsers(dest="part", required=True)
    part = parts.add_parser("throughput")
    part.add_argument("--minutes", type=float, default=10)
    part.add_argument("--rate", type=int, default=2048)
    part.add_argument("--recordings", type=int, default=4)
    part = parts.add_parser("memory")
    part.add_argument("--hours", type=float, default=2)
    part.add_argument("--rate", type=int, default=8192)
    part = parts.add_parser("reading")
    given = vars(parser.parse_args())
    {"throughput": throughput, "memory": memory, "reading": reading}[given.pop("part")](**given)
