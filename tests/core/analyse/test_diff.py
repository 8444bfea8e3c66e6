from __future__ import annotations

import numpy as np
import pytest

from helpers.stacks import profile
from tailflame.analyse.diff import Comparison, DeltaTable, Scale, Status, compare, lay_out_diff
from tailflame.model import StackBuilder, StackProfile

SHARES = {"validate": 0.22, "check_exposure": 0.25, "match_order": 0.18, "encode": 0.12, "decode": 0.09,
          "vwap": 0.06, "book_add": 0.05, "memcpy": 0.02, "malloc": 0.01}  # fmt: skip


def drawn_samples(rng: np.random.Generator, number: int, grow: dict[str, float] | None = None) -> StackProfile:
    """`number` samples of a program whose functions have SHARES, some of them made slower by a factor."""
    work = np.array([share * (grow or {}).get(name, 1.0) for name, share in SHARES.items()])
    total = rng.poisson(number * work.sum() / sum(SHARES.values()))
    counts = rng.multinomial(total, work / work.sum())
    return profile("\n".join(f"main;run;{name} {n}" for name, n in zip(SHARES, counts, strict=True) if n))


def marked(table: DeltaTable) -> list[str]:
    return [table.names[i] for i in np.flatnonzero(table.significant)]


def test_union_has_inclusive_deltas_with_new_and_vanished_frames() -> None:
    result = compare(profile("A;B 10\nA;C 30\nA;D 10"), profile("A;B 10\nA;C 60\nA;E 30"))
    tree = result.tree
    seen = {tree.name(n): (tree.total_before[n], tree.total_after[n], tree.status(n)) for n in range(len(tree))}
    assert seen == {
        "A": (50, 100, Status.BOTH),
        "B": (10, 10, Status.BOTH),
        "C": (30, 60, Status.BOTH),
        "D": (10, 0, Status.VANISHED),
        "E": (0, 30, Status.NEW),
    }
    absolute = {tree.name(n): d for n, d in enumerate(tree.delta(Scale.ABSOLUTE))}
    assert absolute == {"A": 50, "B": 0, "C": 30, "D": -10, "E": 30}
    normalised = {tree.name(n): d for n, d in enumerate(tree.delta(Scale.NORMALISED))}
    assert normalised == {"A": 0, "B": -5, "C": 0, "D": -10, "E": 15}


def test_union_boxes_keep_room_for_vanished_frames() -> None:
    tree = compare(profile("A;B 10\nA;C 30\nA;D 10"), profile("A;B 10\nA;C 60\nA;E 30")).tree
    layout = lay_out_diff(tree, scale=Scale.ABSOLUTE)
    width = {tree.name(int(n)): w * layout.total for n, w in zip(layout.node, layout.width, strict=True)}
    assert width == pytest.approx({"A": 110, "B": 10, "C": 60, "D": 10, "E": 30})


def test_hashes_disambiguators_and_addresses_do_not_break_the_matching() -> None:
    before = profile("x[0123456789abcdef]::main;y::f::h0123456789abcdef 600\nx[0123456789abcdef]::main;0x7f00aa11 400")
    after = profile("x[fedcba9876543210]::main;y::f::hfedcba9876543210 600\nx[fedcba9876543210]::main;0x7f33bb22 400")
    result = compare(before, after)
    assert len(result.tree) == 3
    assert {result.table.status(i) for i in range(len(result.table))} == {Status.BOTH}
    assert result.table.change.tolist() == pytest.approx([0, 0, 0])


def test_a_regression_of_15_percent_is_found_and_named_alone() -> None:
    rng = np.random.default_rng(7)
    found = 0
    for _ in range(40):
        result = compare(drawn_samples(rng, 16_000), drawn_samples(rng, 16_000, {"check_exposure": 1.15}))
        names = marked(result.table)
        found += names == ["check_exposure"]
        if names == ["check_exposure"]:
            assert result.verdict[0].startswith("check_exposure regressed: +")
    assert found >= 36


