"""The results of a test: one versioned, typed schema, which is the content of ``test.json``.

Evaluations return these classes, ``WriteResults`` writes them, and console, TensorBoard, report, model card and sweep
read them. A field has the name of its key in the file. Names that are data (splits, decoders, controls, variants,
methods, measures) are keys of maps, in snake_case. A number that is not finite is null in the file and NaN here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from eeg2speech.checkpoints.training_record import UNJUDGED, Learned, Overlap
from eeg2speech.core.decoding import FieldError, decode
from eeg2speech.core.errors import DataError
from eeg2speech.core.files import to_jsonable, written_beside
from eeg2speech.metrics.frechet import Frechet
from eeg2speech.metrics.identification import Memorisation
from eeg2speech.metrics.intervals import Estimate
from eeg2speech.metrics.null import Null
from eeg2speech.metrics.retrieval import Direction
from eeg2speech.metrics.verdict import SpeechVerdict, Verdict

VERSION = 1
"""Of the schema. It rises when a key is removed, renamed or changes its meaning; a new optional key leaves it."""
RESULTS_FILE, UNTRAINED_FILE = "test.json", "test.untrained.json"
"""Files in a run's folder: results of a test, and those of a model that was not trained."""
JUDGED_SPLIT = "unseen_stimulus"
"""Split that the verdict of a run rests on where there is one: new stimuli, of subjects that were trained on."""
MODEL = "model"
"""Id of the trained model among decoders and reconstruction methods."""
VARIANTS = ("truth", "round_trip", "loa", "eeg", "noise", "another_trial", "unconditional")
"""Ids of the variants of a clip: the recording; the recording through autoencoder and vocoder; speech generated from
the recording's own LOA, which is the upper limit for EEG; speech from EEG; from noise instead of EEG; from EEG of
another trial of the same subject; and without a condition."""


Name = TypeVar("Name", bound=str)


@dataclass(frozen=True)
class NullSummary:
    """A statistic and its distribution when sounds are shuffled within groups.

    Attributes:
        observed: Statistic with the true pairing.
        mean: Mean of the permutations.
        low: 2.5th percentile of the permutations.
        high: 97.5th percentile of the permutations.
        percentile_99: 99th percentile of the permutations, which a verdict in favour has to exceed.
        p: One-sided p-value.
        z: Distance of ``observed`` from ``mean`` in standard deviations of the permutations.
        permutations: Number of permutations.
        windows: Windows in a group with two different sounds or more; the others keep their sound.
    """

    observed: float
    mean: float
    low: float
    high: float
    percentile_99: float
    p: float
    z: float
    permutations: int
    windows: int

    @classmethod
    def of(cls, null: Null) -> NullSummary:
        """Summarise a permutation null."""
        low, high = null.band
        mean = float(null.draws.mean())
        return cls(null.observed, mean, low, high, null.threshold, null.p, null.z, len(null.draws), null.windows)


@dataclass(frozen=True)
class GalleryResult:
    """The share of windows or clips whose matching sound is identified in galleries of one size.

    Attributes:
        gallery: Number of sounds to choose from, the right one included.
        estimate: Expected share over all galleries of that size, with chance and 95 % interval over stimuli.
        null: The same with sounds shuffled within groups.
    """

    gallery: int
    estimate: Estimate
    null: NullSummary


# Stage 1


@dataclass(frozen=True)
class ReconstructionVerdict:
    """Whether the model reconstructs hidden patches better than every baseline, by their 95 % intervals.

    Attributes:
        better: True: the model's interval lies below that of the best baseline; False: above it; None: they overlap,
            or no baseline was run.
        best_baseline: Baseline with the smallest NMSE; None where none has one.
        seen: What of the split was trained on, in words: then there is no verdict. Empty where nothing was.
    """

    better: bool | None
    best_baseline: str | None
    seen: str = ""

    @property
    def outcome(self) -> bool | None:
        """True in favour of the model, False against it, None where nothing is judged."""
        return None if self.seen else self.better

    @property
    def words(self) -> str:
        """The verdict in words."""
        if self.seen:
            return UNJUDGED
        if self.best_baseline is None:
            return "not compared"
        name = in_words(self.best_baseline)
        if self.better is None:
            return f"not distinguishable from {name}"
        return f"better than every baseline ({name} is next)" if self.better else f"worse than {name}"

    @property
    def reasons(self) -> list[str]:
        """Why there is no verdict, if so."""
        return [f"the split is not unseen: {self.seen}"] if self.seen else []


