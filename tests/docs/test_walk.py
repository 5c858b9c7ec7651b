"""The commands of the documentation are run to the end, page by page, as a reader would, on little data.

A line is run with the shipped configs and with options that make it quick. The next page finds the files of the
previous one. ``make TARGET`` stands for the lines that ``make -n`` prints. `make test` runs the first page without the
lines of ``LONG``; all others are slow. Lines of ``NOT_HERE`` are never run; ``test_commands.py`` parses every line.
"""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mne
import numpy as np
import pytest
import soundfile

from eeg2speech.cli import STAGES, main
from tests.data.readers.bids_files import NAMES, TYPES, volts, write_recording, write_tsv
from tests.data.readers.feis_files import write_feis
from tests.data.readers.sparrkulee_files import write_published, write_sparrkulee
from tests.docs.blocks import PAGES, ROOT, Command, commands, made_of, words_of, write_files

NOT_HERE = {
    r"make (test|install|install-dev|tensorboard)\b": "installs, or does not end; CI and tests/browser do it",
    r"(source|export|pip install) ": "changes the shell or its environment",
    r"\.venv/bin/pre-commit ": "changes the repository",
    r"(DIFFUSION=.+ )?(configs/slurm/|sbatch |squeue |scancel |tail )": "needs a cluster; tests/slurm starts one",
    r".*configs/diffusion/published\.yaml": "needs weights from the hub",
    r".*configs/alignment\.yaml --config mine\.yaml --data\.store STORE": "needs weights from the hub",
    r".* --model\.init_args\.compile true": "compiles for minutes; a slow test does, tests/test_precision.py",
    r"eeg2speech sweep ": "takes hours; tests/test_sweep.py runs small ones",
}
"""Regular expressions of lines, and why they are not run."""
LONG = re.compile(
    r"\S*eeg2speech test --config configs/(alignment|diffusion)|.*encoder_base\.yaml|.*/ddp\.yaml|.*/loud\.yaml"
)
"""Lines that take half a minute and more: run only where slow tests are."""
EMBEDDED = ["simulation.subjects=3", "simulation.channels=8"]
SHORT = ["--trainer.max_steps=2", "--trainer.val_check_interval=2", "--trainer.enable_progress_bar=false",
         "--data.batch_size=4"]  # fmt: skip
QUICK = {"generate": ["--steps=2", "--limit=2"], "resynthesise": ["--steps=2"]}
LEAVES = {
    "quick-start.md": [
        "runs/report.html", "runs/maeeg/test.json", "runs/audiomae/test.json", "runs/alignment/aligner/config.json",
        "runs/short/encoder/config.json", "runs/wide/encoder/config.json", "speech/generated.tsv",
        "ceiling/story_loa.wav",
    ],
    "own-data.md": ["stores/clean/dataset.json", "mine.html"],
    "protocols.md": ["stores/sparrkulee/dataset.json", "runs/challenge/aligner/config.json"],
    "README.md": ["my_encoder/encoder.safetensors"],
}  # fmt: skip
"""Some files that are there after a page."""
FIRST = "quick-start.md"
ORDER = sorted(PAGES, key=lambda page: page.name != FIRST)


