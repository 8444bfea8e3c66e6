"""Sites, leaks, candidates for a pool, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailflame.analyse.heap_findings import (
    FindingKind,
    findings,
    leaks,
    pooling_candidates,
    sites,
    size_histogram_lines,
    temporary_note,
)
from tailflame.analyse.heap_machinery import own_code
from tailflame.analyse.heap_suppressions import parse_suppressions, suppressed_stacks
from tailflame.model import Event, FrameKind, StackProfile, Weight
from tailflame.model.heap import ALLOCATED, LEAKED, PEAK, TEMPORARY, Counted, HeapFacts, HeapTimeline, TimeUnit
from tailflame.model.leak_patterns import matching
from tailflame.model.stacks import StackBuilder, readonly
from tailflame.parse import load
from tailflame.units import Unit

EVENTS = (
    Event(PEAK, Unit.BYTES, True, Unit.BLOCKS, True),
    Event(ALLOCATED, Unit.BYTES, True, Unit.ALLOCATIONS, True),
    Event(TEMPORARY, Unit.BYTES, True, Unit.ALLOCATIONS, True),
    Event(LEAKED, Unit.BYTES, True, Unit.BLOCKS, True),
)


def profile_of(*rows: tuple[str, int, float, float]) -> StackProfile:
    """Rows of (stack, event, count, bytes). A frame is "name", "name@file:line" or "name@file:line@module"."""
    builder = StackBuilder(events=list(EVENTS))
    for stack, event, number, size in rows:
        frames = []
        for text in stack.split(";") if stack else []:
            name, _, place = text.partition("@")
            place, _, module = place.partition("@")
            file, _, line = place.partition(":")
            frames.append(builder.frame(name, file=file, line=int(line or -1), module=module))
        builder.sample(builder.stack(frames), count=number, period=size, event=event)
    return builder.build()


def timeline(**facts: float) -> HeapTimeline:
    one = readonly([0.0], np.float64)
    none = readonly([-1], np.int32)
    return HeapTimeline(
        time_unit=TimeUnit.SECONDS, time=one, heap=one, extra=one, stacks=one, rss=one, allocations=one, temporary=one,
        event=none, number=none, facts=HeapFacts(**facts),
    )  # fmt: skip


BOOK = "main;Book::insert@book.rs:10;alloc::vec::Vec<T>::push@library/alloc/src/vec/mod.rs:1;alloc::alloc::alloc"
QUOTE = "main;quote@quote.rs:5;malloc"
PROFILE = profile_of(
    (BOOK, 0, 4, 4000), (BOOK, 1, 10, 10_000), (BOOK, 2, 1, 1000), (BOOK, 3, 2, 2000),
    (QUOTE, 0, 1, 100), (QUOTE, 1, 90, 9000), (QUOTE, 2, 80, 8000),
)  # fmt: skip


def test_a_site_is_the_innermost_own_function() -> None:
    found = sites(PROFILE)
    assert [found.name_of(row) for row in found.by(found.peak)] == ["Book::insert", "quote"]
    book, quote = found.by(found.peak)
    assert found.place_of(book) == "book.rs:10"
    assert found.label_of(book) == "Book::insert (book.rs:10)"
    assert (found.peak[book], found.peak_blocks[book], found.allocated[book]) == (4000, 4, 10_000)
    assert (found.leaked[book], found.leaked_blocks[book], found.temporary[quote]) == (2000, 2, 80)
    assert found.temporary_share.tolist() == [0.1, 80 / 90]
    assert found.events == {PEAK, ALLOCATED, TEMPORARY, LEAKED}
    assert found.in_use.tolist() == [0, 0]


def test_or_the_innermost_function_of_all() -> None:
    found = sites(PROFILE, through_libraries=False)
    assert [found.name_of(row) for row in found.by(found.allocations)] == ["malloc", "alloc::alloc::alloc"]


def test_stacks_of_libraries_alone_keep_their_innermost_frame() -> None:
    found = sites(profile_of(("std::rt::init;alloc::alloc::alloc", 1, 1, 8), ("", 1, 5, 50)))
    assert [found.name_of(row) for row in range(len(found))] == ["alloc::alloc::alloc"]


def test_a_profile_without_rows() -> None:
    empty = profile_of()
    assert len(sites(empty)) == 0
    assert findings(timeline(), empty) == ()
    assert findings(timeline(), None) == ()
    assert leaks(empty, ["x"]).leaked == 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a;b", "a;std::x", "a;b;malloc", "c", "malloc", ""]),
            st.integers(0, 3),
            st.integers(0, 9),
            st.integers(0, 999),
        ),
        max_size=20,
    )
)
def test_sites_share_out_all_that_has_a_stack(rows: list[tuple[str, int, int, int]]) -> None:
    found = sites(profile_of(*rows))
    for event, column, period in ((0, "peak_blocks", "peak"), (1, "allocations", "allocated")):
        kept = [row for row in rows if row[1] == event and row[0]]
        assert getattr(found, column).sum() == sum(row[2] for row in kept)
        assert getattr(found, period).sum() == sum(row[3] for row in kept)
    assert len(set(found.frame.tolist())) == len(found)


# Whose code it is.


@pytest.mark.parametrize(
    ("name", "file", "module", "own"),
    [
        ("trading::book::insert", "src/book.rs", "/p/trading", True),
        ("main", "", "/p/trading", True),
        ("<trading::Order as core::clone::Clone>::clone", "", "", True),
        ("hdrhistogram::Histogram<T>::resize", "", "", True),
        ("alloc::raw_vec::RawVecInner<A>::finish_grow", "", "", False),
        ("<alloc::string::String as core::fmt::Write>::write_str", "", "", False),
        ("<str as alloc::string::ToString>::to_string", "", "", False),
        ("core::iter::traits::iterator::Iterator::collect", "", "", False),
        ("trading::anything", "/rustc/59807616/library/alloc/src/vec/mod.rs", "", False),
        ("trading::anything", "library/std/src/rt.rs", "", False),
        ("__rust_alloc", "", "", False),
        ("__rdl_alloc", "", "", False),
        ("operator new(unsigned long)", "", "", False),
        ("operator new[](unsigned long)", "", "", False),
        ("std::vector<int, std::allocator<int> >::push_back(int const&)", "", "", False),
        ("void std::vector<Order>::emplace_back<Order>(Order&&)", "", "", False),
        ("__gnu_cxx::new_allocator<char>::allocate", "", "", False),
        ("Engine::stdout_line(std::string const&)", "", "", True),
        ("malloc", "", "", False),
        ("malloc_statistics", "", "/p/trading", True),
        ("xmalloc", "", "", False),
        ("strdup", "", "", False),
        ("parse", "", "/lib/x86_64-linux-gnu/libc.so.6", False),
        ("parse", "", "/usr/lib/libstdc++.so.6.0.30", False),
        ("parse", "", "/p/libcodec.so.1", True),
        ("__fopen_internal", "./libio/iofopen.c", "/lib/x86_64-linux-gnu/libc.so.6", False),
    ],
)
def test_own_code(name: str, file: str, module: str, own: bool) -> None:
    builder = StackBuilder()
    builder.frame(name, file=file, module=module)
    assert own_code(builder.build().frames).tolist() == [own]


def test_an_address_is_nobodys() -> None:
    builder = StackBuilder()
    builder.frame("[libx.so]", module="/p/libx.so", kind=FrameKind.OTHER)
    assert own_code(builder.build().frames).tolist() == [False]


# Pools.


def test_candidates_for_a_pool() -> None:
    found = sites(PROFILE)
    assert [found.name_of(row) for row in pooling_candidates(found)] == ["quote"]
    assert [found.name_of(row) for row in pooling_candidates(found, least_share=0.05)] == ["quote", "Book::insert"]


# Leaks and suppressions.


def test_leaks_without_what_is_suppressed() -> None:
    profile = profile_of(
        ("main;cache@c.rs:1;malloc", 3, 5, 500), ("main;order@o.rs:2;malloc", 3, 1, 70), ("main;order@o.rs:2", 1, 9, 9)
    )
    all_of_them = leaks(profile)
    assert (all_of_them.leaked, all_of_them.blocks, all_of_them.suppressed) == (570, 6, 0)
    assert [all_of_them.sites.name_of(row) for row in all_of_them.rows] == ["cache", "order"]
    for patterns in (["cache"], ["c.rs"], ["^cache$"], ["ca*e"], ["nothing", "c*rs"]):
        left = leaks(profile, patterns)
        assert (left.leaked, left.blocks, left.suppressed) == (70, 1, 500), patterns
        assert [left.sites.name_of(row) for row in left.rows] == ["order"]
    assert leaks(profile, ["main"]).leaked == 0


def test_a_suppression_counts_for_all_that_is_called() -> None:
    profile = profile_of(("main;init;deep;deeper", 3, 1, 1), ("main;work", 3, 1, 1))
    names = [profile.frames.names()[profile.stacks.frame[row]] for row in suppressed_stacks(profile, ["init"]).tolist()]
    assert names == ["init", "deep", "deeper"]
    assert len(suppressed_stacks(profile, [])) == 0


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("foo", "a foo b", True),
        ("^foo", "a foo", False),
        ("^foo", "foobar", True),
        ("foo$", "barfoo", True),
        ("foo$", "foobar", False),
        ("^foo$", "foo", True),
        ("f*o", "f..o", True),
        ("f*o$", "f..o..", False),
        ("f*o*r", "o f r", False),
        ("*", "anything", True),
        ("*$", "anything", True),
        ("foo*$", "foobar", True),
        ("a.b", "axb", False),
        ("std::vector<*>::push", "std::vector<int>::push_back", True),
        ("foo", "", False),
        ("", "foo", False),
    ],
)
def test_patterns_are_the_sanitizers(pattern: str, name: str, matches: bool) -> None:
    assert matching([name], [pattern]).tolist() == [matches]


@given(st.lists(st.text("ab*^$", max_size=12), max_size=4), st.lists(st.text("ab", max_size=300), max_size=4))
def test_any_pattern_is_taken(patterns: Sequence[str], names: Sequence[str]) -> None:
    assert len(matching(names, patterns)) == len(names)


def test_a_suppression_file() -> None:
    text = "# known\nleak:libfoo.so\n\n  leak:^Cache::*  \r\nleak:\nrace:x\nleak:libfoo.so\n"
    assert parse_suppressions(text) == (("libfoo.so", "^Cache::*"), 2)


# Sentences.


def test_what_stands_out() -> None:
    profile = profile_of(
        ("main;leaky@l.rs:3;malloc", 0, 100, 2e6), ("main;leaky@l.rs:3;malloc", 1, 100, 2e6),
        ("main;leaky@l.rs:3;malloc", 3, 100, 2e6),
        ("main;churn@c.rs:9;malloc", 1, 9000, 9e5), ("main;churn@c.rs:9;malloc", 2, 8100, 8e5),
    )  # fmt: skip
    told = findings(timeline(peak=2_100_000), profile)
    assert [finding.kind for finding in told] == [
        FindingKind.LEAK, FindingKind.TEMPORARY, FindingKind.PEAK, FindingKind.CHURN,
    ]  # fmt: skip
    leak, temporary, peak, churn = told
    assert (
        leak.text
        == "leaky (l.rs:3) allocated 2.0 MB in 100 blocks that were never freed: 100% of the 2.0 MB that leaked."
    )
    assert (leak.event, profile.frames.name_of(leak.frame)) == (LEAKED, "leaky")
    assert temporary.text.startswith("90% of the 9,000 allocations of churn (c.rs:9) are temporary")
    assert "A buffer that is kept, or a pool, would save them." in temporary.text
    assert peak.text == "At the peak of 2.1 MB, leaky (l.rs:3) held 2.0 MB (100%) in 100 blocks."
    assert churn.text.startswith("churn (c.rs:9) allocates most often: 9,000 of 9,100 times (99%)")
    assert FindingKind.LEAK not in {finding.kind for finding in findings(timeline(), profile, ["leaky"])}


def test_one_sample_that_stands_for_many_allocations_is_not_worth_a_sentence() -> None:
    """As jemalloc's dumps have it: eight bytes that were sampled once at one sample in 128 KiB."""
    once = profile_of(("main;rare@r.rs:3", 1, 16_384, 131_076), ("main;other@o.rs:3", 1, 17, 3.6e6))
    often = profile_of(("main;busy@b.rs:3", 1, 400_000, 3.2e6), ("main;other@o.rs:3", 1, 17, 3.6e6))

    def kinds(profile: StackProfile, **facts: float) -> set[FindingKind]:
        return {finding.kind for finding in findings(timeline(**facts), profile)}

    assert FindingKind.CHURN not in kinds(once, sampled_every=131_072)
    assert FindingKind.CHURN in kinds(often, sampled_every=131_072) & kinds(once)


