"""What was counted and not sampled: how it is known, and how its counts are called."""

from __future__ import annotations

from helpers import heaps
from helpers.stacks import profile
from tailflame.analyse.counted import as_counted, counts_word, first_weight, has_counts, is_exact, tells_amounts
from tailflame.model import Event, StackBuilder, StackProfile, Weight
from tailflame.model.heap import PEAK, TEMPORARY
from tailflame.units import Unit


def of(event: Event, *rows: tuple[float, float]) -> StackProfile:
    """A profile of one event with rows of (count, period)."""
    builder = StackBuilder(events=[event])
    stack = builder.stack([builder.frame("main")])
    for count, period in rows:
        builder.sample(stack, count=count, period=period)
    return builder.build()


def test_what_a_file_says_was_counted_is_believed() -> None:
    counted = of(Event("Calls", Unit.CALLS, counted_in=Unit.CALLS, exact=True), (1, 1))
    assert is_exact(counted, 0)
    assert counts_word(counted.events[0]) == "calls"


def test_callgrind_of_an_old_recording_is_known_by_its_rows() -> None:
    old = of(Event("Ir", Unit.EVENTS, has_period=True), (700, 700), (3, 3))
    assert is_exact(old, 0) and as_counted(old, 0).exact
    assert counts_word(as_counted(old, 0)) == "Ir"
    assert not has_counts(old, 0), "the counts are the periods"
    assert first_weight(old, 0) is Weight.PERIOD


def test_samples_of_a_hardware_event_are_samples() -> None:
    cycles = of(Event("cycles", Unit.EVENTS, has_period=True), (1, 1), (1, 250_003), (1, 250_101))
    assert not is_exact(cycles, 0)
    assert counts_word(as_counted(cycles, 0)) == "samples"
    assert has_counts(cycles, 0)
    faults = of(Event("page-faults", Unit.EVENTS, has_period=True), (1, 1), (1, 1))
    assert not is_exact(faults, 0), "one at a time is a sample each, too"
    assert not is_exact(profile("main 3"), 0)
    assert not is_exact(of(Event("Ir", Unit.EVENTS, has_period=True)), 0), "nothing tells"


def test_rows_of_another_event_say_nothing_of_this_one() -> None:
    builder = StackBuilder(events=[Event("a", Unit.EVENTS, True), Event("b", Unit.EVENTS, True)])
    stack = builder.stack([builder.frame("main")])
    for _ in range(1200):
        builder.sample(stack, count=1, period=9, event=0)
    builder.sample(stack, count=40, period=40, event=1)
    made = builder.build()
    assert [is_exact(made, event) for event in (0, 1)] == [False, True]


def test_what_is_scaled_up_to_blocks_tells_amounts_though_it_was_sampled() -> None:
    estimated = of(Event("In use", Unit.BYTES, True, Unit.BLOCKS), (99.1, 407_600))
    assert not is_exact(estimated, 0)
    assert tells_amounts(as_counted(estimated, 0))
    assert counts_word(as_counted(estimated, 0)) == "blocks"
    assert not tells_amounts(profile("main 3").events[0])


def test_a_heap_is_counted_in_blocks_and_in_calls() -> None:
    made = heaps.profile()
    names = [event.name for event in made.events]
    peak, temporary = names.index(PEAK), names.index(TEMPORARY)
    assert counts_word(made.events[peak]) == "blocks"
    assert counts_word(made.events[temporary]) == "allocations"
    assert has_counts(made, peak)
    assert first_weight(made, temporary) is Weight.SAMPLES
    massif = heaps.massif().profile
    assert massif is not None
    assert not has_counts(massif, 0), "massif tells no blocks"
