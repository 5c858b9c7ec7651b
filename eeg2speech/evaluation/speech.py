"""Evaluation of stage 3: does generated speech carry information from the EEG, and what is its quality?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eeg2speech.core.errors import ConfigError
from eeg2speech.core.progress import Counted, uncounted
from eeg2speech.core.types import SplitName
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.store.writer import audio_hash
from eeg2speech.evaluation.audio_gallery import AudioGallery, embed_training_clips
from eeg2speech.evaluation.controls import shuffling_groups
from eeg2speech.evaluation.generation import (
    SAMPLED,
    GeneratedSplit,
    generate_split,
    spread_evenly,
)
from eeg2speech.evaluation.judge import ENCODER, LOG_MEL, SPACES, AudioJudge
from eeg2speech.evaluation.models import SpeechModel, check_splits, speech_model
from eeg2speech.inference.generator import SpeechGenerator
from eeg2speech.metrics import Comparison, mean_estimate
from eeg2speech.metrics.frechet import clip_embeddings, frechet_report
from eeg2speech.metrics.hearing import MEASURES, check_hearing, pocketsphinx
from eeg2speech.metrics.identification import WAYS, identification_nulls, identification_report, identify, memorisation
from eeg2speech.metrics.results import (
    CurvePoint,
    GalleryResult,
    NullSummary,
    RegressionComparison,
    SeenSplits,
    SpeechResult,
    SpeechSplit,
    VariantResult,
    judged_split,
)
from eeg2speech.metrics.speech import left_out, without_value
from eeg2speech.metrics.verdict import judge_speech, judged_way
from eeg2speech.metrics.word_error import Transcriber

if TYPE_CHECKING:  # diffusers takes seconds to import
    from eeg2speech.tasks.diffusion import DiffusionTask

CONTROLS = ("noise", "another_trial", "unconditional")
"""Variants without information about the sound: EEG has to exceed them."""
MEASURE = (
    "identification of generated clips among all real sounds of the split, cosine of the tokens of an audio encoder "
    "that has no part in the model, averaged over steps, 95 % bootstrap intervals over stimuli"
)
Generated = Mapping[SplitName, GeneratedSplit]


def generate_splits(
    model: DiffusionTask | SpeechGenerator,
    data: EEGAudioDataModule,
    windows: int | None = 64,
    splits: Sequence[SplitName] | None = None,
    training: int = 1000,
    examples: int = 0,
    batch: int = 16,
    transcribe: Transcriber | None = None,
    judge: Path | None = None,
    hearing: bool = False,
    starts: Sequence[float] = (),
    counted: Counted = uncounted,
) -> Generated:
    """Generate speech for windows of the test splits; with several processes, all of them have to call this.

    Args:
        model: Trained; it is put into evaluation mode.
        data: After ``setup``, with ``audio=True`` and windows as in training.
        windows: Of each split, of as many different sounds as possible; None: all.
        splits: Which test splits, as far as the data has them; all if None or if the data has none of these.
        training: Training windows whose sounds clips are compared with, evenly spread.
        examples: Windows of each split whose waveforms are kept.
        batch: Clips that are generated at once.
        transcribe: Recognises speech, for word error rates; None: none.
        judge: See ``AudioJudge``.
        hearing: Also compute word error rates by pocketsphinx, unless ``transcribe`` is given, and the figures of
            ``metrics.hearing``.
        starts: Noise levels at which sampling starts, see ``Sampler``, for a curve of identification and naturalness on
            the judged split.
        counted: Shows the progress.

    Raises:
        ConfigError: The data module reads no sound, or the packages of ``hearing`` are not installed.
    """
    if hearing:
        check_hearing()
        transcribe = transcribe or pocketsphinx()
    if not data.audio:
        raise ConfigError("audio=False: an evaluation of generated speech needs the sound of each window (data.audio)")
    on_data = speech_model(model, data)
    chosen = [split for split in data.test_splits if split in (splits or data.test_splits)] or data.test_splits
    measures = MEASURES if hearing else {}
    embedder = AudioJudge(judge, on_data.device)
    embedder.check_independent(on_data.model)
    real = embed_training_clips(embedder, data, training)
    starts = tuple(dict.fromkeys(starts))
    of_split = {split: starts if split == judged_split(chosen) else () for split in chosen}
    clips = sum(
        len(spread_evenly(len(data.datasets[split]), windows)) * (len(SAMPLED) + len(further))
        for split, further in of_split.items()
    )
    with counted("Generating clips", clips) as done:
        return {
            split: generate_split(
                on_data, embedder, data, split, real, windows, examples, batch, done, transcribe, measures, further
            )
            for split, further in of_split.items()
        }


def evaluate_speech(
    model: DiffusionTask | SpeechGenerator,
    data: EEGAudioDataModule,
    permutations: int = 1000,
    generated: Generated | None = None,
    seen: SeenSplits | None = None,
    counted: Counted = uncounted,
) -> SpeechResult:
    """Evaluate a trained speech generator on the test splits of a data module.

    Several variants of each window are generated from the same noise: from EEG, from conditions without information
    about the sound (noise instead of EEG, EEG of another trial of the same subject, no condition), and from the
    recording (its own features, which are the upper limit for EEG, and through autoencoder and vocoder only). Linear
    regression from EEG to mel spectrograms is another variant. Each clip is then identified among all real sounds of
    its split, by an audio encoder that has no part in the model (``AudioJudge``), and in log mel spectrograms. The
    verdict depends only on the identification by the audio encoder, because it has a chance level. Measures of quality,
    the Frechet distance and the similarity of clips to training sounds are also reported.

    Args:
        model: Trained; it is put into evaluation mode.
        data: After ``setup``, with ``audio=True`` and windows as in training.
        permutations: Shuffles of the sounds; a verdict in favour needs 1000.
        generated: From ``generate_splits``, for other settings than its defaults; None: generated here.
        seen: What of the splits was trained on, where it was compared already.
        counted: Shows the progress.

    Raises:
        ConfigError: The data module has no test split or no sound, or a split is not unseen; see
            ``EEGAudioDataModule.allow_seen``.
    """
    seen = check_splits(model, data) if seen is None else seen
    generated = generate_splits(model, data, counted=counted) if generated is None else generated
    on_data = speech_model(model, data)
    sampler = {name: getattr(on_data.sampler, name) for name in ("solver", "steps", "guidance", "start")}
    splits: dict[str, SpeechSplit] = {
        split: _compare_variants(on_data, data, clips, permutations, seen.text(split))
        for split, clips in generated.items()
    }
    return SpeechResult(judged_split(splits), MEASURE, data.window, sampler, left_out(), splits)


def _compare_variants(
    model: SpeechModel, data: EEGAudioDataModule, generated: GeneratedSplit, permutations: int, seen: str
) -> SpeechSplit:
    """Results of a split; ``seen`` describes which part of the split is training data."""
    gallery, rows, moved = generated.gallery, generated.rows, generated.moved
    group = shuffling_groups(gallery.key, gallery.subject, gallery.stimulus)[rows]
    target = np.searchsorted(gallery.sounds, gallery.key[rows])
    subject, stimulus = gallery.subject[rows], gallery.stimulus[rows]
    real = clip_embeddings(gallery.tokens[ENCODER])
    variants: dict[str, VariantResult] = {}
    compared: dict[str, dict[str, Comparison]] = {space: {} for space in SPACES}
    for name, clips in generated.variants.items():
        kept = np.flatnonzero(moved) if name == "another_trial" else np.arange(len(rows))
        points = {}
        for space, similarity in clips.similarity.items():
            one = Comparison(similarity[kept], target[kept], subject[kept], stimulus[kept], gallery.start)
            estimates = identification_report(one, WAYS)
            nulls = identification_nulls(one, WAYS, group[kept], permutations)
            compared[space][name] = one
            points[space] = [GalleryResult(way, estimates[way], NullSummary.of(nulls[way])) for way in estimates]
        figures = {figure: values[kept] for figure, values in clips.figures.items()}
        variants[name] = VariantResult(
            len(kept),
            points[ENCODER],
            points[LOG_MEL],
            {figure: mean_estimate(values, np.nan, stimulus[kept]) for figure, values in figures.items()},
            {figure: count for figure, count in without_value(figures).items() if count},
            frechet_report(real, clips.voice[kept]),
            memorisation(clips.nearest[kept], generated.nearest),
        )
    way = judged_way(len(gallery.sounds))
    scores = {name: identify(compared[ENCODER][name], way) for name in CONTROLS}
    scores["another_trial"] = _at(moved, scores["another_trial"])
    verdict = judge_speech(compared[ENCODER]["eeg"], scores, way, group, permutations, seen=seen)
    differences = (
        mean_estimate(identify(of["eeg"], way) - identify(of["mel_regression"], way), 0.0, stimulus)
        for of in (compared[ENCODER], compared[LOG_MEL])
    )
    trained = pretrained_stimuli(model, data, gallery)
    stimuli = len(np.unique(gallery.stimulus))
    curve = []
    by_start = generated.by_start | {model.sampler.start: generated.variants["eeg"]} if generated.by_start else {}
    for start, clips in sorted(by_start.items()):
        shares = {
            space: identification_report(Comparison(similarity, target, subject, stimulus, gallery.start), [way])[way]
            for space, similarity in clips.similarity.items()
        }
        curve.append(CurvePoint(start, shares[ENCODER], shares[LOG_MEL], frechet_report(real, clips.voice)))
    regression = RegressionComparison(*differences)
    return SpeechSplit(len(rows), len(gallery.sounds), stimuli, trained, verdict, regression, variants, curve)


def pretrained_stimuli(model: SpeechModel, data: EEGAudioDataModule, gallery: AudioGallery) -> list[str]:
    """Stimuli of a split that the pretrained components record as trained on, by the hash of their samples."""
    trained = model.model.trained_sounds
    names = [data.store.stimuli[stimulus] for stimulus in np.unique(gallery.stimulus)]
    return [name for name in names if audio_hash(data.store.audio_file(name)).hex() in trained]


def _at(where: NDArray[np.bool_], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores of the windows ``where`` in the place of all windows, NaN for the others."""
    whole = np.full(len(where), np.nan)
    whole[where] = scores
    return whole
