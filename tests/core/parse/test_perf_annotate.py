"""The text of perf annotate: each instruction's samples, and together those that perf report tells."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.stack_counts import DATA
from tailflame.analyse.annotate import code_places, line_costs, place_tree
from tailflame.analyse.hotspots import hotspots
from tailflame.analyse.tree import TreeOptions
from tailflame.errors import ParseError
from tailflame.model import Recording, StackProfile, Weight
from tailflame.parse import load
from tailflame.parse.perf_annotate import PERF_ANNOTATE
from tailflame.units import Unit

HERE = DATA / "perf-annotate" / "6.1.187"


def profile_of(recording: Recording) -> StackProfile:
    assert recording.profile is not None
    return recording.profile


def reported() -> dict[tuple[str, str], tuple[float, float]]:
    """(samples, period) by (event, function) of perf report."""
    found, event = {}, ""
    for line in (HERE / "report.txt").read_text().splitlines():
        if "of event '" in line:
            event = line.split("'")[1]
        elif line and not line.startswith("#"):
            _share, samples, period, symbol = (word.strip() for word in line.split("|"))
            found[event, symbol.removeprefix("[.] ")] = (float(samples), float(period))
    return found


@pytest.mark.parametrize("name", ["samples", "colour"])
def test_samples_are_those_of_perf_report(name: str) -> None:
    recording = load(HERE / f"{name}.txt")
    assert recording.format == "perf-annotate"
    profile = profile_of(recording)
    found = {}
    for number, event in enumerate(profile.events):
        table = hotspots(profile, event=number)
        for key, samples in zip(table.key, table.self_samples.tolist(), strict=True):
            found[event.name, key] = samples
    assert found == {key: samples for key, (samples, _period) in reported().items()}
    assert len(recording.warnings) == 1 and "without their callers" in recording.warnings[0].text


def test_periods_are_those_of_perf_report() -> None:
    profile = profile_of(load(HERE / "period.txt"))
    assert profile.events[0].has_period and profile.events[0].unit is Unit.EVENTS
    table = hotspots(profile, weight=Weight.PERIOD)
    found = dict(zip(table.key, table.self_weight.tolist(), strict=True))
    expected = {key: period for (event, key), (_samples, period) in reported().items() if event == "cpu-clock"}
    assert found == pytest.approx(expected, rel=1e-6)


def test_shares_come_to_the_samples_of_the_head() -> None:
    recording = load(HERE / "percent.txt")
    profile = profile_of(recording)
    assert profile.approximate
    assert profile.total() == pytest.approx(155, abs=0.1)
    assert "--show-nr-samples" in recording.warnings[1].fix


def test_lines_and_instructions() -> None:
    profile = profile_of(load(HERE / "samples.txt"))
    tree = place_tree(profile, TreeOptions())
    costs = line_costs(tree, "loop.c")
    assert dict(zip(costs.line.tolist(), costs.own.tolist(), strict=True)) == {12: 3, 18: 114, 19: 38}
    (place,) = code_places(profile, tree, "mix")
    assert place.module == "loop"
    assert dict(zip(map(hex, place.address.tolist()), place.weight.tolist(), strict=True)) == {
        "0x1192": 38, "0x1197": 114,
    }  # fmt: skip


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "unknown"
    path.write_text((HERE / "samples.txt").read_text().replace("\n", "\r\n"))
    known, unknown = profile_of(load(HERE / "samples.txt")), profile_of(load(path))
    assert np.array_equal(unknown.samples.count, known.samples.count)
    assert unknown.frames.strings == known.frames.strings


@pytest.mark.parametrize(
    "head", ["", "Samples | other\n", "main;f 3\n", "# Samples: 171  of event 'cpu-clock'\n", "\0"]
)
def test_other_texts_are_not_taken(head: str) -> None:
    assert PERF_ANNOTATE.sniff(head.encode(), "annotate.txt") < 0


def test_a_text_cut_after_any_line_is_refused_or_told(tmp_path: Path) -> None:
    lines = (HERE / "samples.txt").read_text().splitlines(keepends=True)
    path = tmp_path / "cut.txt"
    last = max(at for at, line in enumerate(lines) if line.lstrip()[:1].isdigit() and line.lstrip()[0] != "0")
    whole = load(HERE / "samples.txt").warnings
    for kept in range(1, last + 1):
        path.write_text("".join(lines[:kept]))
        try:
            recording = load(path)
        except ParseError as error:
            assert error.sentence.endswith(".")
        else:
            total = sum(profile_of(recording).total(event=e) for e in range(len(profile_of(recording).events)))
            if "Not all of" not in " ".join(w.text for w in recording.warnings):
                assert total in (152, 155) and recording.warnings == whole


@pytest.mark.parametrize("row", ["  -3 :   1185:   nop", "  1e9 :  11:  nop", " x :   1185:   nop", "what is this"])
def test_a_line_that_is_none_is_told(row: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.txt"
    text = (HERE / "samples.txt").read_text().splitlines()
    path.write_text("\n".join([*text[:16], row, *text[16:]]))
    recording = load(path)
    assert "1 line is no part of the format" in recording.warnings[-1].text
    assert profile_of(recording).total() == 155


HEAD = " Samples |\tSource code & Disassembly of app for cycles ({} samples, percent: local period)\n---------\n"


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 2**63)), min_size=1, max_size=20))
def test_any_text_adds_up(rows: list[tuple[int, int]]) -> None:
    total = sum(samples for samples, _address in rows)
    text = HEAD.format(total) + "".join(f"  {samples} :   {address:x}:  nop\n" for samples, address in rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.txt")
        path.write_text(text)
        if not total:
            with pytest.raises(ParseError, match="no samples"):
                load(path, format="perf-annotate")
            return
        recording = load(path, format="perf-annotate")
    assert profile_of(recording).total() == total
    assert len(recording.warnings) == 1


def test_noise_is_refused_or_read(tmp_path: Path) -> None:
    dice = random.Random(3)
    text = (HERE / "samples.txt").read_bytes()
    path = tmp_path / "noise.txt"
    for _ in range(40):
        damaged = bytearray(text)
        for _ in range(dice.randrange(1, 30)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        path.write_bytes(bytes(damaged))
        try:
            load(path, format="perf-annotate")
        except ParseError as error:
            assert error.sentence.endswith(".")