@dataclass(frozen=True)
class ReconstructionSplit:
    """Reconstruction errors on one test split.

    Attributes:
        windows: Number of windows.
        nmse: Normalised mean squared error on hidden patches by method: ``model``, ``mean``, ``nearest``,
            ``interpolation``, ``spline``, ``ridge``, ``kriging``. Lower is better; ``chance`` is 1, the error of
            predicting the training mean. Intervals are over stimuli.
        verdict: The model compared with the best baseline.
    """

    windows: int
    nmse: dict[str, Estimate]
    verdict: ReconstructionVerdict


@dataclass(frozen=True)
class ReconstructionResult:
    """Reconstruction of hidden patches by the model and by baselines on the same masks.

    Attributes:
        judged: Split that the verdict of the run rests on.
        measure: What is measured, in words.
        masking: Settings of the masks: ``ratio``, ``kind``, ``start``, ``ramp``.
        splits: By name.
    """

    judged: str
    measure: str
    masking: dict[str, Any]
    splits: dict[str, ReconstructionSplit]

    @property
    def verdict(self) -> ReconstructionVerdict:
        """Verdict on the judged split."""
        return self.splits[self.judged].verdict


@dataclass(frozen=True)
class ProbedTarget:
    """How well one target is classified from frozen features.

    Attributes:
        groups: Groups that are never both fitted and tested on: ``stimulus`` or ``subject``.
        windows: Number of windows tested.
        accuracy: Balanced accuracy by features (``encoder``, ``untrained_encoder``, ``band_power``) and classifier
            (``linear``, ``knn``); chance is one over the number of classes, intervals are over test groups.
    """

    groups: Literal["stimulus", "subject"]
    windows: int
    accuracy: dict[str, dict[str, Estimate]]


# Stage 2


@dataclass(frozen=True)
class RetrievalResult:
    """Retrieval in one direction and gallery.

    Attributes:
        direction: ``eeg_to_sound``: each EEG window queries the sounds; ``sound_to_eeg``: the reverse.
        gallery: Size of the random galleries whose expectation this is; None for the whole gallery.
        size: Mean number of answers to choose from.
        subject: Label of the subject whose windows these are; None for all.
        windows: Number of queries.
        figures: ``top1``, ``top5``, ``top10``, ``mrr`` and ``median_rank`` with chance and interval over stimuli.
    """

    direction: Direction
    gallery: int | None
    size: float
    subject: str | None
    windows: int
    figures: dict[str, Estimate]


@dataclass(frozen=True)
class LagResult:
    """Retrieval with the EEG moved against its sound.

    Attributes:
        lag: Seconds that the EEG is read later than in training.
        mrr: Mean reciprocal rank.
    """

    lag: float
    mrr: Estimate


@dataclass(frozen=True)
class ElectrodeDrop:
    """The loss in retrieval when the electrodes around one position are set to zero.

    Attributes:
        name: Electrode at the position.
        position: Of this electrode, metres in head coordinates.
        mrr_drop: Mean reciprocal rank of the whole montage minus that without these electrodes; chance is 0.
    """

    name: str
    position: tuple[float, float, float]
    mrr_drop: Estimate


@dataclass(frozen=True)
class ElectrodeImportance:
    """Electrode importance: the loss in retrieval when the electrodes around each of several positions are zero.

    Attributes:
        zeroed: Number of electrodes set to zero around each position.
        drops: One per position.
    """

    zeroed: int
    drops: list[ElectrodeDrop]


