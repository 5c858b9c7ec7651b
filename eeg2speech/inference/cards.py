"""Model cards: training data, test results and limits of a model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from eeg2speech.metrics.results import Results
from eeg2speech.metrics.summary import SplitVerdict, number, split_verdicts, with_interval

SIMULATED = "**Simulated EEG.** No person was recorded: the results of this model are not evidence about real brains."
KINDS = {
    "speech": ("speech from EEG", "Generates speech with AudioLDM 2, conditioned on EEG instead of text.",
               "load_generator"),
    "aligner": ("alignment of EEG and speech", "Embeds windows of EEG and of sound in one space.", "load_aligner"),
    "encoder": ("masked autoencoder", "Embeds windows; trained to reconstruct hidden patches.", "load_encoder"),
}  # fmt: skip
"""Title, purpose and loading function by part."""
UNKNOWN = "not recorded; ask the source before you use or share"
LIMITS = (
    "It was tested only on the splits named above: performance on other people, devices and tasks is unknown.",
    "For EEG of an unseen subject, the mean of the subject layers is used, if the model has subject layers.",
    "It does not read thoughts. Neural data are personal: record, use and share them only with consent.",
    "It is not a medical device.",
)


def write_card(
    parts: Mapping[str, tuple[Mapping[str, Any], int]],
    data: Mapping[str, Any],
    provenance: Mapping[str, Any],
    results: Results | None,
    license: str | None = None,
    repo_id: str | None = None,
) -> ModelCard:
    """Write the card of a model.

    Args:
        parts: Description and number of weights by name, the part that contains the others last.
        data: Description of the training data in its checkpoint.
        provenance: Origin of its weights.
        results: Of the test of its run; None without a test.
        license: Of the weights, an identifier of the hub; None for the one that follows from the data.
        repo_id: Repository in the lines of code that load the model.
    """
    kind = list(parts)[-1]
    title, purpose, loader = KINDS.get(kind, (kind, "", "load"))
    name = str(data.get("name", "unknown data"))
    simulated = bool(data.get("simulated"))
    verdicts = [] if results is None else split_verdicts(results.compared)
    judged = [_eval_result(kind, name, simulated, one) for one in verdicts if math.isfinite(one.estimate.value)]
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
        f"## Test results\n\n{_table(verdicts)}",
        f"## Limits\n\n{_limits(data, components)}",
        f"## Use\n\n```python\nimport eeg2speech\n\nmodel = eeg2speech.{loader}({repo_id or 'FOLDER'!r})\n```",
        f"## Files\n\n{_files(parts, provenance)}",
    ]
    return ModelCard(f"---\n{card.to_yaml()}\n---\n\n" + "\n\n".join(filter(None, sections)) + "\n")


def _eval_result(kind: str, name: str, simulated: bool, verdict: SplitVerdict) -> EvalResult:
    own = verdict.estimate
    return EvalResult(
        task_type=kind,
        dataset_type=name.lower().replace(" ", "-"),
        dataset_name=f"{name}{', simulated EEG' if simulated else ''}, {verdict.title}",
        dataset_split=verdict.split,  # results of equal type and split would be merged under the first name
        metric_type=verdict.measure.lower().replace(" ", "_"),
        metric_name=f"{verdict.measure}, 95 % interval {number(own.low)} to {number(own.high)}; {verdict.words}",
        metric_value=round(own.value, 4),
    )


def _license(given: str | None, data: Mapping[str, Any], components: str | None) -> dict[str, Any]:
    """Licence in the metadata; that of weights trained on recordings depends on the recordings."""
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
        "Windows": f"{data.get('window', '?')} s, EEG delayed by {data.get('lag', 0)} s relative to its sound",
    }
    return "\n".join(f"- {what}: {value}" for what, value in lines.items() if value is not None and value != "")


def _table(verdicts: Sequence[SplitVerdict]) -> str:
    if not verdicts:
        return "No results were found with the weights: the performance of this model is not known."
    rows = ["| Held out | Measure | Value [95 % interval] | Chance | Verdict |", "|---|---|---|---|---|"]
    for one in verdicts:
        chance = number(one.estimate.chance)
        chance += "" if one.chance_name == "chance" else f" ({one.chance_name})"
        words = f"{one.words}: {'; '.join(one.reasons)}".replace("|", "\\|")
        rows.append(f"| {one.title} | {one.label} | {with_interval(one.estimate)} | {chance} | {words} |")
    return "\n".join([*rows, "", "From `test.json` of the run that the weights come from."])


def _limits(data: Mapping[str, Any], components: str | None) -> str:
    limits = list(LIMITS)
    if data.get("simulated"):
        limits.insert(0, SIMULATED)
    if components is not None:
        limits.append("Speech quality is not evidence: speech from noise instead of EEG sounds equally natural.")
        limits.append(f"It needs the components {components!r} of AudioLDM 2, whose own licence applies.")
    return "\n".join(f"- {limit}" for limit in limits)


def _files(parts: Mapping[str, tuple[Mapping[str, Any], int]], provenance: Mapping[str, Any]) -> str:
    lines = [
        f"- `{name}.safetensors`: {described.get('class')}, {count} tensors"
        for name, (described, count) in parts.items()
    ]
    kept = {key: value for key, value in provenance.items() if key in ("checkpoint", "global_step", "eeg2speech")}
    return "\n".join([*lines, *(f"- {key.replace('_', ' ')}: {value}" for key, value in kept.items())])
