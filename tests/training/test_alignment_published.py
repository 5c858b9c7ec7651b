from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from eeg2speech.reporting.console.alignment_tables import print_figures, print_verdict
from scipy.signal import butter, sosfiltfilt

from eeg2speech.baselines.lagged_decoders import BackwardTRF
from eeg2speech.evaluation.alignment import summarise
from eeg2speech.metrics import Embeddings, judge, permutation_null, retrieval_report, retrieval_scores
from eeg2speech.metrics.ranks import reciprocal

RATE, WINDOW = 64, 3.0


@pytest.mark.real
@pytest.mark.skipif("EEG2SPEECH_REAL_DATA" not in os.environ, reason="no real data")
def test_the_report_runs_on_published_features_without_sound(capsys):
    """Two people and 119 s of a story, of which the last 48 s are held out: too little for a verdict in favour."""
    root = Path(os.environ["EEG2SPEECH_REAL_DATA"]) / "sparrkulee_truncated" / "derivatives"
    envelope = np.load(next((root / "stimuli").glob("*envelope.npy"))).T
    samples, columns = round(RATE * WINDOW), []
    for subject, file in enumerate(sorted((root / "eeg").glob("*/*/*.npy"))):
        eeg = np.load(file)[:, : envelope.shape[1]]
        heard = sosfiltfilt(butter(2, (1.0, 8.0), "bandpass", fs=RATE, output="sos"), envelope[:, : eeg.shape[1]])
        cut, last = round(0.5 * eeg.shape[1]), round(0.6 * eeg.shape[1])
        decoder = BackwardTRF(RATE, 2).fit([(eeg[:, :cut], heard[:, :cut])], [(eeg[:, cut:last], heard[:, cut:last])])
        starts = np.arange(last, eeg.shape[1] - samples + 1, samples)
        windows, sounds = (np.stack([x[:, s : s + samples] for s in starts]) for x in (eeg, heard))
        other = np.random.default_rng(subject).standard_normal(windows.shape).astype(np.float32)
        columns.append(
            (decoder.embed_eeg(windows), decoder.embed_sound(sounds), decoder.embed_eeg(other), subject, starts)
        )
    subject = np.concatenate([np.full(len(c[4]), c[3]) for c in columns])
    start = np.concatenate([c[4] for c in columns])
    # every person has a decoder, and so a space, of their own: each is a list
    for one in range(len(columns)):
        eeg, sound, noise = columns[one][:3]
        here = start[subject == one]
        facts = (here, subject[subject == one], np.zeros(len(here), np.int64), here / RATE)
        model, control = Embeddings(eeg, sound, *facts), Embeddings(noise, sound, *facts)
        compared = model.compare()
        figures = summarise(compared, WINDOW)
        controls = {"noise": retrieval_report(control.compare(), galleries=())[0].figures["mrr"]}
        null = permutation_null(retrieval_scores(compared, reciprocal()), 1000)
        verdict = judge(null, controls)
        print_figures("unseen_stimulus", {"ridge": figures}, controls, simulated=False)
        print_verdict("unseen_stimulus", verdict, null)
        assert null.windows == len(here) == compared.similarity.shape[1]
        assert 0 < figures["match_2023"].value <= 1
        assert verdict.reasons
    assert capsys.readouterr().out.count("ALIGNED") == len(columns)
