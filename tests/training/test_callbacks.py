from __future__ import annotations

import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from eeg2speech.training import GracefulInterrupt, LogThroughput, StepSeed, probe_encoder


def test_step_seed_depends_on_every_coordinate():
    drawn = []
    for seed, epoch, batch, rank in [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)]:
        trainer = SimpleNamespace(current_epoch=epoch, global_rank=rank)
        for _ in range(2):
            torch.rand(7)
            StepSeed(seed).on_train_batch_start(trainer, None, None, batch)
            drawn.append(float(torch.rand(1)))
    assert drawn[::2] == drawn[1::2]
    assert len(set(drawn)) == 5


def test_a_second_interrupt_leaves_at_once_and_gives_the_handler_back():
    before = signal.getsignal(signal.SIGINT)
    callback = GracefulInterrupt()
    callback.on_train_start(None, None)
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_throughput_leaves_validation_out(monkeypatch: pytest.MonkeyPatch):
    clock = iter([0.0, 1.0, 1.5, 2.0, 102.0, 103.0])
    monkeypatch.setattr("eeg2speech.training.progress.time.perf_counter", lambda: next(clock))
    logged: list[float] = []
    trainer = SimpleNamespace(log_every_n_steps=3, world_size=2)
    module = SimpleNamespace(log=lambda name, value, **_: logged.append(value))
    callback = LogThroughput()
    for batch_idx in range(3):
        if batch_idx == 2:
            callback.on_validation_start(trainer, module)
        callback.on_train_batch_start(trainer, module, None, batch_idx)
        callback.on_train_batch_end(trainer, module, None, {"eeg": torch.zeros(6)}, batch_idx)
    # steps of 1, 0.5 and 1 s and a wait of 0.5 s for the loader; the 100 s before the third were validation
    assert logged == [pytest.approx(2 * 18 / 3.0)]


def test_a_probe_of_people_who_share_no_sound_is_left_out():
    subject = np.arange(40) // 20
    features = {"encoder": np.random.default_rng(0).standard_normal((40, 3))}
    with pytest.warns(UserWarning, match="encoder is not probed, the training rows have a single class"):
        assert probe_encoder._probe(features, subject, groups=subject, done=lambda _: None) == {}
