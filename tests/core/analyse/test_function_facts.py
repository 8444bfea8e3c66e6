"""What several tools tell of one function, against what each tool's own report says of it."""

from __future__ import annotations

import gzip
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.cost_reports import report_functions, report_totals, text_of
from helpers.stack_counts import DATA
from helpers.stacks import profile
from tailflame.analyse.function_facts import (
    cache_facts,
    call_facts,
    cpu_shares,
    has_call_stacks,
    heap_facts,
    stacks_with,
    without_arguments,
)
from tailflame.parse import load

CACHEGRIND = DATA / "cachegrind" / "3.19.0"
HEAPTRACK = DATA / "heaptrack" / "1.4.0"
STRACE = DATA / "strace" / "6.1"
CHECK = "trading_system::risk::check_exposure"


def test_the_share_of_the_time_is_of_the_function_with_what_was_inlined() -> None:
    found = profile("main;a;b 30\nmain;a 20\nmain;c 50\nmain;a;c;a 100")
    shares = cpu_shares(found, "a")
    assert (shares.function, shares.self_share, shares.total_share) == ("a", 0.6, 0.75)
    missing = cpu_shares(found, "nowhere")
    assert (missing.self_share, missing.total_share, missing.function) == (0.0, 0.0, "nowhere")


def test_a_function_of_another_build_is_the_same() -> None:
    shares = cpu_shares(profile("main;work::h0123456789abcdef 3\nmain 1"), "work")
    assert shares.self_share == 0.75


def test_its_cache_misses_are_cg_annotates() -> None:
    costs = load(CACHEGRIND / "trading-hostile.out.gz").costs
    assert costs is not None
    facts = cache_facts(costs, CHECK)
    assert facts is not None
    report = text_of(CACHEGRIND / "trading-hostile.annotate.txt.gz")
    rows = [row for name, row in report_functions(report).items() if name.endswith(f":{CHECK}")]
    told = dict(zip(costs.events, np.sum(rows, axis=0).tolist(), strict=True))
    whole = dict(zip(costs.events, report_totals(report), strict=True))
    assert facts.lines.costs.sum(axis=0).tolist() == list(told.values())
    rates = {own.rate.name: (own.value, program) for own, program in facts.rates}
    d1 = ("D1mr", "D1mw"), ("Dr", "Dw")
    for at, counted in enumerate((told, whole)):
        above, below = (sum(counted[name] for name in names) for names in d1)
        assert rates["D1 miss rate"][at] == pytest.approx(above / below)
    assert {facts.lines.name(at) for at in range(3)} <= {facts.lines.name(at) for at in range(len(facts.lines))}
    assert cache_facts(costs, "nowhere") is None


def test_what_it_allocates_is_heaptracks() -> None:
    recording = load(HEAPTRACK / "alloc.zst")
    # "1200 calls to allocation functions … from temporary(int)"; alternating(int): 500 and 1 calls of keep.
    temporary = heap_facts(recording, "temporary(int)")
    assert temporary is not None and (temporary.allocations, temporary.temporary) == (1200, 1200)
    assert temporary.allocated == 1200 * 100 and len(temporary.sites) == 1
    assert heap_facts(recording, "temporary") is not None, "perf writes no arguments"
    alternating = heap_facts(recording, "alternating")
    assert alternating is not None and alternating.allocations == 501 and alternating.allocated == 501 * 64
    leak = heap_facts(recording, "leak")
    assert leak is not None and leak.leaked == 5000
    assert heap_facts(recording, "nowhere") is None
    assert heap_facts(load(CACHEGRIND / "matrix.out.gz"), "main") is None, "no heap in it"


def test_its_system_calls_are_those_with_it_on_the_stack() -> None:
    path = STRACE / "stacks.log.gz"
    recording = load(path)
    assert recording.profile is not None and has_call_stacks(recording.profile)
    for function in ("trading_system::run", "std::io::Write::write_fmt"):
        told = {fact.name: fact.calls for fact in call_facts(recording.profile, function)}
        assert told == counted(gzip.decompress(path.read_bytes()).decode(), function)
    assert call_facts(recording.profile, "nowhere") == ()


def counted(text: str, function: str) -> dict[str, float]:
    """By a plain reader: each call that came back, with the function in one of the lines below it."""
    found: Counter[str] = Counter()
    name, inside = "", False
    for line in [*text.splitlines(), "end"]:
        if line.startswith(" > "):
            inside |= f"({function}+0x" in line
            continue
        if name and inside:
            found[name] += 1
        call = re.match(r"\d+ [\d.]+ (?:<\.\.\. )?(\w+)", line)
        name, inside = (call[1] if call and "<unfinished" not in line else ""), False
    return dict(found)


def test_without_stacks_nobody_can_tell_whose_calls_they_are() -> None:
    recording = load(STRACE / "trading.log.gz")
    assert recording.profile is not None and not has_call_stacks(recording.profile)


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("Book::add(Order const&) const", "Book::add"),
        ("Hash::operator()(int)", "Hash::operator()"),
        ("operator()", "operator()"),
        ("f(void (*)(int))", "f"),
        ("(anonymous namespace)::f(int)", "(anonymous namespace)::f"),
        ("main::{lambda()#1}", "main::{lambda()#1}"),
        ("<T as core::Trait>::call", "<T as core::Trait>::call"),
        ("(no name)", "(no name)"),
        (")", ")"),
        ("", ""),
    ],
)
def test_a_name_without_its_arguments(name: str, bare: str) -> None:
    assert without_arguments(name) == bare


@given(st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=6), min_size=1, max_size=12))
def test_a_stack_has_a_function_that_is_anywhere_in_it(paths: list[list[str]]) -> None:
    made = profile("\n".join(f"{';'.join(path)} 1" for path in paths))
    inside = stacks_with(made, "a")
    for row in range(len(made.stacks)):
        names = [made.frames.name_of(int(made.stacks.frame[at])) for at in made.stacks.path(row)]
        assert bool(inside[row]) == ("a" in names)
