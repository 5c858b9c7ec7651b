"""The overview of a run in TensorBoard: layout of charts, settings and final figures, verdict."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams import metadata

from eeg2speech.cli import main
from eeg2speech.reporting.tensorboard.layout import COMMON, FIRST, RECONSTRUCTION, layout_of
from eeg2speech.reporting.tensorboard.projector import Cloud, write_projector
from eeg2speech.reporting.tensorboard.settings import FIGURES, SETTINGS, judged_figures
from eeg2speech.reporting.tensorboard.text import RESULTS, VERDICT, result_texts
from tests.reporting.run_folders import alignment_test, reconstruction_test, speech_test

ROOT = Path(__file__).parents[2]
CALLBACKS = """[{class_path: lightning.pytorch.callbacks.ModelCheckpoint, init_args: {save_last: true}},
{class_path: eeg2speech.training.WriteEnvironment}, {class_path: eeg2speech.training.WriteResults},
{class_path: eeg2speech.training.LogOverview}]"""


def words(store: Path, run: Path, *more: str) -> list[str]:
    configs = (ROOT / "configs/maeeg.yaml", ROOT / "tests/conf/tiny.yaml")
    given = [*(f"--config={config}" for config in configs), f"--data.store={store}", f"--run={run}", *more]
    return [*given, f"--trainer.callbacks={CALLBACKS}", "--trainer.log_every_n_steps=1"]


def events_of(run: Path) -> list[EventAccumulator]:
    """One for each start of the run."""
    found = []
    for file in sorted(run.glob("events*"), key=lambda file: file.stat().st_mtime_ns):
        found.append(EventAccumulator(str(file)))
        found[-1].Reload()
    return found


@pytest.fixture(scope="module")
def starts(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> list[EventAccumulator]:
    """A fit, one that goes on, and a test."""
    run = tmp_path_factory.mktemp("board") / "run"
    assert main(["fit", *words(tiny_store, run, "--trainer.max_steps=4")]) == 0
    assert main(["fit", *words(tiny_store, run, "--ckpt_path=last")]) == 0
    assert main(["test", *words(tiny_store, run, "--ckpt_path=last")]) == 0
    return events_of(run)


def text_of(events: EventAccumulator, tag: str) -> str:
    return events.Tensors(f"{tag}/text_summary")[-1].tensor_proto.string_val[0].decode()


def settings_in(events: EventAccumulator):
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    return metadata.parse_session_start_info_plugin_data(content).hparams


def test_every_start_lays_out_charts_whose_curves_are_logged(starts):
    logged = set().union(*(events.Tags()["scalars"] for events in starts))
    for events in starts[:2]:
        content = events.Tensors("custom_scalars__config__")[-1].tensor_proto.string_val[0]
        layout = Layout.FromString(content)
        assert [category.title for category in layout.category] == [RECONSTRUCTION, COMMON]
        tags = [tag for category in layout.category for chart in category.chart for tag in chart.multiline.tag]
        assert "val/nmse$" in tags
        optional = ("val/baselines/", "train/skipped", "train/samples_per_s", "lr/pg")  # of callbacks not there
        for tag in tags:
            assert any(re.match(tag, known) for known in logged) or tag.startswith(optional), tag


def test_settings_and_final_figures_have_the_same_columns_in_every_start(starts):
    for events in starts:
        content = events.SummaryMetadata(metadata.EXPERIMENT_TAG).plugin_data.content
        experiment = metadata.parse_experiment_plugin_data(content)
        assert [info.name for info in experiment.hparam_infos] == list(SETTINGS)
        assert [info.name.tag for info in experiment.metric_infos] == list(FIGURES)
        settings = settings_in(events)
        assert set(settings) <= set(SETTINGS)
        assert settings["stage"].string_value == "MAEEG"
        assert settings["data"].string_value == "SIMULATED tiny"
        assert settings["mask_ratio"].number_value == 0.8
        assert not settings["pretrained"].bool_value
    assert [settings_in(events)["steps"].number_value for events in starts[:2]] == [4, 8]
    assert settings_in(starts[0])["lr"].number_value == pytest.approx(0.01 * 8 / 64)


def test_a_test_stands_at_the_step_of_its_checkpoint(starts):
    tested = starts[-1]
    assert {point.step for tag in tested.Tags()["scalars"] for point in tested.Scalars(tag)} == {8}
    assert tested.Scalars("test/judged/nmse")[0].value == tested.Scalars("test/unseen_stimulus/nmse")[0].value


def test_text_says_simulated_and_what_the_run_depends_on(starts):
    environment = text_of(starts[1], "3 environment")
    assert environment.startswith("# SIMULATED EEG")
    for told in ("fingerprint of the store", "torch ", "last.ckpt"):
        assert told in environment
    for tag in (VERDICT, RESULTS):
        assert text_of(starts[-1], tag).startswith("# SIMULATED EEG")


def test_other_loggers_are_left_alone(tiny_store: Path, tmp_path: Path):
    quiet = ["--trainer.logger=lightning.pytorch.loggers.CSVLogger", f"--trainer.logger.save_dir={tmp_path}"]
    given = words(tiny_store, tmp_path / "run", "--trainer.max_steps=2", "--trainer.val_check_interval=2", *quiet)
    assert main(["fit", *given]) == 0
    assert not list(tmp_path.rglob("events*"))


@pytest.mark.parametrize(
    ("test", "figures", "verdict", "row"),
    [
        (alignment_test, {"mrr": 0.8, "top10": 0.9, "verdict": 1}, "unseen stimuli: ALIGNED", "| **model** | 0.800 "),
        (partial(alignment_test, False), {"mrr": 0.12, "top10": 0.9, "verdict": 0}, "NOT ALIGNED\n",
         "| control: noise | 0.057 [0.007, 0.107] |  |  |"),
        (speech_test, {"identification": 0.27, "verdict": 1}, "EEG CARRIES SPEECH INFORMATION",
         "| **speech from EEG** | 0.270 "),
        (reconstruction_test, {"nmse": 0.3}, "BETTER THAN EVERY BASELINE",
         "| kriging | 0.500 [0.450, 0.550] | 0.200 "),
    ],
)  # fmt: skip
@pytest.mark.parametrize("simulated", [True, False])
def test_a_test_has_its_verdict_and_its_figures(test, figures, verdict, row, simulated):
    results = test(simulated=simulated)
    assert judged_figures(results) == {f"test/judged/{name}": value for name, value in figures.items()}
    texts = result_texts(results)
    assert verdict in texts[VERDICT]
    assert row in texts[RESULTS]
    assert all(text.startswith("# SIMULATED EEG") == simulated for text in texts.values())


def test_a_test_without_comparison_is_not_judged():
    results = replace(reconstruction_test(simulated=False), reconstruction=None, metrics={"test/unseen_both/nmse": 0.5})
    texts = result_texts(results)
    assert "Not judged" in texts[VERDICT]
    assert "| unseen stimuli and subjects | 0.500 |" in texts[RESULTS]
    assert judged_figures(results) == {"test/judged/nmse": 0.5}


def test_an_own_stage_gets_the_charts_that_every_stage_has():
    assert list(layout_of(None)) == [COMMON]
    assert all(list(layout_of(kind))[-1] == COMMON for kind in FIRST)


def test_a_second_test_replaces_the_first_in_the_projector(tmp_path: Path, capsys):
    write_projector(
        tmp_path, {name: Cloud(np.array([[0.12345, 1.0]]), ("who",), (("a\tb",),)) for name in ("one", "two")}
    )
    write_projector(tmp_path, {"one": Cloud(np.array([[0.5, -1.0], [0.0, 0.0]]), ("who",), (("c",), ("d",)))})
    config = (tmp_path / "projector_config.pbtxt").read_text()
    assert config.count("embeddings {") == 1
    assert 'tensor_path: "projector/one/tensors.tsv"' in config
    assert (tmp_path / "projector/one/tensors.tsv").read_text() == "0.5000\t-1.0000\n0.0000\t0.0000\n"
    assert (tmp_path / "projector/one/metadata.tsv").read_text() == "who\nc\nd\n"
    assert (tmp_path / "projector/two/metadata.tsv").read_text() == "who\na b\n"
    assert capsys.readouterr().out == ""