class Walk:
    """A reader's folder and home, and what was typed there; ``whole``: also what takes long."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, whole: bool) -> None:
        self.folder, self.patch, self.whole = folder, patch, whole
        self.typed: set[str] = set()
        self.first: frozenset[str] = frozenset()

    def page(self, page: Path) -> None:
        """Type what a page shows, after what the first one shows and nothing else."""
        kept, runs = self.folder / "kept", self.folder / "runs"
        if page.name != FIRST:
            if not kept.exists():
                self.page(ORDER[0])
                shutil.copytree(runs, kept)
                self.first = frozenset(self.typed)
            shutil.rmtree(runs)
            shutil.copytree(kept, runs)
            self.typed = set(self.first)
        for file in (*self.folder.glob("*.yaml"), *self.folder.glob("*.py")):
            file.unlink()  # of the page before
        write_files(page, self.folder)
        for command in commands():
            if command.page == page and not left_out(command):
                for line in expanded(command.text):
                    self.line(line)

    def line(self, line: str) -> None:
        """Type a line, unless nothing can have changed since it was typed before."""
        line = line.partition("  #")[0].rstrip()
        if LONG.match(line) and not self.whole:
            return
        words = [
            str(Path(word).expanduser()) if word[0] == "~" else word
            for word in words_of(line.replace("/data/", f"{self.folder}/data/"))
        ]
        own = {word for word in words if word.endswith((".yaml", ".py")) and not word.startswith("configs/")}
        if line in self.typed and not own and "prepare" not in words:
            return
        self.typed.add(line)
        while found := re.fullmatch(r"([A-Z_]+)=(.*)", words[0]):
            assert found[1] == "PYTHONPATH"
            self.patch.syspath_prepend(str(self.folder / found[2]))
            words = words[1:]
        if words[0] == "python" and words[1] == "-m":
            words = words[2:]
        assert self._status(words) == 0, line

    def _status(self, words: list[str]) -> int:
        if words[0] == "python":
            self.patch.setattr(sys, "argv", words[1:])
            with pytest.raises(SystemExit) as left:
                runpy.run_path(words[1], run_name="__main__")
            return int(left.value.code or 0)
        assert words[0] in ("eeg2speech", ".venv/bin/eeg2speech"), words
        words = self._quick(words[1:])
        if words[0] == "prepare" and "--help" not in words:
            shutil.rmtree(words[3], ignore_errors=True)  # what another line has prepared there
        if any(word.startswith("configs/trainer/") for word in words):  # processes that find each other
            on_cpu = ["--trainer.accelerator=cpu", "--trainer.devices=1"]
            return subprocess.run([sys.executable, "-m", "eeg2speech", *words, *on_cpu], check=False).returncode
        try:
            return main(words)
        except SystemExit as left:
            return int(left.code or 0)

    def _quick(self, words: list[str]) -> list[str]:
        asks = any(word.startswith(("--help", "--print_config")) for word in words)
        if words[:2] == ["prepare", "demo"]:
            return [*words, *(f"--{setting}" for setting in EMBEDDED)]
        if words[0] not in STAGES or asks:
            return [*words, *QUICK.get(words[0], [])]
        overlays = "".join(Path(word).read_text() for word in words if word.endswith(".yaml"))
        stored = "--data.store" in words or re.search(r"^  store:", overlays, re.MULTILINE)
        made = [] if stored else [*(f"--data.{setting}" for setting in EMBEDDED), "--data.simulation.passages=16"]
        more = []
        if "configs/diffusion.yaml" in words:
            more.append("--model.init_args.sampler.steps=2")
            if words[0] == "test":  # the small components were trained on sounds that this split of few holds out
                more.append("--allow_seen=true")
        return [*words, *SHORT, *made, *more]


def left_out(command: Command) -> bool:
    return any(re.match(pattern, command.text) for pattern in NOT_HERE)


def expanded(line: str) -> list[str]:
    """What a target of make runs, else the line itself."""
    words = words_of(line)
    if words[0] != "make":
        return [line]
    return [row for row in made_of(words[1:]) if row.startswith(".venv/bin/eeg2speech")]


@pytest.fixture(
    scope="module", params=[pytest.param(False, id="short"), pytest.param(True, id="whole", marks=pytest.mark.slow)]
)
def walk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """Data in the layouts that the pages name, in the places that they name."""
    folder = tmp_path_factory.mktemp("walk")
    home = folder / "home"
    home.mkdir()
    (folder / "configs").symlink_to(ROOT / "configs")
    _write_dataset(home / "my_dataset")
    _write_recordings(home / "my_recordings")
    (home / "recordings").symlink_to(home / "my_recordings")
    for number in range(8):
        _write_sound(home / "sounds" / f"passage{number}.wav", 12.0, number)
    _write_sound(folder / "story.wav", 8.0, 8)
    write_feis(home / "FEIS", ("01", "02"), ("thinking", "stimuli"))
    published = write_sparrkulee(
        folder / "data/SparrKULee", seconds=40.0, stimuli=tuple(f"audiobook_{i}" for i in "123456")
    )
    write_published(published)
    rng = np.random.default_rng(0)
    for subject in ("S01", "S02"):
        for run in ("run1", "run2"):
            _write_sound(folder / f"mylab/{subject}/{run}.wav", 10.0, int(run[-1]))
            np.save(folder / f"mylab/{subject}/{run}.npy", 10 * rng.standard_normal((8, 2500)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOME", str(home))
        made = Walk(folder, patch, request.param)
        made.line("eeg2speech prepare demo ~/sounds STORE")
        yield made


@pytest.mark.filterwarnings("default")  # a reader sees them, and goes on
@pytest.mark.parametrize(
    "page", [pytest.param(page, id=page.name, marks=() if page.name == FIRST else pytest.mark.slow) for page in ORDER]
)
def test_what_a_page_shows_works(page: Path, walk: Walk) -> None:
    walk.page(page)
    left = {file: walk.folder / file for file in LEAVES.get(page.name, [])}
    assert not [file for file, path in left.items() if not (path.is_file() and path.stat().st_size)]


@pytest.mark.parametrize("pattern", NOT_HERE)
def test_every_reason_is_of_a_line_that_is_there(pattern: str) -> None:
    assert [command for command in commands() if re.match(pattern, command.text)]


def _write_sound(file: Path, seconds: float, seed: int) -> None:
    """Noise that is loud and soft as speech is."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    time = np.arange(round(16_000 * seconds)) / 16_000
    loud = np.interp(time, np.arange(0, seconds + 1, 0.15), rng.random(len(np.arange(0, seconds + 1, 0.15))))
    soundfile.write(file, 0.3 * loud * rng.standard_normal(len(time)), 16_000)


