"""The filter: what its language says, and which samples are in."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.stacks import drawn
from tailflame.analyse.filter_language import FilterError, Name, Range, Term, What, parse, text_of, with_term
from tailflame.analyse.sample_filter import EVERYTHING, SampleFilter, SampleRows, filtered, remark, rows, unmatched
from tailflame.analyse.tree import TreeOptions, build_tree, skeleton
from tailflame.model import StackBuilder, StackProfile, Thread, Weight
from tailflame.model.stacks import Event
from tailflame.units import Unit

ENGINE = Thread("engine", 100, 100)
WORKERS = (Thread("worker-0", 100, 101), Thread("worker-1", 100, 102))
LOGGER = Thread("logger", 200, 200)
START = 5_000_000_000


def profile() -> StackProfile:
    """Six samples, half a second apart: who, where, what."""
    builder = StackBuilder()
    cycles = builder.event(Event("cycles", Unit.EVENTS, has_period=True))
    misses = builder.event(Event("cache-misses", Unit.EVENTS, has_period=True))
    threads = [builder.thread(thread) for thread in (ENGINE, *WORKERS, LOGGER)]
    main = builder.frame("main", module="/opt/engine")
    frames = {
        "match": builder.frame("book::match_order", module="/opt/engine"),
        "memcpy": builder.frame("memcpy", module="/usr/lib/libc.so.6"),
        "write": builder.frame("write_log", module="/opt/engine"),
    }
    for at, (thread, stack, cpu, event) in enumerate(
        [
            (0, ("match",), 0, cycles),
            (1, ("match", "memcpy"), 1, cycles),
            (1, ("match",), 2, misses),
            (2, ("memcpy",), 3, cycles),
            (3, ("write",), 0, cycles),
            (3, ("write", "memcpy"), 5, cycles),
        ]
    ):
        leaf = builder.stack([main, *(frames[name] for name in stack)])
        time_ns = START + at * 500_000_000
        builder.sample(leaf, period=100.0, time_ns=time_ns, thread=threads[thread], cpu=cpu, event=event)
    return builder.build(in_time_order=True)


def chosen(text: str) -> list[int]:
    return np.flatnonzero(rows(profile(), SampleFilter(terms=parse(text)))).tolist()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", [0, 1, 2, 3, 4, 5]),
        ("thread:worker", [1, 2, 3]),
        ("thread:worker-?", [1, 2, 3]),
        ("thread:orker*", []),
        ("-thread:logger", [0, 1, 2, 3]),
        ("not thread:logger and cpu:0-2", [0, 1, 2]),
        ("thread:ENGINE,logger", [0, 4, 5]),
        ('thread:"work"', []),
        ('thread:"worker-1"', [3]),
        ("tid:102,200", [3, 4, 5]),
        ("pid:100 -tid:100", [1, 2, 3]),
        ("process:engine", [0, 1, 2, 3]),
        ("cpu:5-", [5]),
        ("-cpu:0,3-9", [1, 2]),
        ("event:cycles", [0, 1, 3, 4, 5]),
        ("function:match_order", [0, 1, 2]),
        ("function:MATCH* ", []),
        ("function:*match*", [0, 1, 2]),
        ("-function:memcpy,write", [0, 2]),
        ("module:libc", [1, 3, 5]),
        ("module:libc -function:match", [3, 5]),
        ("time:0.5-1.5s", [1, 2]),
        ("time:500ms-1.5s", [1, 2]),
        ("time:2s-", [4, 5]),
        ("time:-600ms,2.5-", [0, 1, 5]),
        ("-time:0-2", [4, 5]),
    ],
)
def test_chosen_samples(text: str, wanted: list[int]) -> None:
    assert chosen(text) == wanted


@pytest.mark.parametrize(
    ("text", "sentence", "place"),
    [
        ("match_order", "“match_order” does not say what it is.", (0, 11)),
        ("cpu:1 thraed:worker", "“thraed” is nothing that a sample has.", (6, 12)),
        ("-pod:1", "“pod” is nothing that a sample has.", (1, 4)),
        ("cpu:a", "“a” is no number or range.", (4, 5)),
        ("cpu:1,7-3", "The range “7-3” ends before it begins.", (6, 9)),
        ("thread:", "A value is missing after “thread:”.", (0, 7)),
        ("thread:a,,b", "A value is missing after “thread:”.", (0, 11)),
        ("time:3s", "“3s” is no range of time.", (5, 7)),
        ("time:3-1s", "The range “3-1s” ends before it begins.", (5, 9)),
        ("time:-", "“-” is no range of time.", (5, 6)),
        ('thread:"a b', "A quotation mark is not closed.", (7, 11)),
        ("thread:a not", "Nothing follows “not”.", (9, 12)),
        ("not not thread:a", "“not” stands twice.", (4, 7)),
        ("--thread:a", "“not” stands twice.", (0, 10)),
        ("-", "“-” does not say what it is.", (0, 1)),
    ],
)
def test_errors_say_where(text: str, sentence: str, place: tuple[int, int]) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text)
    assert caught.value.sentence == sentence
    assert (caught.value.start, caught.value.end) == place


_text = st.text(st.characters(blacklist_categories=("Cs",)), max_size=60)


@given(
    _text | st.lists(st.sampled_from(['thread:"', "-", "cpu:1-", "not ", ":", ",", "\\", "time:1ms", " "])).map("".join)
)
def test_any_text_is_read_or_refused_at_a_place_in_it(text: str) -> None:
    try:
        terms = parse(text)
    except FilterError as error:
        assert 0 <= error.start <= error.end <= max(len(text), 1)
    else:
        assert parse(text_of(terms)) == terms


_names = st.builds(Name, st.text(st.characters(blacklist_categories=("Cs", "Cc", "Z")), min_size=1), st.just(True))
_ranges = st.builds(
    lambda low, more: Range(float(low), low + more),
    st.integers(0, 999),
    st.integers(1, 99).map(float) | st.just(math.inf),
)


@given(
    st.lists(
        st.builds(
            Term,
            st.just(What.FUNCTION),
            st.lists(_names, min_size=1, max_size=3).map(tuple),
            st.booleans(),
        )
        | st.builds(
            Term, st.sampled_from([What.CPU, What.TIME]), st.lists(_ranges, min_size=1).map(tuple), st.booleans()
        )
    )
)
def test_terms_are_written_as_they_are_read(terms: list[Term]) -> None:
    assert parse(text_of(terms)) == tuple(terms)


def test_a_click_joins_what_is_there_already() -> None:
    """Values of one kind are alternatives, and who is wanted is no longer left out."""
    terms = parse("-thread:logger cpu:0-3")
    one = with_term(terms, Term(What.TID, (Range(101, 101),)))
    assert text_of(one) == "-thread:logger cpu:0-3 tid:101"
    assert text_of(with_term(one, Term(What.TID, (Range(102, 102),)))) == "-thread:logger cpu:0-3 tid:101,102"
    assert text_of(with_term(one, Term(What.TID, (Range(101, 101),), excluded=True))) == (
        "-thread:logger cpu:0-3 -tid:101"
    )


def test_range_of_time_holds_its_start_and_not_its_end() -> None:
    assert np.flatnonzero(rows(profile(), SampleFilter(span=(0.5, 1.5)))).tolist() == [1, 2]
    assert np.flatnonzero(rows(profile(), SampleFilter(span=(2.5, math.inf)))).tolist() == [5]
    assert np.flatnonzero(rows(profile(), SampleFilter(span=(1.0, 3.0), terms=parse("-thread:logger")))).tolist() == [
        2,
        3,
    ]


def test_samples_without_a_time_are_in_no_range() -> None:
    builder = StackBuilder()
    builder.sample(builder.stack([builder.frame("a")]))
    builder.sample(builder.stack([builder.frame("b")]), time_ns=7_000_000_000)
    one = builder.build()
    assert np.flatnonzero(rows(one, SampleFilter(span=(0.0, 9.0)))).tolist() == [1]
    assert np.flatnonzero(rows(one, EVERYTHING)).tolist() == [0, 1]


def test_masks_of_a_profile_equal_those_made_one_by_one() -> None:
    one = profile()
    masks = SampleRows(one)
    for text in ("thread:worker", "-function:memcpy", "thread:worker", "cpu:0", "time:1-", "pid:100", "module:libc"):
        for span in (None, (0.4, 2.1)):
            wanted = SampleFilter(span=span, terms=parse(text))
            assert (masks.rows(wanted) == rows(one, wanted)).all()


def test_filtered_profile_keeps_its_tables() -> None:
    one = profile()
    part = filtered(one, SampleFilter(terms=parse("tid:200")))
    assert part.stacks is one.stacks
    assert part.threads is one.threads
    assert part.total(event=0) == 2
    assert drawn(build_tree(part)) == ["main=2", " write_log=2 (self 1)", "  memcpy=1 (self 1)"]
    assert filtered(one, EVERYTHING) is one


@pytest.mark.parametrize("text", ["", "thread:worker", "-function:memcpy", "cpu:99", "time:0.4-1.2"])
@pytest.mark.parametrize("weight", list(Weight))
def test_tree_of_a_filter_is_the_tree_of_the_filtered_profile(text: str, weight: Weight) -> None:
    one, wanted = profile(), SampleFilter(terms=parse(text))
    for event in (0, 1):
        options = TreeOptions(event=event, weight=weight, samples=wanted)
        expected = build_tree(filtered(one, wanted), TreeOptions(event=event, weight=weight))
        bones = skeleton(one, TreeOptions())
        for tree in (build_tree(one, options), build_tree(one, options, bones=bones, rows=rows(one, wanted))):
            assert drawn(tree) == drawn(expected)
            assert tree.outermost().tolist() == expected.outermost().tolist()
            assert (tree.total, tree.total_samples) == (expected.total, expected.total_samples)


def test_what_a_name_does_not_find_is_said() -> None:
    assert unmatched(profile(), parse("thread:worker,wroker cpu:0 -module:libm")) == (
        "No thread has “wroker” in its name.",
        "No module has “libm” in its name.",
    )


def test_few_samples_are_remarked_on() -> None:
    assert remark(0) == "No sample is in this part."
    assert remark(1).startswith("Only 1 sample is in")
    assert remark(12).startswith("Only 12 samples")
    assert not remark(5000)