def test_little_things_are_not_worth_a_sentence() -> None:
    profile = profile_of(("main;tidy", 0, 1, 1e6), ("main;once", 1, 10, 1e6), ("main;once", 3, 1, 100))
    assert [finding.kind for finding in findings(timeline(peak=1e6), profile)] == [FindingKind.PEAK]


def test_one_block_is_one() -> None:
    (leak,) = findings(timeline(), profile_of(("main;x", 3, 1, 5000)))
    assert "in 1 block that was never freed" in leak.text


def test_the_other_number_of_heaptrack_print() -> None:
    assert temporary_note(HeapFacts(temporary=5, temporary_reported=5)) == ""
    assert temporary_note(HeapFacts(temporary=5)) == ""
    assert temporary_note(HeapFacts(temporary=5, temporary_reported=1234)).startswith(
        "heaptrack_print counts 1,234 as temporary: "
    )


def test_the_histogram_of_sizes() -> None:
    heap = replace(timeline(), sizes=readonly([8, 16, np.inf], float), size_calls=readonly([3, 0, 1], float))
    assert size_histogram_lines(heap) == (("up to 8 B", 3, 0.75), ("9 to 16 B", 0, 0), ("more than 16 B", 1, 0.25))
    assert size_histogram_lines(timeline()) == ()


