"""Two heaps: which events go with which, what sites changed by, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from helpers import heaps
from helpers.heaps import BOOK, INTERN, PARSE
from tailflame.analyse.diff import Comparison, Scale, compare
from tailflame.analyse.heap_diff import SiteDeltas, site_deltas
from tailflame.analyse.heap_events import paired_events, peak_event, snapshot_events
from tailflame.model import Recording, StackProfile, Weight
from tailflame.model.heap import ALLOCATED, LEAKED, PEAK, TEMPORARY
from tailflame.units import Unit


def deltas(before: Recording, after: Recording) -> SiteDeltas:
    made = site_deltas(before, after)
    assert made is not None
    return made


def profile_of(recording: Recording) -> StackProfile:
    assert recording.profile is not None
    return recording.profile


def compared(before: Recording, after: Recording, name: str, weight: Weight = Weight.PERIOD) -> Comparison:
    pair = next(pair for pair in paired_events(before, after) if pair[0] == name)
    return compare(
        profile_of(before), profile_of(after), event_before=pair[1], event_after=pair[2], weight=weight
    )  # fmt: skip


def test_the_peak_is_an_event_of_its_own_or_the_snapshot_that_the_tool_marks() -> None:
    assert peak_event(heaps.heaptrack()) == 0
    assert peak_event(heaps.massif()) == 1
    assert peak_event(replace(heaps.massif(), results=(heaps.timeline(),))) == -1


def test_without_a_tree_at_the_peak_the_largest_snapshot_stands_for_it() -> None:
    massif = heaps.massif()
    heap = heaps.timeline(events=((1, 0), (5, 2)), peak_marked=True)
    assert peak_event(replace(massif, results=(heap, profile_of(massif)))) == 2


def test_the_same_names_are_compared_and_of_snapshots_the_peaks() -> None:
    assert [name for name, _b, _a in paired_events(heaps.heaptrack(), heaps.grown())] == [
        PEAK, ALLOCATED, TEMPORARY, LEAKED,
    ]  # fmt: skip
    massif = heaps.massif()
    assert paired_events(massif, massif) == ((PEAK, 1, 1),), "what is snapshot 5 of another run?"
    assert snapshot_events(massif) == {0, 1, 2}
    assert paired_events(massif, heaps.heaptrack()) == ((PEAK, 1, 0),)
    assert paired_events(massif, replace(massif, results=())) == ()


def test_a_snapshot_that_stands_for_the_peak_is_not_called_so() -> None:
    massif = heaps.massif()
    heap = heaps.timeline(events=((1, 0), (5, 2)))
    without = replace(massif, results=(heap, profile_of(massif)))
    assert paired_events(without, massif) == (("Largest snapshot", 2, 1),)


def test_sites_go_together_by_function_the_largest_change_first() -> None:
    made = deltas(heaps.heaptrack(), heaps.grown())
    assert made.names == (INTERN, PARSE, BOOK)
    before, after = made.sides("peak")
    assert (after - before).tolist() == [3_100_000, -400_000, 0]
    before, after = made.sides("allocations")
    assert (after - before).tolist() == [6_000, -21_000, 0]
    assert made.known == {"peak", "allocations", "temporary", "leaked"}
    assert (made.file[0], made.line[0]) == ("src/validation.rs", 12)


def test_hashes_and_lines_do_not_part_a_site() -> None:
    one = heaps.profile({PEAK: (Unit.BLOCKS, True, (("main;engine::grow::h0123456789abcdef", 2, 100),))})
    other = heaps.profile({PEAK: (Unit.BLOCKS, True, (("main;engine::grow::hfedcba9876543210", 2, 140),))})
    before, after = (replace(heaps.heaptrack(), results=(heaps.timeline(), p)) for p in (one, other))
    made = deltas(before, after)
    assert len(made) == 1
    assert [float(side[0]) for side in made.sides("peak")] == [100, 140]
    assert made.known == {"peak"}


def test_a_side_without_stacks_has_no_sites() -> None:
    bare = replace(heaps.heaptrack(), results=(heaps.timeline(),))
    assert site_deltas(bare, heaps.grown()) is None


def test_counted_bytes_are_compared_as_they_are() -> None:
    made = compared(heaps.heaptrack(), heaps.grown(), PEAK)
    assert made.exact and made.scale == 1.0 and made.natural_scale is Scale.ABSOLUTE
    table = made.table
    assert table.names[0] == INTERN, "the largest difference of bytes comes first"
    row = table.row(INTERN)
    assert table.change[row] == pytest.approx(1.24)
    assert table.low[row] == table.high[row] == table.change[row], "there is no interval"
    assert not table.tested.any() and np.isnan(table.p).all()
    same = table.row(BOOK)
    assert not table.significant[same] and table.change[same] == 0
    assert "counted exactly" in made.test.casefold()
    assert "noise" not in " ".join(made.verdict)


def test_the_verdict_names_the_whole_and_who_moved_it() -> None:
    made = compared(heaps.heaptrack(), heaps.grown(), PEAK)
    assert made.verdict == (
        "Peak heap: 8.9 MB to 11.6 MB (+30%).",
        "validation::intern +3.1 MB: 2.5 MB to 5.6 MB (+124%).",
        "feed::parse is gone: it had 400 kB.",
    )
    calls = compared(heaps.heaptrack(), heaps.grown(), ALLOCATED, Weight.SAMPLES)
    assert calls.verdict[0] == "Allocated: 35,000 to 20,000 allocations (−43%)."
    assert calls.verdict[1] == "feed::parse is gone: it had 21,000 allocations."


def test_the_same_heap_twice_differs_in_nothing() -> None:
    made = compared(heaps.heaptrack(), heaps.heaptrack(), PEAK)
    assert made.verdict == ("Peak heap: 8.9 MB on both sides.", "Nothing differs.")
    assert not made.table.significant.any() and not made.tree.significant.any()


def test_massif_without_counts_is_compared_by_its_bytes() -> None:
    massif = heaps.massif()
    made = compared(massif, heaps.grown(), PEAK)
    assert made.exact
    assert made.verdict[0] == "In use: 8.9 MB to 11.6 MB (+30%)."
    assert made.table.samples_before[made.table.row(INTERN)] == 2_900_000, "samples of exact events are their weights"


def test_nodes_that_differ_are_marked_however_small() -> None:
    made = compared(heaps.heaptrack(), heaps.grown(), PEAK)
    marked = {made.tree.name(node) for node in np.flatnonzero(made.tree.significant)}
    assert marked == {"main", "engine::run", INTERN, PARSE}


def test_a_sampled_side_is_tested_as_ever() -> None:
    sampled = heaps.profile()
    events = tuple(replace(event, exact=False, counted_in=Unit.SAMPLES) for event in sampled.events)
    made = compare(replace(sampled, events=events), heaps.profile(), weight=Weight.PERIOD)
    assert not made.exact and made.natural_scale is Scale.NORMALISED
    assert made.test.startswith("Log ratio")


def test_an_estimated_heap_is_compared_by_its_amounts_and_said_to_be_estimated() -> None:
    estimated = heaps.profile()
    events = tuple(replace(event, exact=False) for event in estimated.events)
    made = compare(replace(estimated, events=events), heaps.profile(), weight=Weight.PERIOD)
    assert made.exact and made.test.startswith("Estimated from samples")
