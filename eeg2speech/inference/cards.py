"""Model cards: what a model learned from, what its test found, and what it cannot do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from eeg2speech.checkpoints.training_record import seen_text, verdict_words
from eeg2speech.core.files import float_or_nan

SIMULATED = "**Simulated EEG.** Nobody was recorded: what this model finds says nothing about brains."
KINDS = {
    "speech": ("speech from EEG", "Speaks from EEG: AudioLDM 2 with EEG in the place of text.", "load_generator"),
    "aligner": ("alignment of EEG and speech", "Embeds windows of EEG and of sound in one space.", "load_aligner"),
    "encoder": ("masked autoencoder", "Represents windows; it learned by filling in what was hidden.", "load_encoder"),
}
UNKNOWN = "not recorded; ask its source before you use or share"
LIMITS = (
    "It was tested on the lists named above and on nothing else; other people, devices and tasks are other questions.",
    "A person who was not trained on is read with the mean of the subject layers, where it has any.",
    "It reads no thoughts. Neural data are personal: record, use and share them only with consent.",
    "It is no medical device.",
)


class Found(NamedTuple):
    """One figure of a test.

    Attributes:
        split: Test list.
        measure: What was measured.
        value: With its interval at ``low`` and ``high``.
        low: See ``value``.
        high: See ``value``.
        chance: What knowing nothing gives; None where that is not known.
        verdict: In words.
        reasons: Of the verdict.
    """

    split: str
    measure: str
    value: float
    low: float
    high: float
    chance: float | None
    verdict: str
    reasons: str


def write_card(
    parts: Mapping[str, tuple[Mapping[str, Any], int]],
    data: Mapping[str, Any],
    provenance: Mapping[str, Any],
    results: Mapping[str, Any],
    license: str | None = None,
    repo_id: str | None = None,
) -> ModelCard:
    """Write the card of a model.

    Args:
        parts: Description and number of weights by name, the split that has the others inside it last.
        data: What its checkpoint remembers of the data.
        provenance: Where its weights come from.
        results: Content of the run's ``test.json``; may be empty.
        license: Of the weights, an identifier of the hub; None for what follows from the data.
        repo_id: For the lines that load it.
    """
    kind = list(parts)[-1]
    title, purpose, loader = KINDS.get(kind, (kind, "", "load"))
    name = str(data.get("name", "unknown data"))
    simulated = bool(data.get("simulated"))
    found = figures(results)
    judged = [_eval_result(kind, name, simulated, one) for one in found if math.isfinite(one.value)]
    components = parts[kind][0].get("config", {}).get("components")
    card = ModelCardData(
        library_name="eeg2speech",
        tags=["eeg", "speech", "brain-computer-interface", kind, *(["simulated-eeg"] if simulated else [])],
        model_name=f"eeg2speech {title}" if judged else None,
        eval_results=judged or None,
        **_license(license, data, components),
    )
    sections = [
        f"# eeg2speech: {title}, trained on {name}",
        f"> {SIMULATED}" if simulated else "",
        purpose,
        f"## Data\n\n{_data(data)}",
        f"## What its test found\n\n{_table(found)}",
        f"## Limits\n\n{_limits(data, components)}",
        f"## Use\n\n```python\nimport eeg2speech\n\nmodel = eeg2speech.{loader}({repo_id or 'FOLDER'!r})\n```",
        f"## Made of\n\n{_made_of(parts, provenance)}",
    ]
    return ModelCard(f"---\n{card.to_yaml()}\n---\n\n" + "\n\n".join(filter(None, sections)) + "\n")


def figures(results: Mapping[str, Any]) -> list[Found]:
    """The figures that decide, one for each test list, of a ``test.json`` of any stage."""
    found = []
    for split, test in results.get("alignment", {}).get("lists", {}).items():
        verdict, mrr = test.get("verdict", {}), test["figures"]["model"]["mrr"]
        words = verdict_words(verdict, "aligned", "not aligned") if verdict else "not aligned"
        found.append(_found(split, "MRR", mrr, words, verdict.get("reasons", [])))
    spoken = results.get("diffusion", {}).get("verdict")
    if spoken:
        measure = f"{spoken['way']}-way identification"
        found.append(_found(spoken["list"], measure, spoken["figure"], spoken["in words"], spoken.get("reasons", [])))
    for split, methods in results.get("reconstruction", {}).get("lists", {}).items():
        own = methods.get("MAEEG")
        if own is not None:
            seen = seen_text(results, split)
            others = {n: row["nmse"] for n, row in methods.items() if n != "MAEEG" and row["nmse"] is not None}
            best = min(others, key=lambda name: others[name], default=None)
            next_to = [] if best is None else [f"the best of the other methods, {best}, has {others[best]:.3f}"]
            next_to += [f"the list is not unseen: {seen}"] if seen else []
            measure = "NMSE on hidden patches (less is better)"
            found.append(_found(split, measure, {**own, "value": own["nmse"], "chance": 1.0}, "not judged", next_to))
    return sorted(found)


def _found(split: str, measure: str, found: Mapping[str, Any], verdict: str, reasons: list[str]) -> Found:
    value, chance = float_or_nan(found["value"]), found.get("chance")
    low, high = float_or_nan(found.get("low", value)), float_or_nan(found.get("high", value))
    return Found(
        split, measure, value, low, high, None if chance is None else float(chance), verdict, "; ".join(reasons)
    )


def _eval_result(kind: str, name: str, simulated: bool, found: Found) -> EvalResult:
    return EvalResult(
        task_type=kind,
        dataset_type=name.lower().replace(" ", "-"),
        dataset_name=f"{name}{', simulated EEG' if simulated else ''}, {found.split}",
        metric_type=found.measure.partition(" (")[0].lower().replace(" ", "_"),
        metric_name=f"{found.measure}, 95 % interval {found.low:.3f} to {found.high:.3f}; {found.verdict}",
        metric_value=round(found.value, 4),
    )


def _license(given: str | None, data: Mapping[str, Any], components: str | None) -> dict[str, Any]:
    """What the hub is told; weights that learned from somebody's recordings are under no licence of this project."""
    if given is not None:
        return {"license": given}
    embedded = data.get("learned_from", {}).get("simulation") is not None
    if embedded and components in (None, "tiny"):
        return {"license": "apache-2.0"}
    return {"license": "other", "license_name": "see-data-and-components"}


