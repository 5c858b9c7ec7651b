from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from eeg2speech.checkpoints.parts import export_part, read_part
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.types import TEST_SPLITS
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.loading.splits import Split
from eeg2speech.models import CrossDecoder, ViTEncoder
from eeg2speech.tasks import MAEEGTask, Masking
from eeg2speech.tasks.base import Task


def make_task(seed=0, width=16, **settings):
    torch.manual_seed(seed)
    encoder = ViTEncoder(width=width, depth=1, heads=2)
    return MAEEGTask(
        **{"samples": 96, "encoder": encoder, "decoder": CrossDecoder(width=12, depth=1, heads=2)} | settings
    )


def make_data(store, **settings):
    return EEGAudioDataModule(store, **{"window": 0.96, "batch_size": 4} | settings)


def trainer(folder, **settings):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return pl.Trainer(default_root_dir=folder, **{"enable_checkpointing": False, "max_steps": 3} | quiet | settings)


pytestmark = [  # Lightning gives advice, and these runs are small on purpose
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated"),
]


def fit(task, store, folder, data=None, **settings):
    made = trainer(folder, **settings)
    made.fit(task, datamodule=make_data(store, **(data or {})))
    return made


def test_training_changes_every_weight_and_logs_its_loss(tiny_store, tmp_path):
    task = make_task(optimizer=partial(torch.optim.Adam, lr=1e-2), reference_batch=0)
    before = copy.deepcopy(task.state_dict())
    made = fit(task, tiny_store, tmp_path, max_steps=-1, max_epochs=1)
    changed = {name for name, value in task.state_dict().items() if not torch.equal(value, before[name])}
    frozen = {"autoencoder.encoder.code.fourier"}
    assert before.keys() - changed <= frozen
    assert {"train/loss", "val/loss", "val/nmse"} <= made.callback_metrics.keys()
    assert all(value.isfinite() for value in made.callback_metrics.values())
    assert list(tmp_path.iterdir()) == []


def nmse(task, store, folder, **data):
    """Of the three test lists."""
    [*found] = trainer(folder).test(task, datamodule=make_data(store, **data), verbose=False)
    metrics = {key: value for part in found for key, value in part.items()}
    assert set(metrics) == {f"test/{part}/{name}" for part in TEST_SPLITS for name in ("loss", "nmse")}
    return {key: value for key, value in metrics.items() if key.endswith("nmse")}


@pytest.mark.parametrize("kind", ["random", "electrodes", "time"])
def test_results_do_not_depend_on_the_batching(ragged_store, tmp_path, kind):
    """Even of windows with different montages, whose neighbours in the batch are others then."""
    task = make_task(masking=Masking(kind=kind))
    split = Split(test_subjects=["00", "01"])
    first = nmse(task, ragged_store, tmp_path, batch_size=3, split=split)
    second = nmse(task, ragged_store, tmp_path, batch_size=32, split=split)
    assert first == pytest.approx(second, rel=1e-4)


def test_evaluation_repeats_itself_and_training_does_not(tiny_store, tmp_path):
    task, data = make_task(), make_data(tiny_store)
    data.setup()
    task.log = lambda *_, **__: None
    batch = next(iter(data.val_dataloader()))
    for stage, same in (("val", True), ("train", False)):
        task.train(stage == "train")
        losses = [task.step(batch, stage, stage)["loss"].item() for _ in range(2)]
        assert (losses[0] == losses[1]) == same


def test_evaluation_masks_follow_the_window_not_its_place_in_the_batch(tiny_store):
    task, data = make_task().eval(), make_data(tiny_store)
    task.log = lambda *_, **__: None
    data.setup()
    dataset = data.datasets["val"]
    hidden = {}
    for keys in ([(0, 5), (1, 6), (2, 7)], [(2, 1), (0, 2)]):
        batch = dataset.__getitems__(keys)
        for (index, _), places in zip(keys, task.step(batch, "val", "val")["result"].masked.hidden, strict=True):
            assert torch.equal(hidden.setdefault(index, places), places)
    assert not torch.equal(hidden[0], hidden[1])