@dataclass(frozen=True)
class AlignmentSplit:
    """Alignment of EEG and sound on one test split.

    Attributes:
        windows: Number of windows.
        gallery: Number of different sounds.
        verdict: Whether EEG and sound are aligned.
        figures: Estimates by decoder (``model``, ``ridge_pooled``, ``ridge_own``, ``cca_pooled``, ``cca_own``) and
            measure (``top1``, ``top5``, ``top10``, ``mrr``, ``median_rank``, ``match_2023``, ``match_2024``), all on
            the windows as they are and in the whole gallery.
        protocol_windows: ``match_2023`` and ``match_2024`` of the model in windows as long as those of the published
            protocols; empty if no windows are contiguous or if the model computes no embedding for each step.
        controls_mrr: Mean reciprocal rank with EEG that carries no information about the sound, by control: ``noise``,
            ``phase_randomised``, ``another_trial``, ``zeros``, ``subject_only``; and ``untrained``, the model with
            random weights.
        permutations: Permutation nulls of the model's ``mrr`` and ``top10``.
        retrieval: Retrieval of the model in both directions, for several galleries and for each subject.
        galleries: ``top1``, ``top5`` and ``top10`` of the model for growing galleries.
        lag_curve: Retrieval with the EEG shifted relative to its sound, in the order of the given lags.
        geometry: ``modality_gap``, ``alignment``, ``uniformity_eeg``, ``uniformity_sound``, ``cka``,
            ``effective_rank_eeg``, ``effective_rank_sound`` and ``hubness`` of the embeddings.
        audio_block_cka: Similarity (CKA) of the EEG embeddings with each block of the audio encoder, the first first.
        electrodes: Electrode importance; computed on the judged split only.
    """

    windows: int
    gallery: int
    verdict: Verdict
    figures: dict[str, dict[str, Estimate]]
    protocol_windows: dict[str, Estimate]
    controls_mrr: dict[str, Estimate]
    permutations: dict[str, NullSummary]
    retrieval: list[RetrievalResult]
    galleries: dict[str, list[GalleryResult]]
    lag_curve: list[LagResult]
    geometry: dict[str, float]
    audio_block_cka: list[float]
    electrodes: ElectrodeImportance | None = None


@dataclass(frozen=True)
class AlignmentResult:
    """Whether a model aligns EEG with sound, compared with permutations, controls and linear decoders.

    Attributes:
        judged: Split that the verdict of the run rests on.
        measure: What is measured, in words.
        window: Duration of the windows, in seconds.
        similarity: How windows are compared: ``steps``, ``window`` or ``pooled``, as in the aligner's settings.
        splits: By name.
    """

    judged: str
    measure: str
    window: float
    similarity: str
    splits: dict[str, AlignmentSplit]

    @property
    def verdict(self) -> Verdict:
        """Verdict on the judged split."""
        return self.splits[self.judged].verdict


# Stage 3


@dataclass(frozen=True)
class VariantResult:
    """The clips of one variant.

    Attributes:
        clips: Number of clips; ``another_trial`` leaves out windows without a trial of another sound.
        identification: Share of clips that are nearest to their own sound among 2, 10 and 50 sounds, as far as the
            gallery has so many.
        quality: Means of figures against the recording, with intervals over stimuli and without a chance level (NaN):
            ``mel_corr``, ``band_corr``, ``mcd_dtw``, ``lsd`` and, where installed, ``stoi``, ``estoi``, ``pesq``,
            ``wer``; empty for ``truth``.
        missing: Number of clips without a value by figure, where there are any.
        frechet: Frechet distance from the real sounds of the split.
        memorised: How near the clips are to training sounds.
    """

    clips: int
    identification: list[GalleryResult]
    quality: dict[str, Estimate]
    missing: dict[str, int]
    frechet: Frechet
    memorised: Memorisation

    def among(self, way: int) -> GalleryResult | None:
        """Identification among ``way`` sounds; None where it was not measured."""
        return next((one for one in self.identification if one.gallery == way), None)