def test_a_faster_machine_is_no_improvement_of_every_function() -> None:
    rng = np.random.default_rng(3)
    result = compare(drawn_samples(rng, 20_000), drawn_samples(rng, 10_000))
    assert result.scale == pytest.approx(0.5, rel=0.05)
    assert marked(result.table) == []
    assert result.verdict == ("No function moved beyond the noise.",)


def test_equal_programs_are_rarely_marked() -> None:
    rng = np.random.default_rng(11)
    alarms = sum(bool(marked(compare(drawn_samples(rng, 8_000), drawn_samples(rng, 8_000)).table)) for _ in range(100))
    assert alarms <= 5


def test_the_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(60):
        table = compare(drawn_samples(rng, 10_000), drawn_samples(rng, 10_000, {"encode": 1.3})).table
        row = table.row("encode")
        covered += table.low[row] <= 0.3 <= table.high[row]
    assert covered >= 54


def test_weights_in_nanoseconds_are_no_more_certain_than_their_samples() -> None:
    before, after = profile("A;B 61\nA;C 40"), profile("A;B 75\nA;C 41")
    scaled = [profile(f"A;B {b * 1_003_009}\nA;C {c * 1_003_009}") for b, c in ((61, 40), (75, 41))]
    plain, nanoseconds = compare(before, after).table, compare(*scaled).table
    assert nanoseconds.p.tolist() == pytest.approx(plain.p.tolist(), nan_ok=True)
    assert marked(nanoseconds) == marked(plain) == []


def in_cycles(rng: np.random.Generator, number: int, grow: dict[str, float] | None = None) -> StackProfile:
    """The same as a folded file of cycles: each sample counts its own period, and most stacks were seen a few times."""
    work = np.array([share * (grow or {}).get(name, 1.0) for name, share in SHARES.items()])
    names = rng.choice(list(SHARES), size=rng.poisson(number * work.sum() / sum(SHARES.values())), p=work / work.sum())
    stacks: dict[str, float] = {}
    for name, way, period in zip(
        names, rng.geometric(0.02, len(names)), rng.normal(1.5e6, 2e5, len(names)), strict=True
    ):
        stack = f"main;run;step{way};{name}"
        stacks[stack] = stacks.get(stack, 0.0) + round(period)
    return profile("\n".join(f"{stack} {weight:.0f}" for stack, weight in stacks.items()))


def test_weights_in_cycles_are_no_more_certain_than_their_samples() -> None:
    rng = np.random.default_rng(7)
    same = [compare(in_cycles(rng, 4000), in_cycles(rng, 4000)) for _ in range(40)]
    assert sum(bool(marked(result.table)) for result in same) <= 3
    assert "holds periods" in same[0].test
    slower = compare(in_cycles(rng, 4000), in_cycles(rng, 4000, {"match_order": 2.0})).table
    assert marked(slower) == ["match_order"]
    assert "holds periods" not in compare(drawn_samples(rng, 4000), drawn_samples(rng, 4000)).test


def test_a_function_that_comes_in_bursts_needs_a_larger_change() -> None:
    def bursty(burst: int, seed: int) -> StackProfile:
        rng = np.random.default_rng(seed)
        builder = StackBuilder()
        stacks = {
            n: builder.stack([builder.frame("main"), builder.frame(n)]) for n in ("steady", "burst", "other", "more")
        }
        for block in range(20):
            inside = rng.random() < 0.5
            for i in range(500):
                name = "burst" if inside and i < burst else str(rng.choice(["steady", "other", "more"]))
                builder.sample(stacks[name], time_ns=(block * 500 + i) * 1_000_000)
        return builder.build()

    table = compare(bursty(200, 1), bursty(200, 2)).table
    assert not table.significant.any()
    row = table.row("burst")
    assert table.high[row] - table.low[row] > 3 * (table.high[table.row("steady")] - table.low[table.row("steady")])


def test_new_and_vanished_functions_are_said_in_words() -> None:
    result = compare(
        profile("main;a 500\nmain;b 500\nmain;c 500\nmain;gone 300"),
        profile("main;a 500\nmain;b 500\nmain;c 500\nmain;fresh 300"),
    )
    assert result.verdict == (
        "fresh is new on top of the stack: 16.7% of the samples.",
        "gone vanished: it had 16.7% of the samples.",
    )


