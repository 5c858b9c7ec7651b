"""Writes EDF+ and BDF files record by record, with the times of the records as they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MOST = 500.0  # microvolts


def write_edf(
    file: Path,
    microvolts: NDArray[np.float64],
    rate: int,
    names: Sequence[str],
    kind: str = "EDF+D",
    times: Sequence[str] | None = None,
    notes: Sequence[tuple[float, float, str]] = (),
    status: NDArray[np.int64] | None = None,
    seconds: float = 1.0,
) -> Path:
    """Write a recording.

    Args:
        file: To write; ``.bdf`` has samples of 24 bits.
        microvolts: Signal, (channels, samples).
        rate: Samples per second.
        names: Of the channels.
        kind: What the header says of the file.
        times: Onset of each record as it is written; None for a file without annotations.
        notes: Annotations: onset, duration and text; all in the first record.
        status: BioSemi's status channel, (samples,).
        seconds: Length of a record.
    """
    wide = 3 if file.suffix == ".bdf" else 2
    per, room, top = round(rate * seconds), 400, 2 ** (8 * wide - 1) - 1
    records = microvolts.shape[1] // per
    labels = [*names, *["Status"] * (status is not None), *["EDF Annotations"] * (times is not None)]
    counts = [per] * (len(labels) - (times is not None)) + [room] * (times is not None)

    def column(values: Sequence[object], width: int) -> bytes:
        return b"".join(str(value).encode("ascii").ljust(width) for value in values)

    own = len(names)
    head = b"\xffBIOSEMI" if wide == 3 else b"0".ljust(8)
    head += column(["X X X X", "Startdate 01-JAN-2025 X X X"], 80) + column(["01.01.25", "10.00.00"], 8)
    head += column([256 * (len(labels) + 1)], 8) + column([kind], 44) + column([records, f"{seconds:.6g}"], 8)
    head += column([len(labels)], 4) + column(labels, 16) + column([""] * len(labels), 80)
    head += column(["uV"] * own + [""] * (len(labels) - own), 8)
    for sign, digital in ((-1, -top - 1), (1, top)):
        head += column([sign * MOST] * own + [digital] * (len(labels) - own), 8)
    head += column([-top - 1] * len(labels), 8) + column([top] * len(labels), 8)
    head += column([""] * len(labels), 80) + column(counts, 8) + column([""] * len(labels), 32)

    def packed(values: NDArray[np.int64]) -> bytes:
        return values.astype("<i4").view("u1").reshape(-1, 4)[:, :wide].tobytes()

    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        stream.write(head)
        for record in range(records):
            part = slice(record * per, (record + 1) * per)
            for row in microvolts[:, part]:
                stream.write(packed(np.clip(np.round(row / MOST * top), -top, top).astype(np.int64)))
            if status is not None:
                stream.write(packed(status[part]))
            if times is not None:
                text = f"+{times[record]}\x14\x14\0" if times[record] else ""
                text += "".join(f"+{on:g}\x15{long:g}\x14{what}\x14\0" for on, long, what in notes if record == 0)
                stream.write(text.encode("latin-1").ljust(room * wide, b"\0"))
    return file