@dataclass(frozen=True)
class SpeechSplit:
    """Generated speech on one test split.

    Attributes:
        windows: Number of windows, each of which every variant generates.
        gallery: Number of different real sounds that each clip is compared with.
        stimuli: Number of stimuli.
        pretrained_stimuli: Stimuli that the pretrained components record as trained on.
        verdict: Whether EEG carries speech information.
        variants: Results by variant, in the order of ``VARIANTS``.
    """

    windows: int
    gallery: int
    stimuli: int
    pretrained_stimuli: list[str]
    verdict: SpeechVerdict
    variants: dict[str, VariantResult]


@dataclass(frozen=True)
class SpeechResult:
    """Whether speech generated from EEG carries information about the presented sound, and its quality.

    Attributes:
        judged: Split that the verdict of the run rests on.
        measure: What is measured, in words.
        window: Duration of the windows, in seconds.
        sampler: Settings of the sampler: ``solver``, ``steps``, ``guidance``.
        left_out: Figures of quality that were not computed, with the reason.
        splits: By name.
    """

    judged: str
    measure: str
    window: float
    sampler: dict[str, Any]
    left_out: dict[str, str]
    splits: dict[str, SpeechSplit]

    @property
    def verdict(self) -> SpeechVerdict:
        """Verdict on the judged split."""
        return self.splits[self.judged].verdict


# The file


@dataclass(frozen=True)
class EvaluatedCheckpoint:
    """The weights that were tested.

    Attributes:
        path: Of the checkpoint; None where a program trained and tested in one process.
        sha256: Of the file, in hexadecimal digits; None without a file.
        step: Optimizer steps of the weights.
    """

    path: str | None
    sha256: str | None
    step: int


@dataclass(frozen=True)
class EvaluatedData:
    """The store that was tested on, and what defines its splits.

    Attributes:
        name: Of the dataset.
        simulated: The EEG is simulated.
        store: Path of the store.
        fingerprint: Of the store.
        split: Settings of the split (``data.split``).
        conditions: Conditions that windows are taken from; None for all.
        windows: Number of windows by split, those for training and validation included.
    """

    name: str
    simulated: bool
    store: str
    fingerprint: str
    split: dict[str, Any]
    conditions: list[str] | None
    windows: dict[str, int]


@dataclass(frozen=True)
class TrainingSummary:
    """One training that the weights come from, in short; the checkpoint holds the whole record.

    Attributes:
        stage: Class of the task, or the name of pretrained components.
        learned: What it learned from: ``eeg``, ``sound`` or ``pairs``.
        sounds: Number of sounds that were trained on.
        subjects: Labels of the subjects that were trained on.
        name: Of the dataset; this and the following are None where the record does not have them.
        store: Path of the store.
        fingerprint: Of the store.
        split: Settings of the split.
        conditions: Conditions that windows were taken from.
    """

    stage: str
    learned: Learned
    sounds: int
    subjects: list[str]
    name: str | None = None
    store: str | None = None
    fingerprint: str | None = None
    split: dict[str, Any] | None = None
    conditions: list[str] | None = None


@dataclass(frozen=True)
class SeenSplits:
    """What of the test splits the weights were trained on.

    Attributes:
        splits: By name of the split; empty where a program's own data could not be compared.
        notes: Remarks for a reader, such as EEG that an earlier stage used without labels.
    """

    splits: dict[str, Overlap] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def text(self, split: str) -> str:
        """What of a split was trained on, in words; empty where nothing was."""
        return self.splits[split].text if split in self.splits else ""