def test_the_test_says_its_level_and_how_many_functions() -> None:
    result = compare(profile("a 500\nb 500\nc 500"), profile("a 500\nb 500\nc 500"))
    assert "3 functions tested, family-wise level 5%" in result.test


def test_comparing_with_nothing_says_nothing_moved() -> None:
    empty = StackBuilder().build()
    result: Comparison = compare(empty, empty)
    assert len(result.table) == len(result.tree) == 0
    assert compare(profile("a 2000"), empty).tree.status(0) is Status.VANISHED


def test_tiny_functions_have_wide_intervals_and_no_overflow() -> None:
    table = compare(profile("a 100000\nb 100000\nc 100000\ntiny 1"), profile("a 100000\nb 100000\nc 100000")).table
    row = table.row("tiny")
    assert not table.tested[row] and not table.significant[row]
    assert np.isfinite(table.high[row])


def test_no_function_is_its_own_yardstick() -> None:
    """Half of the program grew: measured against the other half it did, not against a mixture of both."""
    before = profile("\n".join(f"main;{n} {c}" for n, c in (("big", 5000), ("a", 2500), ("b", 1500), ("c", 1000))))
    after = profile("\n".join(f"main;{n} {c}" for n, c in (("big", 5600), ("a", 2500), ("b", 1500), ("c", 1000))))
    table = compare(before, after).table
    assert table.change[table.row("big")] == pytest.approx(0.12, abs=0.001)


def test_a_side_that_cannot_tell_inlined_frames_is_met_half_way() -> None:
    """An SVG drawn without inlined frames against a recording that has them, and one drawn with them."""
    import dataclasses

    recording = profile("main;f;g_[i] 600\nmain;h 400")
    without, with_them = profile("main;f 600\nmain;h 400"), profile("main;f;g 600\nmain;h 400")
    for other, inlines in ((without, False), (with_them, True)):
        unknown = np.full(len(other.frames), 5, dtype=np.uint8)
        svg = dataclasses.replace(other, frames=dataclasses.replace(other.frames, kind=unknown))
        result = compare(recording, svg)
        assert result.inlines is inlines
        assert {result.table.status(i) for i in range(len(result.table))} == {Status.BOTH}


def test_a_marked_function_never_has_an_interval_that_holds_zero() -> None:
    result = compare(
        profile("main;a 5000\nmain;b 5000\nmain;c 5000\nmain;gone 900"),
        profile("main;a 5000\nmain;b 5000\nmain;c 5000\nmain;fresh 900"),
    )
    table = result.table
    assert marked(table) and set(marked(table)) == {"gone", "fresh"}
    for name in marked(table):
        row = table.row(name)
        assert table.low[row] > 0 or table.high[row] < 0


def test_the_level_is_spent_where_the_samples_are() -> None:
    """A change of a quarter of the program is found among twenty small functions, each of which would dilute it."""
    rest = "\n".join(f"main;f{i} 300" for i in range(20))
    result = compare(profile(f"main;big 2500\n{rest}"), profile(f"main;big 2770\n{rest}"))
    assert marked(result.table) == ["big"]
    assert result.table.p[result.table.row("big")] > 0.05 / 21, "an even split of the level would have missed it"


def test_the_difference_graph_and_the_verdict_agree() -> None:
    rng = np.random.default_rng(13)
    for _ in range(20):
        result = compare(drawn_samples(rng, 9_000), drawn_samples(rng, 9_000, {"check_exposure": 1.12}))
        tree, table = result.tree, result.table
        leaves = {tree.name(n): bool(tree.significant[n]) for n in range(len(tree)) if tree.name(n) in SHARES}
        assert {n for n, found in leaves.items() if found} == set(marked(table))


def test_functions_that_share_a_row_count_once_where_one_calls_the_other() -> None:
    """A compiler splits a part off a function: both are called alike, and one is below the other."""
    before = profile("main;init;init.part.0;grow 90\nmain;init.part.0;grow 10")
    table = compare(before, before).table
    row = next(row for row, name in enumerate(table.names) if name.startswith("init"))
    assert (table.total_before[row], table.total_after[row]) == (100, 100)
    assert table.total_before.max() <= 100
