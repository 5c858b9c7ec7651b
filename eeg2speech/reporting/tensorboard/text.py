"""What TensorBoard's tab TEXT says of a run, in markdown: the verdict, figures, and what the run depends on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eeg2speech.checkpoints.training_record import UNJUDGED, seen_text, verdict_words
from eeg2speech.reporting.console.alignment_tables import COLUMNS
from eeg2speech.reporting.tensorboard.settings import judged_list

VERDICT, RESULTS, ENVIRONMENT = "1 verdict", "2 results", "3 environment"
"""Tags, which TensorBoard shows in the order of the alphabet."""
SIMULATED = "# SIMULATED EEG\n\nThese data are simulated: nothing here says anything about brains.\n\n"
SHOWN = ("eeg2speech", "torch", "lightning", "mne", "numpy", "timm", "diffusers", "transformers")
"""Packages whose versions are told; ``environment.json`` has all."""


def result_texts(results: Mapping[str, Any], metrics: Mapping[str, float], simulated: bool) -> dict[str, str]:
    """The verdict and the figures of a test.

    Args:
        results: What the task's test found, by section, as in ``test.json``.
        metrics: What Lightning averaged over test lists, by tag.
        simulated: The EEG is.

    Returns:
        Markdown by tag.
    """
    verdicts, tables = [], []
    if (found := results.get("alignment")) and found.get("verdict"):
        verdicts.append(_verdict(found, "aligned", "aligned", "not aligned"))
        tables += [_alignment(split, listed) for split, listed in found["lists"].items()]
    if (found := results.get("diffusion")) and found.get("verdict"):
        words = ("EEG carries speech information", "no speech information from EEG")
        verdicts.append(_verdict(found, "informed", *words))
        tables += [_speech(split, listed) for split, listed in found["lists"].items()]
    if found := results.get("reconstruction"):
        verdicts.append(_reconstruction_verdict(found["lists"], seen_text(results, judged_list(found["lists"]))))
        tables.append(_reconstruction(found["lists"]))
    if not tables:
        tables.append(_table(("", "value"), ([tag, _number(value)] for tag, value in sorted(metrics.items()))))
        verdicts.append("**Not judged**: the test compared the model with nothing.")
    above = SIMULATED if simulated else ""
    return {VERDICT: above + "\n\n".join(verdicts), RESULTS: above + "\n\n".join(tables)}


def environment_text(described: Mapping[str, Any], command: Sequence[str]) -> str:
    """What a run depends on.

    Args:
        described: As in ``environment.json``.
        command: Words of the command line, as typed; none if a program started the run.
    """
    data, hardware, devices = described["data"] or {}, described["hardware"], described["devices"]
    git, packages = described["git"], described["packages"]
    revision = "" if git is None else f", git {git['revision'][:12]}" + (", changed since" if git["changed"] else "")
    gpus = ", ".join(gpu["name"] for gpu in hardware["gpus"]) or "no GPU"
    rows = [
        ("command", f"`{' '.join(command)}`" if command else "started by a program"),
        ("data", str(data.get("name", "unknown")) + (", **simulated EEG**" if data.get("simulated") else "")),
        ("store", f"`{data.get('root', '')}`"),
        ("fingerprint of the store", f"`{data.get('fingerprint', '')}`"),
        ("seeds", ", ".join(f"{name} {value}" for name, value in described["seed"].items() if value is not None)),
        ("version", f"eeg2speech {described['eeg2speech']}{revision}, Python {described['python']}"),
        ("packages", ", ".join(f"{name} {packages[name]}" for name in SHOWN if name in packages)),
        ("machine", f"{hardware['host']}: {hardware['processor']}, {hardware['cores']} cores, {gpus}"),
        ("devices", ", ".join(str(devices[name]) for name in ("world_size", "accelerator", "strategy", "precision"))),
        ("resumed from", f"`{described['resumed_from']}`" if described["resumed_from"] else "nothing"),
    ]  # fmt: skip
    return (SIMULATED if data.get("simulated") else "") + _table(("", "of this start of the run"), rows)


def _verdict(found: Mapping[str, Any], key: str, good: str, bad: str) -> str:
    """Of all lists, the one that counts first."""
    first = found["verdict"]["list"]
    lines = []
    for split in sorted(found["lists"], key=lambda name: name != first):
        verdict = found["lists"][split]["verdict"]
        words = verdict_words(verdict, good, bad, key)
        level = "##" if split == first else "###"
        lines.append(f"{level} {_title(split)}: {words.upper()}\n\np = {verdict['p']:.2g}\n")
        lines.append("\n".join(f"- {reason}" for reason in verdict["reasons"]))
    return "\n\n".join(lines)


def _reconstruction_verdict(lists: Mapping[str, Any], seen: str) -> str:
    """The model beside the best of the others, on the list that counts, and what of that list was trained on."""
    split = judged_list(lists)
    own, others = lists[split]["MAEEG"], {name: row for name, row in lists[split].items() if name != "MAEEG"}
    name, best = min(others.items(), key=lambda item: item[1]["nmse"])
    if seen:
        words = UNJUDGED
    elif own["high"] < best["low"]:
        words = "better than every other method"
    elif own["low"] > best["high"]:
        words = f"not as good as {name}"
    else:
        words = f"within the intervals of {name}"
    return (
        f"## {_title(split)}: {words.upper()}\n\n"
        f"- NMSE on hidden patches {_interval(own, 'nmse')}; best of the others, {name}: {_interval(best, 'nmse')}"
        + (f"\n- the list is not unseen: {seen}" if seen else "")
    )


def _reconstruction(lists: Mapping[str, Any]) -> str:
    rows = [
        [_bold(name, name == "MAEEG"), *(_interval(found[name], "nmse") for found in lists.values())]
        for name in next(iter(lists.values()))
    ]
    title = "### NMSE on hidden patches: 1 is predicting the mean\n\n95 % intervals over stimuli in brackets\n\n"
    return title + _table(("", *map(_title, lists)), rows)


def _alignment(split: str, found: Mapping[str, Any]) -> str:
    figures = found["figures"]
    rows = [
        [_bold(name, name == "model"), *(_interval(row.get(column)) for column in COLUMNS)]
        for name, row in figures.items()
    ]
    at = list(COLUMNS).index("mrr")
    for name, figure in found["controls, mrr"].items():
        rows.append([name, *("" for _ in range(at)), _interval(figure), *("" for _ in range(len(COLUMNS) - at - 1))])
    null = {name: _number(of["percentile_99"]) for name, of in found["permutations"].items()}
    rows.append(["99 % of permutations below", *(null.get(column, "") for column in COLUMNS)])
    rows.append(["chance", *(_number(figures["model"].get(column, {}).get("chance")) for column in COLUMNS)])
    return f"{_heading(split, found)}{_table(('', *COLUMNS.values()), rows)}"


def _speech(split: str, found: Mapping[str, Any]) -> str:
    arms = found["identification"]
    ways = list(arms["eeg"])
    rows = [
        [_bold(name, name == "eeg"), *(_interval(points.get(way)) for way in ways)] for name, points in arms.items()
    ]
    rows.append(["99 % of permutations below", *(_number(arms["eeg"][way].get("percentile_99")) for way in ways)])
    rows.append(["chance", *(_number(1 / int(way)) for way in ways)])
    return f"{_heading(split, found)}{_table(('own sound found', *(f'one of {way}' for way in ways)), rows)}"


def _heading(split: str, found: Mapping[str, Any]) -> str:
    about = f"{found['windows']} windows, {found['gallery']} sounds; 95 % intervals over stimuli in brackets"
    return f"### {_title(split)}\n\n{about}\n\n"


def _title(split: str) -> str:
    return split.replace("_", " ")


def _bold(text: str, bold: bool) -> str:
    return f"**{text}**" if bold else text


def _interval(figure: Mapping[str, float] | None, key: str = "value") -> str:
    if figure is None or not math.isfinite(figure[key]):
        return ""
    return f"{_number(figure[key])} [{_number(figure['low'])}, {_number(figure['high'])}]"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