def test_weights_of_the_events_are_the_sites() -> None:
    found = sites(PROFILE)
    assert found.peak.sum() == PROFILE.total(event=0, weight=Weight.PERIOD)


MASSIF = Path(__file__).resolve().parents[2] / "data" / "massif" / "3.19.0"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("trading.out.gz", "churn::remember_session (churn.rs:52) only grew, from 0 B to 496 kB over 3 call trees: "),
        ("bytes.out", "remember (engine.cc:14) only grew, from 55.0 kB to 250 kB over 8 call trees: "),
    ],
)
def test_massif_names_what_only_grew(name: str, said: str) -> None:
    recording = load(MASSIF / name)
    assert recording.heap is not None and recording.profile is not None
    (growth,) = (f for f in findings(recording.heap, recording.profile) if f.kind is FindingKind.GROWTH)
    assert growth.text.startswith(said)
    assert recording.profile.frames.name_of(growth.frame).endswith(("remember_session", "remember(unsigned long)"))


def test_pages_that_are_mapped_are_no_leak() -> None:
    """A program that starts maps one library after another, and an allocator keeps what it has."""
    recording = load(MASSIF / "bytes.out")
    assert recording.heap is not None and recording.profile is not None
    told = findings(recording.heap, recording.profile)
    assert FindingKind.GROWTH in {f.kind for f in told}
    pages = replace(recording.heap, counted=Counted.PAGES)
    assert FindingKind.GROWTH not in {f.kind for f in findings(pages, recording.profile)}
    pages = replace(timeline(peak=900), counted=Counted.PAGES)
    (peak,) = findings(pages, profile_of(("reserve@book.rs:12", 0, 0, 900)))
    assert peak.text == "At the peak of 900 B of mapped pages, reserve (book.rs:12) had mapped 900 B (100%)."


def test_what_is_given_back_is_no_growth() -> None:
    profile = load(MASSIF / "bytes.out").profile
    heap = load(MASSIF / "bytes.out").heap
    assert profile is not None and heap is not None
    backwards = replace(heap, event=readonly(heap.event[::-1], np.int32))
    assert not [f for f in findings(backwards, profile) if f.kind is FindingKind.GROWTH]
