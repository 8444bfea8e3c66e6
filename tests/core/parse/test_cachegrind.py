"""cachegrind.out: each figure is cg_annotate's; what is damaged is read as far as it goes, or refused in a sentence."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.cost_reports import report_functions, report_lines, report_totals, table_functions, table_lines, text_of
from helpers.stack_counts import DATA, stack_periods
from tailflame.analyse.annotate import line_costs, place_tree
from tailflame.analyse.hotspots import hotspots
from tailflame.analyse.tree import TreeOptions
from tailflame.errors import ParseError
from tailflame.model import CostTable, Recording, StackProfile, Weight
from tailflame.parse import cachegrind_profile, load
from tailflame.parse.cachegrind import CACHEGRIND
from tailflame.parse.cachegrind_profile import normalised
from tailflame.units import Unit

VALGRIND = DATA / "cachegrind" / "3.19.0"
REPORTED = ("matrix", "matrix-diff", "matrix-ir", "trading-hostile", "trading-plain")


def costs_of(recording: Recording) -> CostTable:
    assert recording.costs is not None
    return recording.costs


def profile_of(recording: Recording) -> StackProfile:
    assert recording.profile is not None
    return recording.profile


def read(text: str, tmp_path: Path, name: str = "cachegrind.out.1") -> Recording:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return load(path, format="cachegrind")


@pytest.mark.parametrize("name", REPORTED)
def test_every_figure_is_that_of_cg_annotate(name: str) -> None:
    recording = load(VALGRIND / f"{name}.out.gz")
    assert recording.format == "cachegrind"
    table = costs_of(recording)
    report = text_of(VALGRIND / f"{name}.annotate.txt.gz")
    totals = report_totals(report)
    assert tuple(table.totals.tolist()) == totals
    assert tuple(table.costs.sum(axis=0).tolist()) == totals
    expected = {}
    for key, costs in report_functions(report).items():
        file, _, function = key.rpartition(":") if "::" not in key else key.partition(":")
        expected[f"{normalised(file)}:{function}"] = costs
    found = table_functions(table)
    for key, costs in expected.items():
        assert found[key] == costs, key
    assert len(expected) >= 0.9 * len(found)  # cg_annotate leaves out what cost no instruction


@pytest.mark.parametrize("file", ["matrix.c", "square.h"])
def test_every_line_is_that_of_cg_annotate(file: str) -> None:
    table = costs_of(load(VALGRIND / "matrix.out.gz"))
    assert table_lines(table, file) == report_lines(text_of(VALGRIND / "matrix.annotate.txt.gz"), f"././{file}")


def test_the_profile_holds_each_cost_as_an_exact_event() -> None:
    recording = load(VALGRIND / "matrix.out.gz")
    table, profile = costs_of(recording), profile_of(recording)
    assert [event.name for event in profile.events] == list(table.events)
    assert all(e.exact and e.has_period and e.unit is Unit.EVENTS for e in profile.events)
    for event, total in enumerate(table.totals.tolist()):
        assert profile.total(event=event, weight=Weight.PERIOD) == total
        assert profile.total(event=event) == total  # each is counted: no samples stand behind it
    hot = hotspots(profile, event=table.event("DLmw"), weight=Weight.PERIOD)
    assert hot.key[0] == "main"
    assert hot.self_weight[0] == 30_626
    assert (hot.file[0], hot.line[0]) == ("matrix.c", 39)
    assert recording.meta.command == ("./matrix",)
    assert table.notes[0] == "I1 cache: 32768 B, 64 B, 8-way associative"
    assert not recording.warnings


def test_the_source_shows_what_each_line_costs() -> None:
    recording = load(VALGRIND / "matrix.out.gz")
    table, profile = costs_of(recording), profile_of(recording)
    tree = place_tree(profile, TreeOptions(event=table.event("D1mr"), weight=Weight.PERIOD))
    costs = line_costs(tree, "matrix.c")
    lines = dict(zip(costs.line.tolist(), costs.own.tolist(), strict=True))
    assert lines[22] == 490_000  # sum += square(cells[row * SIDE + column]);
    assert lines[13] == 30_626


def test_the_cache_hostile_walk_of_the_demo_shows_at_its_line() -> None:
    def walk(name: str) -> tuple[dict[int, int], int]:
        table = costs_of(load(VALGRIND / f"{name}.out.gz"))
        at = table.event("DLmr")
        lines = table_lines(table, "/opt/trading/src/market_data.rs")
        key = "/opt/trading/src/market_data.rs:trading_system::market_data::MarketData::look_up_collar"
        return {n: costs[at] for n, costs in lines.items() if costs[at] > 10_000}, table_functions(table)[key][at]

    # The step to the next link. The compiler tells no line for most of its unrolled copies: they are the function's.
    lines, function = walk("trading-hostile")
    assert list(lines) == [80]
    assert function > 600_000
    lines, function = walk("trading-plain")
    assert not lines
    assert function < 100


def test_the_difference_of_two_runs_keeps_what_is_below_zero() -> None:
    recording = load(VALGRIND / "matrix-diff.out.gz")
    table = costs_of(recording)
    assert (table.costs < 0).any()
    assert (table.line == -1).all()
    assert any("the difference of two runs" in w.text for w in recording.warnings)
    assert (profile_of(recording).samples.period > 0).all()
    assert table.notes[0].startswith("Files compared:")


def test_instructions_alone_say_how_to_get_the_caches() -> None:
    recording = load(VALGRIND / "matrix-ir.out.gz")
    assert costs_of(recording).events == ("Ir",)
    (warning,) = recording.warnings
    assert "--cache-sim=yes" in warning.fix


def test_a_last_level_cache_that_nobody_has_is_told(tmp_path: Path) -> None:
    text = text_of(VALGRIND / "trading-plain.out.gz")
    assert not any("last-level" in caution.text for caution in read(text, tmp_path).warnings)
    large = text.replace("33554432 B, 64 B, 16-way associative", "268435456 B, 64 B, direct-mapped")
    told = [caution for caution in read(large, tmp_path, "large").warnings if "last-level" in caution.text]
    assert [caution.text.partition(":")[0] for caution in told] == ["A last-level cache of 256 MiB was simulated"]
    assert "--LL=33554432,16,64" in told[0].fix


def test_merged_files_add_up() -> None:
    table = costs_of(load(VALGRIND / "matrix-merged.out.gz"))
    assert table.costs.sum(axis=0).tolist() == table.totals.tolist()
    assert table.totals[0] > 24_000_000


@pytest.mark.parametrize("name", [*REPORTED, "matrix-merged"])
def test_a_file_is_known_by_its_content(name: str, tmp_path: Path) -> None:
    path = tmp_path / "unknown"
    path.write_text(text_of(VALGRIND / f"{name}.out.gz"))
    known, unknown = load(VALGRIND / f"{name}.out.gz"), load(path)
    assert unknown.format == "cachegrind"
    assert np.array_equal(costs_of(unknown).costs, costs_of(known).costs)
    assert costs_of(unknown).strings == costs_of(known).strings


HEAD = "desc: I1 cache: 1\ncmd: ./x\nevents: Ir Dr\n"


def test_costs_as_stacks(tmp_path: Path) -> None:
    text = (
        HEAD + "fl=a.c\nfn=main\n1 5 2\n\n# a comment\n2 4\nfl=b.h\nfn=main\n7 1 1\nfl=a.c\nfn=f(int, char)\n1 1\n2\n"
    )
    recording = read(text + "summary: 11 3\n", tmp_path)
    assert not any("add up" in w.text for w in recording.warnings)
    assert stack_periods(profile_of(recording)) == {"main": 10 + 3, "f(int, char)": 1}
    frames = profile_of(recording).frames
    assert {frames.place_of(at) for at in range(len(frames))} >= {"a.c:1", "a.c:2", "b.h:7"}


def test_what_repeats_is_added_and_what_is_unknown_stays_so(tmp_path: Path) -> None:
    text = HEAD + "fl=???\nfn=???\n0 5\nfl=/x/a b=c.c\nfn=g = h\n3 1 1\nfl=???\nfn=???\n0 2 9\nsummary: 8 10\n"
    recording = read(text, tmp_path)
    table = costs_of(recording)
    assert table_functions(table) == {"???:???": (7, 9), "/x/a b=c.c:g = h": (1, 1)}
    assert table.file.tolist()[0] == table.function.tolist()[0] == table.line.tolist()[0] == -1
    assert stack_periods(profile_of(recording))["???"] == 16
    assert table.strings == ("/x/a b=c.c", "g = h")


def test_names_of_files_without_what_says_nothing() -> None:
    assert normalised("./malloc/./malloc/malloc.c") == "malloc/malloc/malloc.c"
    assert normalised("././matrix.c") == "matrix.c"
    assert normalised("./csu/../csu/libc-start.c") == "csu/../csu/libc-start.c"
    assert normalised("//usr//include/x.h") == "/usr/include/x.h"
    assert normalised("/src/a.c") == "/src/a.c"


def test_windows_line_ends_and_blanks_change_nothing(tmp_path: Path) -> None:
    text = HEAD + "fl=a.c\nfn=main\n1 5 2\n2 4\nsummary: 9 2\n"
    plain = costs_of(read(text, tmp_path))
    for other in (text.replace("\n", "\r\n"), text.replace(" 5 ", "   5  "), text.replace("2 4\n", "2 4 0  \n")):
        assert np.array_equal(costs_of(read(other, tmp_path)).costs, plain.costs)
        assert costs_of(read(other, tmp_path)).strings == plain.strings


@pytest.mark.parametrize(
    ("line", "costs"),
    [
        ("3 1 2 3", 0),
        ("3 1 x", 0),
        ("3 0x10", 16),
        ("3 000000000000000000000001", 1),
        ("+3 1", 0),
        ("* 1", 0),
        ("3 - 1", 0),
        ("3 5-3", 0),
        ("3 --5", 0),
        ("nonsense", 0),
        ("3.5 1", 0),
    ],
)
def test_a_line_that_is_none_is_told(line: str, costs: int, tmp_path: Path) -> None:
    recording = read(f"{HEAD}fl=a.c\nfn=main\n1 5 2\n{line}\nsummary: {5 + costs} 2\n", tmp_path)
    assert costs_of(recording).costs.sum(axis=0).tolist() == [5 + costs, 2]
    told = [w.text for w in recording.warnings if "no part of the format" in w.text]
    assert told == ([] if costs else ["1 line is no part of the format and ignored (the first is line 7)."])


@pytest.mark.parametrize(
    "number", ["99999999999999999999999", "9223372036854775808", "0xffffffffffffffff", "-" + "9" * 30]
)
def test_a_number_that_is_too_large_is_called_so(number: str, tmp_path: Path) -> None:
    text = f"{HEAD}fl=a.c\nfn=main\n1 5 2\n3 1 {number}\n{number} 1 1\nnonsense\nsummary: 5 2\n"
    recording = read(text, tmp_path)
    assert costs_of(recording).costs.tolist() == [[5, 2]]
    assert [w.text for w in recording.warnings[:2]] == [
        "2 lines hold numbers that are too large to be true, 2^63 or more, and left out (the first is line 7).",
        "1 line is no part of the format and ignored (the first is line 9).",
    ]


@pytest.mark.parametrize("number", ["99999999999999999999999", "9223372036854775808", "9999999999999999999"])
def test_a_summary_that_is_too_large_is_no_end_of_the_file(number: str, tmp_path: Path) -> None:
    recording = read(f"{HEAD}fl=a.c\nfn=main\n1 5 2\nsummary: 5 {number}\n", tmp_path)
    assert [w.text for w in recording.warnings[:1]] == [
        "1 line holds a number that is too large to be true, 2^63 or more, and left out (the first is line 7)."
    ]
    assert not any("summary" in w.text for w in recording.warnings)
    left = read(f"{HEAD}fl=a.c\nfn=main\n1 5 2\n2 {number} 2\nsummary: 9 4\n", tmp_path)
    assert "its own summary says 9: lines were left out" in left.warnings[0].text


def test_files_one_behind_the_other_are_called_so(tmp_path: Path) -> None:
    one = HEAD + "fl=a.c\nfn=main\n1 5 2\nsummary: 5 2\n"
    recording = read(one + one, tmp_path)
    assert costs_of(recording).costs.tolist() == [[10, 4]]
    assert costs_of(recording).totals.tolist() == [10, 4]
    assert recording.warnings[0].text.startswith("It is 2 files of cachegrind, one behind the other")
    assert not any("summary" in w.text for w in recording.warnings)
    cut = read(one + one.partition("summary")[0], tmp_path)
    assert any("ends before its summary" in w.text for w in cut.warnings)


def test_sums_that_do_not_agree_are_told(tmp_path: Path) -> None:
    recording = read(HEAD + "fl=a.c\nfn=main\n1 5 2\nsummary: 5 3\n", tmp_path)
    assert "add up to 2 Dr, its own summary says 3" in recording.warnings[0].text
    recording = read(HEAD + "fl=a.c\nfn=main\n1 5 2\nsummary: 5\n", tmp_path)
    assert "its own summary says 0" in recording.warnings[0].text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("desc: x\ncmd: ./x\nfl=a\nfn=b\n1 1\n", "a line of events is missing"),
        ("desc: x\ncmd: ./x\n", "no line of events"),
        (HEAD, "no costs of functions"),
        (HEAD + "fl=a\nfn=b\n", "no costs of functions"),
        ("events: Ir Ir\nfl=a\nfn=b\n1 1 1\n", "its line of events is damaged"),
        ("events:\nfl=a\nfn=b\n1 1 1\n", "its line of events is damaged"),
        ("events: " + "e " * 70 + "\nfl=a\nfn=b\n", "its line of events is damaged"),
        (HEAD + "fl=a\nfn=b\n1 1\nevents: Dr\n1 1\n", "it is not one file"),
        (HEAD + "fl=a\nfn=b\n" + "1 9223372036854775807\n" * 2, "beyond all bounds"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ParseError) as told:
        read(text, tmp_path)
    assert said in told.value.sentence and told.value.sentence.endswith(".")


def test_a_file_cut_after_any_line_is_refused_or_told(tmp_path: Path) -> None:
    lines = (HEAD + "fl=a.c\nfn=main\n1 5 2\n2 4\nfl=b.h\nfn=main\n7 1 1\nsummary: 10 3\n").splitlines(keepends=True)
    read_rows = []
    for kept in range(1, len(lines)):
        try:
            recording = read("".join(lines[:kept]), tmp_path)
        except ParseError as error:
            assert error.sentence.endswith(".")
            continue
        assert any("ends before its summary" in w.text for w in recording.warnings)
        read_rows.append(len(costs_of(recording)))
    assert read_rows == [1, 2, 2, 2, 3]


@pytest.mark.parametrize(
    "head",
    [
        "desc: --massif-out-file=x\ncmd: ./x\ntime_unit: i\n#-----------\nsnapshot=0\n",
        "# callgrind format\nversion: 1\nevents: Ir\nfn=main\n",
        "version: 1\ncreator: hand\npositions: line\nevents: Ir Dr\n\nfn=(1) main\n",
        "events: Ir\nfn=main\n1 2\ncfn=f\ncalls=1 2\n1 2\n",
        "main;work 3\n",
        "fn=1;b 3\n",
        "desc: a letter\n",
    ],
)
def test_other_formats_are_not_taken(head: str) -> None:
    assert CACHEGRIND.sniff(head.encode(), "cachegrind.out.1") < 0


rows = st.lists(
    st.tuples(
        st.sampled_from(["a.c", "b.h", "???"]),
        st.sampled_from(["main", "f(int)", "??? ", "x"]),
        st.integers(0, 2000),
        st.lists(st.integers(-(10**6), 10**17), max_size=3),
    ),
    min_size=1,
    max_size=40,
)


@given(rows)
def test_any_file_adds_up(entries: Sequence[tuple[str, str, int, list[int]]]) -> None:
    import tempfile

    text = ["events: A B C"]
    sums = [0, 0, 0]
    expected: dict[tuple[str, str, int], list[int]] = {}
    for file, function, line, costs in entries:
        text += [f"fl={file}", f"fn={function}", " ".join(map(str, (line, *costs)))]
        held = expected.setdefault((file.replace("???", ""), function, line or -1), [0, 0, 0])
        for at, cost in enumerate(costs):
            sums[at] += cost
            held[at] += cost
    text.append("summary: " + " ".join(map(str, sums)))
    with tempfile.TemporaryDirectory() as folder:
        recording = read("\n".join(text) + "\n", Path(folder))
    table = costs_of(recording)
    assert not any("add up" in w.text or "no part" in w.text for w in recording.warnings)
    found = {
        (table.string(f), table.string(n), line): costs
        for f, n, line, costs in zip(
            table.file.tolist(), table.function.tolist(), table.line.tolist(), table.costs.tolist(), strict=True
        )
    }
    assert found == expected
    profile = profile_of(recording)
    for event in range(3):
        above = sum(costs[event] for costs in expected.values() if costs[event] > 0)
        assert profile.total(event=event, weight=Weight.PERIOD) == pytest.approx(above)


def test_noise_is_refused_or_told(tmp_path: Path) -> None:
    dice = random.Random(7)
    text = text_of(VALGRIND / "matrix-ir.out.gz").encode()[:4000]
    for _ in range(60):
        damaged = bytearray(text)
        for _ in range(dice.randrange(1, 20)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        path = tmp_path / "cachegrind.out.2"
        path.write_bytes(bytes(damaged))
        try:
            recording = load(path, format="cachegrind")
        except ParseError as error:
            assert error.sentence.endswith(".")
        else:
            assert recording.warnings


def test_of_very_many_lines_the_cheapest_are_told_by_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cachegrind_profile, "MOST_LINES", 10)
    lines = "".join(f"{line} {10**9 if line < 3 else 1} 0\n" for line in range(1, 21))
    recording = read(f"{HEAD}fl=a.c\nfn=main\n{lines}summary: 2000000018 0\n", tmp_path)
    profile = profile_of(recording)
    assert profile.total(weight=Weight.PERIOD) == 2_000_000_018
    assert sorted(profile.frames.line.tolist()) == [-1, 1, 2]
    assert len(costs_of(recording)) == 20
    assert "18 lines that cost less" in recording.warnings[0].text
