"""Costs of lines and instructions, on profiles drawn as text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.stacks import profile
from tailflame.analyse.annotate import (
    InstructionCosts,
    InstructionLines,
    LineCosts,
    code_places,
    files_of,
    instruction_costs,
    line_costs,
    lines_of,
    place_tree,
)
from tailflame.analyse.tree import CallTree, TreeOptions
from tailflame.model import FrameKind, SiteTable, StackBuilder, StackProfile
from tailflame.model.stacks import readonly

EXE = "/opt/engine"
# hot() is at hot.rs:10 to 12; on line 11 `max` is inlined from lib.rs, and into that `less`; it calls cold().
STACKS = f"""
main@{EXE}!main.rs:3;hot@{EXE}!hot.rs:10 5
main@{EXE}!main.rs:3;hot@{EXE}!hot.rs:11;max_[i]@{EXE}!lib.rs:70 20
main@{EXE}!main.rs:3;hot@{EXE}!hot.rs:11;max_[i]@{EXE}!lib.rs:71;less_[i]@{EXE}!lib.rs:90 10
main@{EXE}!main.rs:3;hot@{EXE}!hot.rs:12;cold@{EXE}!hot.rs:40 15
main@{EXE}!main.rs:4 50
"""


def tree_of(held: StackProfile) -> CallTree:
    return place_tree(held, TreeOptions())


def figures(costs: LineCosts) -> dict[int, tuple[float, float, float]]:
    """(own, body, total) by line."""
    rows = zip(costs.line.tolist(), costs.own.tolist(), costs.body.tolist(), costs.total.tolist(), strict=True)
    return {line: (own, body, total) for line, own, body, total in rows}


def unfolded(costs: LineCosts, line: int) -> list[tuple[int, str, int, float, float]]:
    """(depth, function, line, own, total) of what is inlined into a line."""
    row = costs.line.tolist().index(line)
    held = costs.inlined
    return [
        (depth, held.names[at], int(held.place[at]), float(held.own[at]), float(held.total[at]))
        for at, depth in held.below(row)
    ]


def test_a_line_has_its_own_weight_and_a_total_with_what_it_inlines_and_calls() -> None:
    costs = line_costs(tree_of(profile(STACKS)), "hot.rs", function="hot")
    assert figures(costs) == {10: (5, 5, 5), 11: (0, 30, 30), 12: (0, 0, 15)}
    assert (costs.whole, costs.whole_own, costs.samples) == (50, 35, 50)


def test_what_is_inlined_into_a_line_unfolds_below_it_the_heaviest_first() -> None:
    costs = line_costs(tree_of(profile(STACKS)), "hot.rs", function="hot")
    assert unfolded(costs, 11) == [(1, "max", 70, 20, 20), (1, "max", 71, 0, 10), (2, "less", 90, 10, 10)]
    assert unfolded(costs, 10) == []


def test_a_whole_file_has_the_lines_of_every_function_in_it() -> None:
    costs = line_costs(tree_of(profile(STACKS)), "hot.rs")
    assert figures(costs) == {10: (5, 5, 5), 11: (0, 30, 30), 12: (0, 0, 15), 40: (15, 15, 15)}
    assert costs.whole == 100


def test_an_inlined_function_has_lines_as_well() -> None:
    tree = tree_of(profile(STACKS))
    costs = line_costs(tree, "lib.rs", function="max")
    assert figures(costs) == {70: (20, 20, 20), 71: (0, 10, 10), 90: (10, 10, 10)}
    assert costs.whole == 30
    assert files_of(tree, "max") == ("lib.rs",)


def test_the_heaviest_file_comes_first_and_its_lines_were_seen() -> None:
    tree = tree_of(profile("main!main.rs:3;f!a.rs:7 2\nmain!main.rs:3;f!b.rs:9 5\nmain!main.rs:3;f!b.rs:12 1"))
    assert files_of(tree, "f") == ("b.rs", "a.rs")
    assert lines_of(tree, "f") == (9, 12)
    assert files_of(tree, "nobody") == ()
    assert lines_of(tree, "nobody") == (-1, -1)


def test_recursion_counts_a_sample_once() -> None:
    costs = line_costs(tree_of(profile("main!m.rs:1;f!f.rs:5;f!f.rs:5;f!f.rs:6 10\nmain!m.rs:1;f!f.rs:5 3")), "f.rs")
    assert figures(costs) == {5: (3, 3, 13), 6: (10, 10, 10)}


def test_recursion_through_an_inlined_function_counts_once_too() -> None:
    held = profile("f!f.rs:5;g_[i]!g.rs:2;f!f.rs:5;g_[i]!g.rs:2 10")
    costs = line_costs(tree_of(held), "f.rs")
    assert figures(costs) == {5: (0, 10, 10)}
    assert unfolded(costs, 5) == [(1, "g", 2, 10, 10)]


def test_a_file_without_samples_has_no_lines() -> None:
    tree = tree_of(profile(STACKS))
    assert len(line_costs(tree, "other.rs")) == 0
    assert len(line_costs(tree, "hot.rs", function="nobody")) == 0
    assert len(line_costs(tree_of(StackBuilder().build()), "hot.rs")) == 0


def with_sites(held: StackProfile, sites: list[tuple[str, int] | None]) -> StackProfile:
    """`held` with the instruction of each sample."""
    strings = held.frames.strings
    known = list(dict.fromkeys(site for site in sites if site is not None))
    return replace(
        held,
        sites=SiteTable(
            readonly([strings.index(module) for module, _address in known], np.int32),
            readonly([address for _module, address in known], np.uint64),
        ),
        samples=replace(
            held.samples, site=readonly([-1 if site is None else known.index(site) for site in sites], np.int32)
        ),
    )


def sited() -> StackProfile:
    return with_sites(profile(STACKS), [(EXE, 0x1000), (EXE, 0x1010), (EXE, 0x1013), (EXE, 0x2000), None])


def test_samples_in_a_function_lie_at_its_instructions_inlined_code_among_them() -> None:
    held = sited()
    (place,) = code_places(held, tree_of(held), "hot")
    assert (place.module, place.name, place.kind) == (EXE, "hot", FrameKind.USER)
    assert place.address.tolist() == [0x1000, 0x1010, 0x1013]
    assert place.weight.tolist() == [5, 20, 10]
    assert (place.total, place.hottest) == (35, 0x1010)


def test_an_inlined_function_lies_in_the_code_of_another() -> None:
    held = sited()
    (place,) = code_places(held, tree_of(held), "less")
    assert (place.name, place.address.tolist()) == ("hot", [0x1013])


def test_a_function_in_two_modules_has_two_places() -> None:
    held = with_sites(
        profile("f@/lib/a.so!f.c:1 3\nf@/lib/b.so!f.c:1 7\nf@/lib/b.so!f.c:2 1"),
        [("/lib/a.so", 5), ("/lib/b.so", 5), ("/lib/b.so", 9)],
    )
    assert [(p.module, p.total) for p in code_places(held, tree_of(held), "f")] == [("/lib/b.so", 8), ("/lib/a.so", 3)]


def test_without_addresses_or_own_samples_there_is_no_code() -> None:
    held = profile(STACKS)
    assert code_places(held, tree_of(held), "hot") == ()
    assert code_places(sited(), tree_of(sited()), "main") == ()
    assert len(instruction_costs(held, tree_of(held), module=EXE, start=0, stop=9).address) == 0


def test_instructions_in_a_range_have_the_samples_of_that_range() -> None:
    held = sited()
    costs = instruction_costs(held, tree_of(held), module=EXE, start=0x1000, stop=0x1013)
    assert (costs.address.tolist(), costs.weight.tolist(), costs.total) == ([0x1000, 0x1010], [5, 20], 25)
    assert len(instruction_costs(held, tree_of(held), module="/other", start=0, stop=1 << 62).address) == 0


def test_the_view_decides_which_samples_count() -> None:
    held = replace(sited(), samples=replace(sited().samples, thread=readonly([0, 0, 1, 1, 1], np.int32)))
    tree = place_tree(held, TreeOptions(threads=frozenset({1})))
    assert instruction_costs(held, tree, module=EXE, start=0, stop=0x1800).address.tolist() == [0x1013]


def test_an_address_inside_an_instruction_counts_for_it() -> None:
    costs = InstructionCosts(
        readonly([0x10, 0x12, 0x17, 0x30], np.uint64), readonly([1.0, 2, 4, 8], np.float64), readonly([1.0] * 4, float)
    )
    weight, samples = costs.on(readonly([0x10, 0x11, 0x15], np.uint64), 0x1A)
    assert (weight.tolist(), samples.tolist()) == ([1, 2, 4], [1, 1, 1])
    assert costs.on(readonly([], np.uint64), 0)[0].tolist() == []


def test_instructions_of_a_line_are_those_written_there_and_inlined_into_it() -> None:
    lines = InstructionLines(
        place=readonly([0, 1, 2, -1], np.int32),
        name=("hot", "max", "hot"),
        file=("hot.rs", "lib.rs", "hot.rs"),
        line=readonly([11, 70, 12], np.int32),
        into=readonly([-1, 0, -1], np.int32),
    )
    assert lines.of("hot.rs", 11).tolist() == [0, 1]
    assert lines.of("lib.rs", 70).tolist() == [1]
    assert lines.of("lib.rs", 71).tolist() == []
    assert lines.chain(1) == [1, 0]
    assert lines.chain(3) == []


FRAMES = ("f!a.rs:1", "f!a.rs:2", "g!a.rs:9", "h_[i]!b.rs:4", "h_[i]!a.rs:2", "k_[i]!b.rs:5")


@pytest.mark.filterwarnings("error")
@given(st.lists(st.tuples(st.lists(st.sampled_from(FRAMES), min_size=1, max_size=7), st.integers(1, 9)), min_size=1))
def test_lines_agree_with_counting_stack_by_stack(stacks: list[tuple[list[str], int]]) -> None:
    held = profile("\n".join(f"{';'.join(['root', *frames])} {count}" for frames, count in stacks))
    costs = line_costs(tree_of(held), "a.rs")
    own: dict[int, float] = {}
    total: dict[int, float] = {}
    for frames, count in stacks:
        places = [frame.partition("!")[2] for frame in frames]
        for place in {place for place in places if place.startswith("a.rs")}:
            line = int(place.rpartition(":")[2])
            total[line] = total.get(line, 0) + count
            own[line] = own.get(line, 0) + (count if places[-1] == place else 0)
    assert {line: (o, t) for line, (o, _b, t) in figures(costs).items()} == {n: (own[n], total[n]) for n in total}
    assert (costs.body >= costs.own).all() and (costs.body <= costs.total + 1e-9).all()
    assert (costs.inlined.parent < np.arange(len(costs.inlined))).all()
