"""Snapshots as slices: less their predecessor where they count from the start, and by themselves elsewhere."""

from __future__ import annotations

from helpers.stacks import profile
from tailflame.analyse.slices import merge
from tailflame.analyse.snapshots import RESTARTED, Mode, Snapshot, SnapshotSlices

FIRST = "main;a 10\nmain;b 5"
MORE = "main;a 4\nmain;c 6"


def cumulative() -> list[Snapshot]:
    one = profile(FIRST)
    two = merge([one, profile(MORE)])
    three = merge([two, profile(MORE)])
    return [Snapshot(10.0, one, "1.svg"), Snapshot(12.0, two, "2.svg"), Snapshot(15.0, three, "3.svg")]


def test_cumulative_snapshots_are_found_out_and_shown_less_their_predecessor() -> None:
    three = cumulative()
    found = SnapshotSlices().of([three[2], three[0], three[1]])  # in whatever order they come
    assert (found.cumulative, found.guessed) == (True, True)
    assert [part.profile.total() for part in found.slices] == [15, 10, 10]
    assert [(part.start_s, part.end_s) for part in found.slices] == [(7.5, 10.0), (10.0, 12.0), (12.0, 15.0)]
    assert [part.source for part in found.slices] == ["1.svg", "2.svg", "3.svg"]
    assert "less the one before" in found.sentence


def test_the_switch_wins_over_the_guess() -> None:
    slicer = SnapshotSlices()
    each = slicer.of(cumulative(), Mode.EACH)
    assert [part.profile.total() for part in each.slices] == [15, 25, 35]
    assert not each.cumulative
    two = slicer.of(cumulative()[:2], Mode.CUMULATIVE)
    assert [part.profile.total() for part in two.slices] == [15, 10]
    assert not slicer.of(cumulative()[:2]).cumulative  # two are too few to guess from


def test_a_program_that_was_started_anew_is_shown_whole_and_said() -> None:
    again = [*cumulative(), Snapshot(20.0, profile(MORE), "4.svg")]
    found = SnapshotSlices().of(again, Mode.CUMULATIVE)
    assert [part.profile.total() for part in found.slices] == [15, 10, 10, 10]
    assert [part.note for part in found.slices] == ["", "", "", RESTARTED]


def test_files_that_tell_their_length_do_not_overlap() -> None:
    parts = SnapshotSlices().of(
        [Snapshot(10.0, profile(FIRST), "a", 2.0), Snapshot(11.0, profile(MORE), "b", 2.0)], Mode.EACH
    )
    assert [(part.start_s, part.end_s) for part in parts.slices] == [(8.0, 10.0), (10.0, 11.0)]


def test_samples_lie_in_their_slice() -> None:
    for part in SnapshotSlices().of(cumulative()).slices:
        times = part.profile.samples.time_ns / 1e9
        assert part.start_s <= times.min() <= times.max() < part.end_s