@dataclass(frozen=True)
class Results:
    """All results of one test.

    Attributes:
        version: Of this schema.
        eeg2speech: Version of the package that tested.
        stage: Class of the task: ``MAEEGTask``, ``AudioMAETask``, ``AlignmentTask`` or ``DiffusionTask``.
        checkpoint: The weights that were tested.
        metrics: Means over test splits by log key, such as ``test/unseen_stimulus/loss``.
        data: The data that were tested on; None for a program's own data module.
        trained_on: The trainings that the weights come from; None where no record exists.
        seen: What of the splits was trained on; None where it was not compared.
        reconstruction: Stage 1, where ``CompareBaselines`` ran.
        probes: Probes of the encoder by target, ``subject`` and ``label``, where ``ProbeEncoder`` ran.
        alignment: Stage 2, where ``EvaluateAlignment`` ran.
        speech: Stage 3, where ``EvaluateSpeech`` ran.
    """

    version: int
    eeg2speech: str
    stage: str
    checkpoint: EvaluatedCheckpoint
    metrics: dict[str, float] = field(default_factory=dict)
    data: EvaluatedData | None = None
    trained_on: list[TrainingSummary] | None = None
    seen: SeenSplits | None = None
    reconstruction: ReconstructionResult | None = None
    probes: dict[str, ProbedTarget] | None = None
    alignment: AlignmentResult | None = None
    speech: SpeechResult | None = None

    @property
    def simulated(self) -> bool:
        """The EEG is known to be simulated."""
        return self.data is not None and self.data.simulated

    @property
    def compared(self) -> ReconstructionResult | AlignmentResult | SpeechResult | None:
        """The result with a verdict; None if the test made no comparison."""
        return self.speech or self.alignment or self.reconstruction

    def seen_text(self, split: str) -> str:
        """What of a split was trained on, in words; empty where nothing was."""
        return "" if self.seen is None else self.seen.text(split)

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON; None stands for numbers that are not finite."""
        content: dict[str, Any] = to_jsonable(self)
        return content

    @classmethod
    def from_json(cls, content: Any, source: str = "results") -> Results:
        """Read plain values; keys that this version does not have are ignored.

        Args:
            content: From ``to_json``.
            source: Where it comes from, for messages.

        Raises:
            DataError: It is of another version, or a key is missing or has a value of another type.
        """
        if not isinstance(content, Mapping):
            raise DataError(f"{source}: holds no JSON object; test the checkpoint again (eeg2speech test)")
        if content.get("version") != VERSION:
            found = repr(content["version"]) if "version" in content else "none"
            raise DataError(
                f"{source}: version of the results is {found}, this eeg2speech reads {VERSION}; test the checkpoint "
                "again (eeg2speech test)"
            )
        try:
            results: Results = decode(cls, content)
            return results
        except FieldError as error:
            again = "test the checkpoint again (eeg2speech test)"
            raise DataError(f"{source}: damaged results, {error}; {again}") from error


def write_results(file: Path, results: Results) -> None:
    """Write a ``test.json``, beside the file and then renamed.

    Args:
        file: To write.
        results: Its content.
    """
    with written_beside(file) as partial:
        text = json.dumps(results.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
        partial.write_text(text + "\n", encoding="utf-8")


def read_results(file: Path) -> Results:
    """Read a ``test.json``.

    Args:
        file: That ``write_results`` wrote.

    Raises:
        DataError: It cannot be read, is damaged or is of another version.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: damaged JSON ({error}); test the checkpoint again (eeg2speech test)") from error
    return Results.from_json(content, str(file))


def judged_split(splits: Iterable[Name]) -> Name:
    """The test split that the verdict of a run rests on: ``JUDGED_SPLIT``, else the first.

    Args:
        splits: Names of the splits, at least one.
    """
    names = list(splits)
    return next((name for name in names if name == JUDGED_SPLIT), names[0])


def judge_reconstruction(nmse: Mapping[str, Estimate], seen: str = "") -> ReconstructionVerdict:
    """Compare the model with the baseline of the smallest error; a baseline without a value (NaN) is left out.

    Args:
        nmse: Error by method, ``model`` among them.
        seen: What of the split was trained on, in words; empty where nothing was.
    """
    own = nmse[MODEL]
    others = {name: one for name, one in nmse.items() if name != MODEL and math.isfinite(one.value)}
    if not others:
        return ReconstructionVerdict(None, None, seen)
    best = min(others, key=lambda name: others[name].value)
    better = True if own.high < others[best].low else False if own.low > others[best].high else None
    return ReconstructionVerdict(better, best, seen)


def in_words(name: str) -> str:
    """The id of a split, control, variant, decoder or method in words."""
    return name.replace("_", " ")
