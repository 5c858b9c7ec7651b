"""The page of `eeg2speech report`."""

from __future__ import annotations

import base64
import io
import itertools
import json
import shutil
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from torch.utils.tensorboard import SummaryWriter

from eeg2speech.cli import main
from eeg2speech.metrics.results import Results, write_results
from eeg2speech.reporting.html import read_run, write_page
from eeg2speech.reporting.tensorboard.events import read_events
from tests.reporting.run_folders import (
    add_pictures,
    add_sounds,
    alignment_test,
    make_run,
    reconstruction_test,
    speech_test,
)

VOID = {"meta", "img", "br", "input", "link", "hr"}


class Page(HTMLParser):
    """Elements of a page with their attributes, and its text outside of the style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, *tags: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report") / "runs"
    make_run(root / "maeeg", "MAEEGTask", reconstruction_test())
    kinds = ("similarity", "lags", "galleries", "electrodes")
    run = make_run(root / "alignment", "AlignmentTask", alignment_test())
    add_pictures(run, *(f"unseen_stimulus_{kind}" for kind in kinds), "response")
    speech = make_run(root / "diffusion", "DiffusionTask", speech_test())
    add_sounds(speech, 6)
    add_pictures(speech, "unseen_stimulus_speech", "unseen_stimulus_identification")
    return root


@pytest.fixture(scope="module")
def page(three: Path) -> Page:
    assert main(["report", *(str(three / name) for name in ("maeeg", "alignment", "diffusion"))]) == 0
    return Page((three / "report.html").read_text(encoding="utf-8"))


def test_verdicts_stand_with_the_band_of_chance(page: Page):
    assert "Aligned" in page.text
    assert "EEG carries speech information" in page.text
    assert "Better than every baseline (kriging is next)" in page.text
    assert "Worse than kriging" in page.text
    alts = " ".join(image["alt"] for image in page.all("img"))
    assert "permutations lie from 0.070 to 0.180, their 99th percentile at 0.193, chance at 0.100" in alts
    assert "permutations lie from 0.050 to 0.170" in alts


def test_the_response_of_the_data_is_shown_and_described(page: Page):
    assert any("0.2 s before to 0.6 s after the sound" in image["alt"] for image in page.all("img"))
    assert "temporal response function" in page.text


def test_figures_stand_with_interval_chance_and_subject(page: Page):
    for words in ("0.800 0.750 to 0.850", "CCA, fitted to each subject", "sub-07", "chance 0.100", "PESQ is left out"):
        assert words in page.text


def test_several_runs_begin_with_an_overview_that_leads_to_each(page: Page):
    anchors = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    links = [link["href"] for link in page.all("a")]
    assert all(link.startswith("#") and link[1:] in anchors for link in links)
    assert {"#overview", "#run-1", "#run-2", "#run-3"} <= set(links)
    assert page.text.index("Main figure") < page.text.index("Verdicts Unseen stimuli")


def test_nothing_is_asked_of_any_network(page: Page):
    assert not page.all("script", "link", "iframe")
    sources = [attributes["src"] for _, attributes in page.elements if "src" in attributes]
    assert sources
    assert all(source.startswith("data:") for source in sources)


def test_the_page_is_made_for_screen_readers_and_keyboards(page: Page):
    assert page.all("html")[0]["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in page.elements if tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))
    assert all(head.get("scope") in ("row", "col") for head in page.all("th"))
    assert all(len(image["alt"]) > 20 for image in page.all("img"))
    assert all(sound["aria-label"] for sound in page.all("audio"))
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert max(ids.values()) == 1
    assert len(page.all("main")) == len(page.all("nav")) == len(page.all("header")) == len(page.all("footer")) == 1
    assert all(box["tabindex"] == "0" and box["aria-label"] for box in page.all("div") if box.get("class") == "scroll")


def test_sounds_play_and_their_number_is_limited(three: Path, page: Page):
    assert len(page.all("audio")) == 4 * 4
    content = base64.b64decode(page.all("audio")[0]["src"].partition(",")[2])
    heard, rate = soundfile.read(io.BytesIO(content))
    written, _ = soundfile.read(three / "diffusion/clips/unseen_stimulus/00000_truth.wav")
    assert rate == 16_000
    np.testing.assert_allclose(heard, written, atol=1e-4)
    assert "2 more windows are in" in page.text


def test_alt_text_says_what_the_picture_is_about(page: Page):
    alts = " ".join(image["alt"] for image in page.all("img"))
    assert "highest at +0.00 s (0.800), at every other lag at most 0.030" in alts
    assert "In the whole split, 70 % of windows match" in alts
    assert "top1 among 10 sounds 0.900 (chance 0.100); top1 among 85 sounds 0.700" in alts
    assert "Largest losses in MRR around: Cz 0.200" in alts
    assert "training: from 0.100 at step 10 to 0.025 at step 40" in alts
    assert "Among 10: recording 1" in alts
    assert "Spectrograms of some held-out windows" not in alts  # each sound has its own


def test_simulated_is_in_title_banner_headings_and_captions(page: Page):
    assert page.text.startswith("Simulated EEG: 3 runs")
    assert "No person was recorded." in page.text
    assert page.text.count("Simulated EEG: ") > 15
    assert [row.get("class") for row in page.all("td")].count("warn") == 3


def test_recorded_data_are_not_called_simulated(tmp_path: Path):
    run = make_run(tmp_path / "real", "AlignmentTask", alignment_test(simulated=False), store="/nowhere/store")
    assert main(["report", str(run)]) == 0
    text = Page((run / "report.html").read_text(encoding="utf-8")).text
    assert "simulated eeg" not in text.lower()
    assert "ask the source before you use or share" in text


def test_the_audio_encoder_uses_no_eeg(tmp_path: Path):
    results = replace(reconstruction_test(), stage="AudioMAETask", reconstruction=None, probes={})
    run = make_run(tmp_path / "sound", "AudioMAETask", replace(results, metrics={"test/unseen_both/nmse": 0.5}))
    assert main(["report", str(run)]) == 0
    text = Page((run / "report.html").read_text(encoding="utf-8")).text
    assert text.lower().count("simulated eeg") == 1  # the name of the dataset, under licences
    assert "Masked autoencoding of sound" in text


@pytest.mark.parametrize("evidence", ["test.json", "environment.json", "data.store"])
def test_each_file_that_says_simulated_is_believed(tmp_path: Path, evidence: str):
    store = None if evidence == "data.store" else "/nowhere/store"
    run = make_run(tmp_path / "run", "AlignmentTask", alignment_test(simulated=evidence == "test.json"), store=store)
    data = {"name": "mine", "simulated": evidence == "environment.json", "root": "/nowhere"}
    (run / "environment.json").write_text(json.dumps({"data": data, "packages": {"torch": "2.6"}}))
    assert main(["report", str(run)]) == 0
    text = Page((run / "report.html").read_text(encoding="utf-8")).text
    assert f"The EEG of this run is simulated (stated by {evidence}" in text


def test_run_without_a_test_says_how_to_make_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = make_run(tmp_path / "run", "AlignmentTask", None)
    out = tmp_path / "new" / "page.html"
    assert main(["report", str(run), "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert f"eeg2speech test --config {run / 'config.yaml'}" in told.err
    assert told.out.startswith(str(out))
    text = Page(out.read_text(encoding="utf-8")).text
    assert "No test.json" in text
    assert "Learning curves" in text


def test_not_aligned_is_said_as_plainly(tmp_path: Path):
    run = make_run(tmp_path / "run", "AlignmentTask", alignment_test(aligned=False))
    assert main(["report", str(run)]) == 0
    assert "Not aligned" in Page((run / "report.html").read_text(encoding="utf-8")).text


def test_a_split_that_was_trained_on_is_not_judged(tmp_path: Path):
    results = alignment_test()
    assert results.alignment is not None
    split = results.alignment.splits["unseen_stimulus"]
    split = replace(split, verdict=replace(split.verdict, seen="9 of 9 sounds trained on"))
    splits = {"unseen_stimulus": split}
    run = make_run(
        tmp_path / "run", "AlignmentTask", replace(results, alignment=replace(results.alignment, splits=splits))
    )
    assert main(["report", str(run)]) == 0
    page = Page((run / "report.html").read_text(encoding="utf-8"))
    assert "Unseen stimuli (NOT UNSEEN) Not judged" in page.text
    assert [box["class"] for box in page.all("div") if "verdict" in box.get("class", "").split()] == ["verdict open"]


def without_model() -> Results:
    results = alignment_test()
    assert results.alignment is not None
    splits = {name: replace(split, figures={}) for name, split in results.alignment.splits.items()}
    return replace(results, alignment=replace(results.alignment, splits=splits))


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda run: shutil.rmtree(run), "no such folder"),
        (lambda run: [file.unlink() for file in run.iterdir()], "neither test.json nor config.yaml"),
        (lambda run: (run / "test.json").write_text('{"data": '), "damaged JSON"),
        (lambda run: (run / "test.json").write_text('{"alignment": {}}'), "version of the results is none"),
        (lambda run: (run / "test.json").write_text('{"version": 99}'), "version of the results is 99"),
        (lambda run: (run / "test.json").write_text('{"version": 2}'), "is missing"),
        (lambda run: write_results(run / "test.json", without_model()), "'model' is missing"),
        (lambda run: (run / "test.json").write_text("[]"), "holds no JSON object"),
        (lambda run: (run / "config.yaml").write_text("a: [b"), "damaged YAML"),
        (lambda run: (run / "environment.json").write_text("no"), "damaged JSON"),
    ],
)
def test_damage_is_one_line_and_writes_nothing(tmp_path: Path, capsys, break_it, words: str):
    run = make_run(tmp_path / "run", "AlignmentTask", alignment_test())
    break_it(run)
    out = tmp_path / "report.html"
    assert main(["report", str(run), "--out", str(out)]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.startswith(f"error: {run}")
    assert words in told
    assert not out.exists()


def test_folder_above_runs_names_them(three: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["report", str(three)]) == 1
    assert f"eeg2speech report {three / 'alignment'} {three / 'diffusion'}" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--clips", "-1"], ["--out", "page.pdf"]])
def test_options_out_of_range_are_one_line(three: Path, capsys: pytest.CaptureFixture[str], options: list[str]):
    assert main(["report", str(three / "maeeg"), *options]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_what_a_file_says_is_never_taken_for_markup(tmp_path: Path):
    test = alignment_test()
    assert test.data is not None
    test = replace(test, data=replace(test.data, name="<script>alert(1)</script>"))
    run = make_run(tmp_path / "run", "AlignmentTask", test)
    assert main(["report", str(run)]) == 0
    page = Page((run / "report.html").read_text(encoding="utf-8"))
    assert not page.all("script")
    assert "<script>alert(1)</script>" in page.text


def test_a_page_stays_small_and_names_what_it_leaves_out(three: Path, tmp_path: Path):
    out = tmp_path / "small.html"
    written = write_page([read_run(three / "diffusion")], out, limit=60_000)
    assert written.refused
    assert out.stat().st_size < 100_000
    assert written.refused[0] in Page(out.read_text(encoding="utf-8")).text


def test_runs_of_one_stage_are_told_apart_by_their_folders(three: Path, tmp_path: Path):
    shutil.copytree(three / "maeeg", tmp_path / "other")
    out = tmp_path / "two.html"
    write_page([read_run(three / "maeeg"), read_run(tmp_path / "other")], out)
    assert "(MAEEG), other Verdicts" in Page(out.read_text(encoding="utf-8")).text


def test_a_resumed_run_has_one_curve(tmp_path: Path):
    for start, level in ((0, 1.0), (3, 2.0)):
        with SummaryWriter(str(tmp_path / str(start))) as writer:
            for step in range(start, start + 5):
                writer.add_scalar("train/loss", level, step)
    curve = read_events([next((tmp_path / name).glob("events*")) for name in ("0", "3")]).scalars["train/loss"]
    assert curve.steps == list(range(8))
    assert curve.values == [1.0] * 3 + [2.0] * 5
