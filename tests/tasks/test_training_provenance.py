"""What a model was trained on travels with its weights, and lists that are not unseen are refused."""

from __future__ import annotations

import hashlib
import json
import re
import shutil

import lightning.pytorch as pl
import pytest
import torch

from eeg2speech.checkpoints.parts import read_checkpoint, read_data
from eeg2speech.checkpoints.training_record import KEY
from eeg2speech.cli import main
from eeg2speech.core.errors import ConfigError
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.loading.splits import Split
from eeg2speech.data.store.writer import audio_hash
from eeg2speech.tasks import AlignmentTask
from eeg2speech.tasks.provenance import compare_with_training, records_of

pytestmark = pytest.mark.filterwarnings("ignore:The dirpath has changed")  # runs are copied
SAVE = "{class_path: eeg2speech.training.AtomicCheckpoint, init_args: {filename: best, save_last: true}}"
TRAINING = f"--trainer.callbacks=[{SAVE}, eeg2speech.training.ExportEncoder]"
TESTING = "--trainer.callbacks=[eeg2speech.training.WriteResults]"
CONFIGS = {
    "maeeg": ["configs/maeeg.yaml", "tests/conf/tiny.yaml"],
    "audiomae": ["configs/audiomae.yaml", "tests/conf/tiny_audio.yaml"],
    "alignment": ["configs/alignment.yaml", "tests/conf/tiny_alignment.yaml"],
}
STEPS = ["--trainer.max_steps=2", "--trainer.val_check_interval=2"]


def words(stage, store, run, *more):
    return [*(f"--config={file}" for file in CONFIGS[stage]), f"--data.store={store}", f"--run={run}", TESTING, *more]


def fit(stage, store, run, *more):
    assert main(["fit", *words(stage, store, run, TRAINING, *STEPS, *more)]) == 0
    return run


def data_of(store, **settings):
    data = EEGAudioDataModule(store=store, window=0.64, hop=0.32, batch_size=8, audio=True, **settings)
    data.setup()
    return data


def names(data, part):
    return {window.segment.stimulus for window in data.datasets[part].windows}


def refused(checkpoint, data):
    """Why a checkpoint cannot be tested on some data, without the command line."""
    with pytest.raises(ConfigError) as error:
        compare_with_training(records_of(checkpoint), data, data.test_splits, "pairs")
    return str(error.value)


@pytest.fixture(scope="module")
def aligned(tiny_store, tmp_path_factory):
    """A run of stage 2 on the default split."""
    return fit("alignment", tiny_store, tmp_path_factory.mktemp("aligned") / "run")


@pytest.fixture(scope="module")
def other_seed(tiny_store):
    """A seed of the split that tests sounds which the default one trains on, and those sounds."""
    return seed_with(tiny_store, "unseen_stimulus")


def seed_with(store, part):
    trained = names(data_of(store), "train")
    for seed in range(1, 99):
        known = trained & names(data_of(store, split=Split(seed=seed)), part)
        if known:
            return seed, sorted(known)
    raise AssertionError("no seed divides the sounds otherwise")


def test_a_checkpoint_and_its_exports_record_sounds_by_content_and_subjects(aligned, tiny_store):
    data = data_of(tiny_store)
    expected = {audio_hash(data.store.audio_file(name)).hex(): name for name in names(data, "train")}
    for source in ("checkpoints/best.ckpt", "encoder", "aligner"):
        (record,) = read_data(aligned / source)[KEY]
        assert record["stage"] == "AlignmentTask"
        assert record["learned"] == "pairs"
        assert record["trained"]["sounds"] == expected
        assert sorted(record["trained"]["subjects"].values()) == data.subjects_of("train")
        assert record["data"]["split"]["seed"] == 0
        assert set(record["validated"]["sounds"].values()) == names(data, "val")


def test_another_split_is_refused_with_the_names(aligned, tiny_store, capsys):
    for command, part in (("test", "unseen_stimulus"), ("validate", "val")):
        seed, known = seed_with(tiny_store, part)
        more = ["--ckpt_path=best", f"--data.split.seed={seed}"]
        assert main([command, *words("alignment", tiny_store, aligned, *more)]) == 1
        said = capsys.readouterr().err
        total = len(names(data_of(tiny_store, split=Split(seed=seed)), part))
        assert f"{part}: {len(known)} of {total} sounds trained on ({', '.join(known)})" in said
        assert "by AlignmentTask" in said
        assert "--allow_seen true" in said
        assert not (aligned / "test.json").exists()
    # and its own is not, as in tests of the results
    assert main(["validate", *words("alignment", tiny_store, aligned, "--ckpt_path=best")]) == 0


@pytest.mark.parametrize(
    "split",
    [
        Split(by="stimulus", test=0.5),
        Split(by="subject", test_subjects=["00", "01", "02"], val_subjects=0, val=0.3),
        Split(test_subjects=["00", "01"]),
    ],
)
def test_other_splits_are_refused(aligned, tiny_store, split):
    assert "not unseen" in refused(aligned / "checkpoints/best.ckpt", data_of(tiny_store, split=split))


