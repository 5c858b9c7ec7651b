"""What a run is built on: code, packages and machine, and the licences of its data and weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from eeg2speech.reporting.html.facts import DataOrigin
from eeg2speech.reporting.html.run import RunFiles, section
from eeg2speech.reporting.html.views import Section
from eeg2speech.reporting.tables import ResultRow, ResultTable

PACKAGES = ("torch", "lightning", "numpy", "scipy", "mne", "diffusers", "transformers", "timm", "torchmetrics")
"""Packages whose versions are on the page; ``environment.json`` lists all."""
UNKNOWN = "unknown; ask the source before you use or share"
WEIGHTS = ("encoder_weights", "audio_weights", "components", "aligner")
"""Settings of the model that name weights of other origin."""
HUB = {
    "cvssp/audioldm2": ("CC BY-NC-SA 4.0, by its model card: not for commercial use", "Liu et al. 2024, AudioLDM 2"),
    "cvssp/audioldm2-large": ("CC BY-NC-SA 4.0, by its model card: not for commercial use", "Liu et al. 2024"),
    "anhnct/audioldm2_gigaspeech": ("CreativeML OpenRAIL-M, by its model card", "Liu et al. 2024, AudioLDM 2"),
    "gaunernst/vit_base_patch16_1024_128.audiomae_as2m": (
        UNKNOWN,
        "Huang et al. 2022, Masked autoencoders that listen",
    ),
}
"""Licence and citation of published weights, as their pages stated them in 2024."""
METHODS = {
    "MAEEGTask": (
        "He et al. 2021, Masked autoencoders are scalable vision learners, arXiv 2111.06377",
        "Chien et al. 2022, MAEEG, arXiv 2211.02625",
    ),
    "AudioMAETask": ("Huang et al. 2022, Masked autoencoders that listen, NeurIPS",),
    "AlignmentTask": ("van den Oord et al. 2018, Contrastive predictive coding (InfoNCE), arXiv 1807.03748",),
    "DiffusionTask": ("Liu et al. 2024, AudioLDM 2, IEEE/ACM TASLP 32, 2871-2883",),
}
SOFTWARE = "MNE-Python: Gramfort et al. 2013, Frontiers in Neuroscience 7, 267"


class Credit(NamedTuple):
    """Data, weights or software of other authors.

    Attributes:
        what: Its name.
        licence: Terms of use.
        cite: What to cite.
    """

    what: str
    licence: str
    cite: str


def environment_section(run: RunFiles) -> Section:
    """Tables of every environment that the run was started in."""
    if not run.environments:
        version = "" if run.test is None else f" It was tested with eeg2speech {run.test.eeg2speech}."
        return Section(
            "Environment",
            "Not recorded: the run has no environment.json, which eeg2speech.training.WriteEnvironment writes at the "
            f"start of every fit.{version}",
        )
    return Section("Environment", tables=[_environment(*item) for item in run.environments.items()], folded=True)


def credits_section(run: RunFiles, task: str, origin: DataOrigin) -> Section:
    """Citations and licences of the data, the weights, the software and the methods of a run.

    Args:
        run: The run.
        task: Class name of its task.
        origin: Its data.
    """
    rows = [
        ResultRow(credit.what, (credit.licence, credit.cite))
        for credit in (*_data(origin), *_weights(run), Credit("eeg2speech", "Apache-2.0", "this software"))
    ]
    methods = "; ".join((*METHODS.get(task, ()), SOFTWARE))
    table = ResultTable("Data, weights and software", ("Component", "Licence", "Citation"), rows)
    return Section("Citations and licences", f"Methods: {methods}.", (table,))


def _environment(name: str, content: dict[str, Any]) -> ResultTable:
    hardware, devices, packages = (section(content, key) for key in ("hardware", "devices", "packages"))
    gpus = [str(gpu.get("name")) for gpu in hardware.get("gpus") or [] if isinstance(gpu, dict)]
    memory = hardware.get("memory")
    versions = ", ".join(f"{key} {packages[key]}" for key in PACKAGES if key in packages)
    facts = {
        "eeg2speech": content.get("eeg2speech"),
        "Commit": _commit(content.get("git")),
        "Python": content.get("python"),
        "System": hardware.get("system"),
        "Processor": f"{hardware.get('processor')}, {hardware.get('cores')} cores, {hardware.get('threads')} threads",
        "Memory": f"{memory / 2**30:.0f} GiB" if isinstance(memory, int) else None,
        "GPUs": ", ".join(gpus) or "none",
        "Devices": f"{devices.get('world_size')} on {devices.get('nodes')} nodes, {devices.get('strategy')}, "
        f"precision {devices.get('precision')}",
        "Seeds": ", ".join(f"{key} {value}" for key, value in section(content, "seed").items()),
        "Resumed from": content.get("resumed_from"),
        "Packages": f"{versions}; {len(packages)} in all, listed in {name}",
    }
    rows = [ResultRow(key, (str(value),)) for key, value in facts.items() if value]
    return ResultTable(name, ("Property", "Value"), rows)


def _commit(git: Mapping[str, Any] | None) -> str:
    if not isinstance(git, dict):
        return "unknown"
    return f"{git.get('revision')}{', with uncommitted changes' if git.get('changed') else ''}"


def _data(origin: DataOrigin) -> Iterable[Credit]:
    about = origin.description
    if about is None:
        yield Credit(f"Data: {origin.name}", UNKNOWN, f"see dataset.json of the store ({origin.store}), not found here")
        return
    source = f"{about.citation} ({about.source})" if about.source else about.citation
    yield Credit(f"Data: {about.name}", about.license or UNKNOWN, source)
    if origin.embedded:
        yield Credit("Embedded speech", "Apache-2.0", "synthesised with hibari-tts")


def _weights(run: RunFiles) -> Iterable[Credit]:
    settings = run.settings
    named = {f"model.init_args.{key}": settings.get(key) for key in WEIGHTS}
    named["model.init_args.audio.init_args.weights"] = section(section(settings, "audio"), "init_args").get("weights")
    for key, value in named.items():
        if isinstance(value, str) and value:
            yield Credit(f"Weights: {value} ({key})", *_terms(value))


def _terms(weights: str) -> tuple[str, str]:
    """Licence and citation of weights."""
    if weights == "tiny":
        return "Apache-2.0", "made by eeg2speech from the training part of the embedded speech"
    if weights.startswith("hf_hub:"):
        return HUB.get(weights.removeprefix("hf_hub:"), (UNKNOWN, "see its model card"))
    return "see the licence of the training data", "a file or run of your own; see the report of that run"