def test_the_mask_grows_and_evaluation_hides_the_full_share(tiny_store):
    task = make_task(masking=Masking(ratio=0.8, start=0.3, ramp=0.5))
    shares = []
    for step in (0, 25, 50, 75, 100):
        task._trainer = SimpleNamespace(global_step=step, estimated_stepping_batches=100)
        shares.append(task.mask_ratio())
    task._trainer = None
    assert shares == pytest.approx([0.3, 0.55, 0.8, 0.8, 0.8])
    assert make_task(masking=Masking(ratio=0.6)).mask_ratio() == 0.6
    assert make_task(masking=Masking(ratio=0.6, start=0.3, ramp=0.0)).mask_ratio() == 0.6
    task.log = lambda *_, **__: None
    data = make_data(tiny_store)
    data.setup()
    result = task.eval().step(next(iter(data.val_dataloader())), "val", "val")["result"]
    assert result.prediction.shape[1] == 12 - round(12 * 0.2)


def test_representations_are_the_encoders(ragged_store):
    task, data = make_task().eval(), make_data(ragged_store, split=Split(test_subjects=["01"]))
    data.setup()
    batch = next(iter(data.batches("train")))
    made = task.predict_step(batch, 0)
    assert made["tokens"].shape == (4, 6, 2, 16)
    assert made["pooled"].shape == (4, 16)
    tokens = task.encoder(batch["eeg"], batch["positions"], batch["channel_mask"])
    torch.testing.assert_close(made["tokens"], tokens)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"samples": 100}, r"samples=100 is not a multiple of patch=\[4, 16\]'s 16 .*; one that fits: 0.96 s"),
        ({"samples": 8}, r"samples=8 is not a multiple .*; one that fits: 0.16 s"),
        ({"masking": Masking(ratio=1.0)}, r"ratio=1.0 is not between 0 and 1 \(model.masking.ratio\)"),
        ({"masking": Masking(ratio=0.0)}, r"ratio=0.0 is not between 0 and 1"),
        ({"masking": Masking(start=-0.1)}, r"start=-0.1 is not between 0 and 1 \(model.masking.start\)"),
        ({"masking": Masking(start=0.3, ramp=-0.5)}, r"ramp=-0.5 .*\(model.masking.ramp\)"),
        ({"masking": Masking(start=0.3, ramp=1.5)}, r"ramp=1.5 .*\(model.masking.ramp\)"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        make_task(**settings)


def test_settings_are_remembered_as_plain_values_only():
    numpy_number = np.float64(0.1)  # a float, but pickled as an object of numpy
    task = make_task(warmup=numpy_number, reference_batch=32, encoder_weights=Path("x.ckpt"), masking=Masking())
    assert dict(task.hparams) == {
        "samples": 96, "normalize_target": False, "reference_batch": 32, "compile": False,
    }  # fmt: skip


def test_nested_plain_values_are_remembered_and_others_left_out():
    class Other(Task):
        encoder = step = None

        def __init__(self, nested, odd, deep):
            super().__init__(torch.optim.Adam, 0.1, 64, None)
            self.save_settings()

    nested = {"class_path": "a.B", "init_args": {"patch": [4, 16], "rate": 0.1, "on": None, "name": ("x", True)}}
    assert dict(Other(nested, {"a": [torch.zeros(1)]}, [{"f": print}]).hparams) == {"nested": nested}


def test_checkpoints_say_how_to_rebuild_the_encoder(tiny_store, tmp_path):
    task = make_task()
    made = fit(task, tiny_store, tmp_path)
    made.save_checkpoint(tmp_path / "a.ckpt")
    torch.load(tmp_path / "a.ckpt", weights_only=True)
    described, weights, provenance = read_part(tmp_path / "a.ckpt", "encoder")
    assert described["class"] == "ViTEncoder"
    assert provenance["global_step"] == 3
    again = ViTEncoder(**described["config"])
    again.load_state_dict(weights)
    eeg, positions = torch.randn(2, 8, 96), torch.randn(2, 8, 3)
    assert torch.equal(again.eval()(eeg, positions), task.encoder.eval()(eeg, positions))


@pytest.mark.parametrize("wrapped", ["saved", "loaded"])
def test_checkpoints_pass_between_compiled_and_plain_models(tiny_store, tmp_path, wrapped):
    saved, loaded = make_task(0), make_task(1)
    compiled = saved if wrapped == "saved" else loaded
    compiled.autoencoder.encoder.blocks = torch.compile(compiled.autoencoder.encoder.blocks, backend="eager")
    made = trainer(tmp_path)
    made.strategy.connect(saved)
    made.save_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    content = torch.load(tmp_path / "a.ckpt")
    assert not any("_orig_mod" in name for name in content["state_dict"])
    loaded.on_load_checkpoint(content)
    loaded.load_state_dict(content["state_dict"])
    for first, second in zip(saved.parameters(), loaded.parameters(), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("exported", [False, True])
def test_a_run_starts_from_the_encoder_of_another(tiny_store, tmp_path, exported):
    first = make_task(0)
    made = fit(first, tiny_store, tmp_path)
    made.save_checkpoint(tmp_path / "a.ckpt")
    source = export_part(tmp_path / "a.ckpt", tmp_path / "encoder") if exported else tmp_path / "a.ckpt"
    second = make_task(1, encoder_weights=source)
    head = second.autoencoder.decoder.head.weight.clone()
    second.setup("test")
    assert not torch.equal(second.encoder.embedding.weight, first.encoder.embedding.weight)
    second.setup("fit")
    for name, value in second.encoder.state_dict().items():
        assert torch.equal(value, first.encoder.state_dict()[name])
    assert torch.equal(second.autoencoder.decoder.head.weight, head)
    with pytest.raises(DataError, match=r"\(model.encoder_weights\): does not fit ViTEncoder; of another shape: "):
        make_task(width=32, encoder_weights=source).setup("fit")


@pytest.mark.parametrize(
    ("reference", "accumulate", "expected"), [(64, 1, 1e-3 * 4 / 64), (8, 4, 1e-3 * 16 / 8), (0, 2, 1e-3)]
)
def test_the_learning_rate_follows_the_effective_batch(tiny_store, tmp_path, reference, accumulate, expected):
    task = make_task(optimizer=partial(torch.optim.AdamW, lr=1e-3), reference_batch=reference, warmup=0.5)
    made = fit(task, tiny_store, tmp_path, accumulate_grad_batches=accumulate, max_steps=2)
    [schedule] = made.lr_scheduler_configs
    assert schedule.scheduler.base_lrs == pytest.approx([expected] * 2)
    assert schedule.interval == "step"
    assert schedule.scheduler.last_epoch == 2
    assert [group["weight_decay"] for group in made.optimizers[0].param_groups] == [0.01, 0.0]
    assert made.optimizers[0].param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)  # the end of the cosine


def test_a_run_without_an_end_is_refused(tiny_store, tmp_path):
    with pytest.raises(ConfigError, match=r"set trainer.max_steps or trainer.max_epochs"):
        fit(make_task(), tiny_store, tmp_path, max_steps=-1, max_epochs=-1)


def test_in_place_compiling_adds_nothing_to_names(monkeypatch):
    asked = []
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda self, **options: asked.append((type(self).__name__, options))
    )
    compiled = make_task(compile=True)
    assert asked == [("Blocks", {"dynamic": True}), ("CrossDecoder", {"dynamic": True})]
    assert list(compiled.state_dict()) == list(make_task().state_dict())