def _data(data: Mapping[str, Any]) -> str:
    embedded = data.get("learned_from", {}).get("simulation") is not None
    licence = data.get("license") or ("Apache-2.0" if embedded else UNKNOWN)
    settings, band = data.get("preprocessing", {}), data.get("preprocessing", {}).get("band", (None, None))
    electrodes = sorted({len(montage["names"]) for montage in data.get("montages", [])})
    lines = {
        "Dataset": f"{data.get('name', 'unknown')}{' (simulated EEG)' if data.get('simulated') else ''}",
        "Licence of the data": licence,
        "Source": data.get("source"),
        "Cite": data.get("citation"),
        "Subjects": len(data.get("subjects", [])) or None,
        "Electrodes": ", ".join(map(str, electrodes)) or None,
        "EEG": f"{settings.get('rate', '?')} Hz, {band[0]} to {band[1]} Hz, reference {settings.get('reference', '?')}",
        "Windows": f"{data.get('window', '?')} s, EEG read {data.get('lag', 0)} s after its sound",
    }
    return "\n".join(f"- {what}: {value}" for what, value in lines.items() if value is not None and value != "")


def _table(found: list[Found]) -> str:
    if not found:
        return "No results were found with the weights: nothing is known of how well it does."
    rows = ["| Held out | Measure | Value [95 % interval] | Chance | Verdict |", "|---|---|---|---|---|"]
    for one in found:
        chance = "" if one.chance is None else f"{one.chance:.3f}"
        value = f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]" if math.isfinite(one.value) else "none"
        rows.append(f"| {one.split} | {one.measure} | {value} | {chance} | {one.verdict}: {one.reasons} |")
    return "\n".join([*rows, "", "From `test.json` of the run that the weights come from."])


def _limits(data: Mapping[str, Any], components: str | None) -> str:
    limits = list(LIMITS)
    if data.get("simulated"):
        limits.insert(0, SIMULATED)
    if components is not None:
        limits.append("How good its speech sounds proves nothing; a generator speaks well of nothing at all.")
        limits.append(f"It needs the components {components!r} of AudioLDM 2, whose own licence applies.")
    return "\n".join(f"- {limit}" for limit in limits)


def _made_of(parts: Mapping[str, tuple[Mapping[str, Any], int]], provenance: Mapping[str, Any]) -> str:
    lines = [
        f"- `{name}.safetensors`: {described.get('class')}, {count} tensors"
        for name, (described, count) in parts.items()
    ]
    kept = {key: value for key, value in provenance.items() if key in ("checkpoint", "global_step", "eeg2speech")}
    return "\n".join([*lines, *(f"- {key.replace('_', ' ')}: {value}" for key, value in kept.items())])
