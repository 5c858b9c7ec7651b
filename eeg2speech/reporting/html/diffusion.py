"""Stage 3: whether speech that was made from EEG carries what was heard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eeg2speech.checkpoints.training_record import verdict_words
from eeg2speech.plotting import compared_figure
from eeg2speech.reporting.html.embed import Budget, embed_figure
from eeg2speech.reporting.html.figures import cell_of, mark_of, mark_text
from eeg2speech.reporting.html.origin import list_title
from eeg2speech.reporting.html.views import Cell, Row, RunView, Section, Table, Verdict, number

ARMS = {
    "truth": "recording",
    "round trip": "recording, through autoencoder and vocoder",
    "loa": "speech from its own LOA: the ceiling",
    "eeg": "speech from EEG",
    "noise": "noise in place of EEG",
    "another trial": "EEG of another trial",
    "unconditional": "no condition",
}
CONTROLS = ("noise", "another trial", "unconditional")
QUALITY = {
    "mel_corr": "mel corr.", "band_corr": "band corr.", "mcd_dtw": "MCD, dB", "lsd": "LSD, dB", "stoi": "STOI",
    "estoi": "ESTOI", "pesq": "PESQ", "wer": "WER",
}  # fmt: skip


def show_speech(view: RunView, found: Mapping[str, Any], budget: Budget) -> None:
    """Add what the test of a speaker found."""
    for split, results in found["lists"].items():
        view.verdicts.append(_verdict(view, split, results, budget))
    judged = found.get("verdict", {}).get("list")
    names = list(found["lists"])
    place = names.index(judged) if judged in names else 0
    main = found["lists"][names[place]]
    cell = cell_of(main["verdict"]["figure"])
    way = main["verdict"]["way"]
    chance = number(main["verdict"]["figure"]["chance"])
    view.headline = (
        view.verdicts[place].words, Cell(f"{way}-way {cell.text}", f"{cell.note}; chance {chance}"),
    )  # fmt: skip
    tables = [_identification(view, split, one) for split, one in found["lists"].items()]
    tables += [_quality(view, split, one) for split, one in found["lists"].items()]
    left = "".join(f" {name.upper()} was left out: {why}." for name, why in found.get("left out", {}).items())
    measure = found.get("measure", "")
    view.sections.append(Section("Figures", f"{measure[:1].upper()}{measure[1:]}.{left}", tables))


def variant_title(arm: str) -> str:
    """What an arm is, in words."""
    return ARMS.get(arm, arm)


def _verdict(view: RunView, split: str, results: Mapping[str, Any], budget: Budget) -> Verdict:
    verdict, title = results["verdict"], list_title(split, bool(results["verdict"].get("seen")))
    way = str(verdict["way"])
    arms = {name: ways[way] for name, ways in results["identification"].items() if way in ways}
    own = mark_of(variant_title("eeg"), verdict["figure"], own=True)
    controls = [mark_of(variant_title(name), arms[name]) for name in CONTROLS if name in arms]
    ceiling = [mark_of("its own LOA: the ceiling", arms["loa"])] if "loa" in arms else []
    null, chance = arms["eeg"], verdict["figure"]["chance"]
    figure = compared_figure(
        [*ceiling, own, *controls], (null["null_low"], null["null_high"]), null["percentile_99"], chance,
        view.caption(title), f"own sound found among {way}",
    )  # fmt: skip
    alt = (
        f"{mark_text(own)}. 95 % of {null['permutations']} permutations lie from {number(null['null_low'])} to "
        f"{number(null['null_high'])}, their 99th percentile at {number(null['percentile_99'])}, chance at "
        f"{number(chance)}. Others: {'; '.join(mark_text(mark) for mark in (*ceiling, *controls))}."
    )
    caption = view.caption(f"share of clips whose own sound is found among {way}, {title}")
    words = verdict_words(verdict, "EEG carries speech information", "no speech information from EEG", "informed")
    reasons = [*verdict["reasons"], f"p = {number(verdict['p'])}, {results['windows']} clips"]
    known = results.get("stimuli of the pretrained parts") or []
    if known:
        reasons.append(f"The pretrained parts have heard {len(known)} of its {results['stimuli']} stimuli")
    good = None if verdict.get("seen") else bool(verdict["informed"])
    return Verdict(title, words, good, reasons, embed_figure(figure, alt, caption, budget))


def _arms(results: Mapping[str, Any], key: str) -> list[str]:
    found = results[key]
    return [name for name in ARMS if name in found] + [name for name in found if name not in ARMS]


def _identification(view: RunView, split: str, results: Mapping[str, Any]) -> Table:
    found = results["identification"]
    ways = sorted({way for arm in found.values() for way in arm}, key=int)
    rows = [
        Row(variant_title(arm), [cell_of(found[arm].get(way)) for way in ways], arm == "eeg")
        for arm in _arms(results, "identification")
    ]
    eeg = found.get("eeg", {})
    rows.append(
        Row("99 % of EEG's permutations below", [Cell(number(eeg.get(way, {}).get("percentile_99"))) for way in ways])
    )
    rows.append(Row("chance", [Cell(number(eeg.get(way, {}).get("chance"))) for way in ways]))
    caption = view.caption(f"own sound found, {list_title(split)}: {results['windows']} clips, 95 % intervals")
    return Table(caption, ("Arm", *(f"among {way}" for way in ways)), rows)


def _quality(view: RunView, split: str, results: Mapping[str, Any]) -> Table:
    found, distance = results["quality"], results.get("frechet", {})
    names = list(dict.fromkeys(name for arm in found.values() for name in arm))
    names.sort(key=lambda name: list(QUALITY).index(name) if name in QUALITY else len(QUALITY))
    rows = [
        Row(
            variant_title(arm),
            [*(cell_of(found[arm].get(name)) for name in names), cell_of(distance.get(arm))],
            arm == "eeg",
        )
        for arm in _arms(results, "quality")
    ]
    note = "Against the recording. MCD, LSD, WER and the Frechet distance: less is better. None of them is a verdict."
    caption = view.caption(f"sound quality, {list_title(split)}, 95 % intervals")
    return Table(caption, ("Arm", *(QUALITY.get(name, name) for name in names), "Frechet"), rows, note)