def test_a_copy_of_the_store_under_other_names_is_known(aligned, tiny_store, other_seed, tmp_path, capsys):
    copy = shutil.copytree(tiny_store, tmp_path / "copy")
    described = json.loads((copy / "dataset.json").read_text())
    (copy / "dataset.json").write_text(json.dumps(described | {"name": "another"}))
    for table in ("recordings.tsv", "segments.tsv"):
        text = (copy / table).read_text()
        (copy / table).write_text(re.sub(r"\t0(\d)\t", r"\tx\1\t", re.sub(r"\ts(\d)\t", r"\tz\1\t", text)))
    for file in (copy / "audio").glob("s*.flac"):
        file.rename(file.with_name("z" + file.name[1:]))
    subject = data_of(tiny_store).subjects_of("train")[0].replace("0", "x", 1)
    more = ["--ckpt_path=best", f"--data.split.test_subjects=[{subject}]", f"--data.split.seed={other_seed[0]}"]
    assert main(["test", *words("alignment", copy, aligned, *more)]) == 1
    said = capsys.readouterr().err
    assert f"unseen_subject: 1 of 1 subjects trained on ({subject})" in said
    assert re.search(r"sounds trained on \(z\d", said)


def test_allow_seen_goes_on_and_every_result_says_so(aligned, tiny_store, other_seed, tmp_path, capsys):
    seed, known = other_seed
    run = shutil.copytree(aligned, tmp_path / "run")
    little = "{permutations: 20, lags: [], linear: false, electrodes: 0}"
    judged = f"{{class_path: eeg2speech.training.EvaluateAlignment, init_args: {little}}}"
    callbacks = f"--trainer.callbacks=[{judged}, eeg2speech.training.WriteResults, eeg2speech.training.LogOverview]"
    more = ["--ckpt_path=best", f"--data.split.seed={seed}", "--allow_seen=true", callbacks]
    assert main(["test", *words("alignment", tiny_store, run, *more)]) == 0
    printed = capsys.readouterr()
    found = json.loads((run / "test.json").read_text())
    seen = found["seen"]["splits"]["unseen_stimulus"]
    assert seen["sounds"] == known
    verdict = found["alignment"]["splits"]["unseen_stimulus"]["verdict"]
    assert verdict["aligned"] is False
    assert verdict["reasons"][0] == f"the split is not unseen: {verdict['seen']}"
    assert "unseen stimuli (NOT UNSEEN)" in printed.out
    assert "NOT JUDGED, AS THE SPLIT IS NOT UNSEEN" in printed.out
    assert main(["report", str(run), "--out", str(tmp_path / "report.html")]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "Unseen stimuli (NOT UNSEEN)" in page
    assert "Not judged, as the split is not unseen" in page


def test_results_name_checkpoint_store_and_split_and_take_the_best(aligned, tiny_store, capsys):
    assert main(["test", *words("alignment", tiny_store, aligned)]) == 0
    best = aligned / "checkpoints/best.ckpt"
    found = json.loads((aligned / "test.json").read_text())
    assert found["checkpoint"]["path"] == str(best.resolve())
    assert found["checkpoint"]["sha256"] == hashlib.sha256(best.read_bytes()).hexdigest()
    assert found["checkpoint"]["step"] == read_checkpoint(best)["global_step"]
    assert found["data"]["store"] == str(tiny_store.resolve())
    assert found["data"]["split"]["seed"] == 0
    assert [record["stage"] for record in found["trained_on"]] == ["AlignmentTask"]


def test_an_untrained_model_never_replaces_results(tiny_store, tmp_path):
    (tmp_path / "test.json").write_text("{}")
    assert main(["test", *words("alignment", tiny_store, tmp_path)]) == 0
    assert (tmp_path / "test.json").read_text() == "{}"
    assert json.loads((tmp_path / "test.untrained.json").read_text())["checkpoint"]["step"] == 0


def test_going_on_with_another_split_keeps_both_records(aligned, tiny_store, other_seed, tmp_path):
    seed, _ = other_seed
    run = shutil.copytree(aligned, tmp_path / "run")
    more = ["--trainer.max_steps=4", "--trainer.val_check_interval=2", f"--data.split.seed={seed}", "--ckpt_path=last"]
    with pytest.warns(UserWarning, match="trained on") as warned:
        assert main(["fit", *words("alignment", tiny_store, run, TRAINING, *more)]) == 0
    assert any(re.match("unseen_stimulus: .* by AlignmentTask", str(warning.message)) for warning in warned)
    records = read_checkpoint(run / "checkpoints/last.ckpt")["data"][KEY]
    assert [record["data"]["split"]["seed"] for record in records] == [0, seed]
    for split in (0, seed):  # what one of them held out, the other trained on
        data = data_of(tiny_store, split=Split(seed=split))
        assert "not unseen" in refused(run / "checkpoints/last.ckpt", data)


def test_weights_of_an_aligner_bring_its_record(aligned, tiny_store, other_seed, tmp_path, capsys):
    seed, known = other_seed
    more = [f"--data.split.seed={seed}", f"--model.init_args.encoder_weights={aligned / 'encoder'}"]
    with pytest.warns(UserWarning, match="trained on") as warned:
        run = fit("alignment", tiny_store, tmp_path / "run", *more)
    said = [str(warning.message) for warning in warned]
    assert any(
        re.match(rf"unseen_stimulus: .*{known[0]}.* by AlignmentTask, whose weights this run starts from", text)
        for text in said
    )
    assert main(["test", *words("alignment", tiny_store, run, f"--data.split.seed={seed}")]) == 1
    assert known[0] in capsys.readouterr().err


def test_sounds_of_the_audio_encoder_count_and_its_subjects_do_not(tiny_store, other_seed, tmp_path, capsys):
    seed, known = other_seed
    audio = fit("audiomae", tiny_store, tmp_path / "audio")
    record = read_checkpoint(audio / "checkpoints/best.ckpt")["data"][KEY][0]
    assert record["learned"] == "sound"
    assert not record["trained"]["subjects"]
    more = [f"--data.split.seed={seed}", f"--model.init_args.audio_weights={audio / 'encoder'}"]
    with pytest.warns(UserWarning, match="AudioMAETask"):
        run = fit("alignment", tiny_store, tmp_path / "run", *more)
    assert main(["test", *words("alignment", tiny_store, run, *more)]) == 1
    assert f"({', '.join(known)}) by AudioMAETask" in capsys.readouterr().err


def test_eeg_without_labels_is_reported_and_not_refused(tiny_store, other_seed, tmp_path, capsys):
    seed, _ = other_seed
    stage1 = fit("maeeg", tiny_store, tmp_path / "maeeg")
    more = [f"--data.split.seed={seed}", f"--model.init_args.encoder_weights={stage1 / 'encoder'}"]
    run = fit("alignment", tiny_store, tmp_path / "run", *more)
    assert main(["test", *words("alignment", tiny_store, run, *more)]) == 0
    notes = json.loads((run / "test.json").read_text())["seen"]["notes"]
    assert any("an earlier stage was trained on EEG" in note and "without labels" in note for note in notes)
    assert main(["test", *words("maeeg", tiny_store, stage1, f"--data.split.seed={seed}")]) == 1  # its own kind
    assert "not unseen" in capsys.readouterr().err


def test_a_program_is_refused_as_the_command_line_is(aligned, tiny_store, other_seed, tmp_path):
    seed, _ = other_seed
    data = EEGAudioDataModule(tiny_store, 0.64, 0.32, 8, Split(seed=seed), audio=True)
    task = AlignmentTask.load_from_checkpoint(aligned / "checkpoints/best.ckpt", map_location="cpu")
    trainer = pl.Trainer(default_root_dir=tmp_path, accelerator="cpu", logger=False, enable_progress_bar=False)
    with pytest.raises(ConfigError, match="not unseen"):
        trainer.test(task, data, verbose=False)
    data.allow_seen = True
    trainer.test(task, data, verbose=False)
    assert task.results["seen"].splits["unseen_stimulus"].sounds


def without_record(checkpoint, out):
    content = read_checkpoint(checkpoint, mapped=False)
    del content["data"][KEY]
    torch.save(content, out)
    return out


def test_a_checkpoint_without_a_record_is_refused(aligned, tiny_store, tmp_path, capsys):
    old = without_record(aligned / "checkpoints/last.ckpt", tmp_path / "old.ckpt")
    assert main(["test", *words("alignment", tiny_store, tmp_path, f"--ckpt_path={old}")]) == 1
    assert "no record of what the checkpoint was trained on" in capsys.readouterr().err


def test_going_on_without_a_record_does_not_make_one(aligned, tiny_store, tmp_path):
    run = shutil.copytree(aligned, tmp_path / "run")
    without_record(aligned / "checkpoints/last.ckpt", run / "checkpoints/last.ckpt")
    more = ["--trainer.max_steps=4", "--trainer.val_check_interval=2", "--ckpt_path=last"]
    assert main(["fit", *words("alignment", tiny_store, run, TRAINING, *more)]) == 0
    said = refused(run / "checkpoints/last.ckpt", data_of(tiny_store))
    assert "no record of what the checkpoint was trained on" in said


def test_weights_in_the_home_folder_bring_their_record(aligned, monkeypatch):
    monkeypatch.setenv("HOME", str(aligned))
    assert [record.stage for record in records_of("~/encoder")] == ["AlignmentTask"]


def test_the_test_of_another_run_leaves_results_alone(aligned, tiny_store, tmp_path, capsys):
    (tmp_path / "test.json").write_text("{}")
    best = aligned / "checkpoints/best.ckpt"
    assert main(["test", *words("alignment", tiny_store, tmp_path, f"--ckpt_path={best}")]) == 1
    assert f"give --run {aligned.resolve()}" in capsys.readouterr().err
    assert (tmp_path / "test.json").read_text() == "{}"
