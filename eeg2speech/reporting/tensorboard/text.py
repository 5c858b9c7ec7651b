"""The TensorBoard tab TEXT, in markdown: verdicts, tables and the environment of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eeg2speech.metrics.results import Results
from eeg2speech.metrics.summary import split_verdicts
from eeg2speech.reporting.tables import NOT_COMPARED, ResultTable, cell_text, result_tables

VERDICT, RESULTS, ENVIRONMENT = "1 verdict", "2 results", "3 environment"
"""Tags; TensorBoard shows them in alphabetical order."""
SIMULATED = "# SIMULATED EEG\n\nThe EEG is simulated: the results are not evidence about real brains.\n\n"
PACKAGES = ("eeg2speech", "torch", "lightning", "mne", "numpy", "timm", "diffusers", "transformers")
"""Packages whose versions are shown; ``environment.json`` lists all."""


def result_texts(results: Results) -> dict[str, str]:
    """Verdicts and tables of a test, as markdown by tag."""
    verdicts: list[str] = []
    for one in split_verdicts(results.compared):
        level = "###" if verdicts else "##"
        reasons = "\n".join(f"- {reason}" for reason in one.reasons)
        verdicts.append(f"{level} {one.title}: {one.words.upper()}\n\n{reasons}")
    tables = result_tables(results)
    verdict = "\n\n".join(verdicts) or f"**Not judged.** {NOT_COMPARED}"
    listed = "\n\n".join([tables.text, *map(_result_table, (*tables.main, *tables.probes))])
    above = SIMULATED if results.simulated else ""
    return {VERDICT: above + verdict, RESULTS: above + listed}


def environment_text(described: Mapping[str, Any], command: Sequence[str]) -> str:
    """The environment of a run, as markdown.

    Args:
        described: Content of ``environment.json``.
        command: Words of the command line; empty if a program started the run.
    """
    data, hardware, devices = described["data"] or {}, described["hardware"], described["devices"]
    git, packages = described["git"], described["packages"]
    changed = " with uncommitted changes" if git is not None and git["changed"] else ""
    revision = "" if git is None else f", git {git['revision'][:12]}{changed}"
    gpus = ", ".join(gpu["name"] for gpu in hardware["gpus"]) or "no GPU"
    rows = [
        ("command", f"`{' '.join(command)}`" if command else "started by a program"),
        ("data", str(data.get("name", "unknown")) + (", **simulated EEG**" if data.get("simulated") else "")),
        ("store", f"`{data.get('root', '')}`"),
        ("fingerprint of the store", f"`{data.get('fingerprint', '')}`"),
        ("seeds", ", ".join(f"{name} {value}" for name, value in described["seed"].items() if value is not None)),
        ("version", f"eeg2speech {described['eeg2speech']}{revision}, Python {described['python']}"),
        ("packages", ", ".join(f"{name} {packages[name]}" for name in PACKAGES if name in packages)),
        ("machine", f"{hardware['host']}: {hardware['processor']}, {hardware['cores']} cores, {gpus}"),
        ("devices", ", ".join(str(devices[name]) for name in ("world_size", "accelerator", "strategy", "precision"))),
        ("resumed from", f"`{described['resumed_from']}`" if described["resumed_from"] else "nothing"),
    ]  # fmt: skip
    return (SIMULATED if data.get("simulated") else "") + _table(("", "of this start of the run"), rows)


def _result_table(table: ResultTable) -> str:
    rows = [(f"**{row.name}**" if row.own else row.name, *map(cell_text, row.cells)) for row in table.rows]
    note = f"\n\n{table.note}" if table.note else ""
    return f"### {table.title}\n\n{_table(table.columns, rows)}{note}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