def _write_dataset(root: Path) -> None:
    """In BIDS: four people hear six chapters, each in a run of its own; one also hears words, and reads."""
    root.mkdir()
    (root / "dataset_description.json").write_text('{"Name": "Mine", "BIDSVersion": "1.9.0", "License": "CC0"}')
    for run in range(1, 7):
        _write_sound(root / f"stimuli/chapter{run:02d}.wav", 16.0, run)
    _write_sound(root / "stimuli/words/dog.wav", 5.0, 7)
    _write_sound(root / "sub-01/beh/sub-01_task-reading_run-1_beh.wav", 16.0, 9)
    chapter = {"onset": 0.0, "duration": 16.0, "trial_type": "heard"}
    for subject in range(1, 5):
        for run in range(1, 7):
            _write_run(root, subject, "story", run, {**chapter, "stim_file": f"chapter{run:02d}.wav"})
    _write_run(
        root, 1, "words", 1, {"onset": 2.0, "duration": 5.0, "trial_type": "word/dog", "stim_file": "words/dog.wav"}
    )
    _write_run(root, 1, "reading", 1, {"onset": 0.0, "duration": 16.0, "trial_type": "reads", "stim_file": "n/a"})


def _write_run(root: Path, subject: int, task: str, run: int, event: dict[str, object]) -> None:
    stem = root / f"sub-{subject:02d}/eeg/sub-{subject:02d}_task-{task}_run-{run}"
    seed = int.from_bytes(f"{subject} {task} {run}".encode())
    write_recording(Path(f"{stem}_eeg.vhdr"), volts(len(NAMES), 6000, seed))
    rows = [{"name": name, "type": TYPES.get(name, "EEG"), "units": "µV", "status": "good"} for name in NAMES]
    write_tsv(Path(f"{stem}_channels.tsv"), rows)
    write_tsv(Path(f"{stem}_events.tsv"), [event])


def _write_recordings(root: Path) -> None:
    """A folder of files: two people, who hear what an annotation says."""
    info = mne.create_info(["Fp1", "Fp2", "C3", "C4", "T7", "T8", "O1", "O2"], 250.0, "eeg")
    _write_sound(root / "sounds/wolf.wav", 10.0, 1)
    rng = np.random.default_rng(0)
    for subject in ("S01", "S02"):
        raw = mne.io.RawArray(1e-5 * rng.standard_normal((8, 5000)), info, verbose="ERROR")
        raw.set_annotations(mne.Annotations([1.0], [10.0], ["story/wolf"]))
        (root / subject).mkdir()
        raw.save(root / subject / "run1.fif", verbose="ERROR")
