"""callgrind.out as a tree: functions' own costs are callgrind_annotate's, and no total is more than there is."""

from __future__ import annotations

import gzip
import random
import re
from collections import Counter
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
from tailflame.analyse.tree import TreeOptions, build_tree
from tailflame.errors import ParseError
from tailflame.model import CostTable, Recording, StackProfile, Weight
from tailflame.parse import load
from tailflame.parse import source as source_module
from tailflame.parse.cachegrind_profile import normalised
from tailflame.parse.call_graph import MOST_NODES, shared_out
from tailflame.parse.callgrind import CALLGRIND
from tailflame.parse.callgrind_lines import CallgrindLines

VALGRIND = DATA / "callgrind" / "3.19.0"
_ROW = re.compile(r" *([\d,]+) \([ \d.]+%\)  (.+)")


def profile_of(recording: Recording) -> StackProfile:
    assert recording.profile is not None
    return recording.profile


def annotated(text: str) -> Counter[str]:
    """Own cost by function of callgrind_annotate's report, which tells one row for each file of inlined code."""
    costs: Counter[str] = Counter()
    for line in text.splitlines():
        row = _ROW.fullmatch(line)
        if row and row[2] != "PROGRAM TOTALS":
            place = re.sub(r" \[[^\[\]]*\]$", "", row[2])
            costs[re.sub(r"^[^:]*:(?!:)", "", place)] += int(row[1].replace(",", ""))
    return costs


def own_costs(profile: StackProfile, event: int = 0) -> dict[str, float]:
    table = hotspots(profile, event=event, weight=Weight.PERIOD)
    costs: Counter[str] = Counter()
    for name, cost in zip(table.key, table.self_weight.tolist(), strict=True):
        if cost:
            costs[name] += cost
    return dict(costs)


@pytest.mark.parametrize("name", ["trading", "recursive"])
def test_own_costs_are_those_of_callgrind_annotate(name: str) -> None:
    recording = load(VALGRIND / f"{name}.out.gz")
    assert recording.format == "callgrind"
    report = VALGRIND / f"{name}.annotate.txt"
    text = (
        report.read_text()
        if report.exists()
        else gzip.decompress((VALGRIND / f"{report.name}.gz").read_bytes()).decode()
    )
    expected = annotated(text)
    profile = profile_of(recording)
    assert own_costs(profile) == pytest.approx(dict(expected), rel=1e-9)
    tree = build_tree(profile, TreeOptions(weight=Weight.PERIOD))
    assert tree.total == pytest.approx(sum(expected.values()))
    assert float(tree.total_weight.max()) <= tree.total * (1 + 1e-9)
    assert "estimate" in recording.warnings[0].text
    assert all("last-level cache" in caution.text for caution in recording.warnings[1:])


def test_events_and_recursion_of_a_real_program() -> None:
    recording = load(VALGRIND / "recursive.out.gz")
    profile = profile_of(recording)
    names = [event.name for event in profile.events]
    assert names == ["Ir", "Dr", "Dw", "I1mr", "D1mr", "D1mw", "ILmr", "DLmr", "DLmw", "Bc", "Bcm", "Bi", "Bim"]
    table = hotspots(profile, weight=Weight.PERIOD)
    whole = table.total
    # callgrind_annotate tells 197 % for even'2: the circle of even and odd counts once here.
    shares = {name: total / whole for name, total in zip(table.key, table.total_weight.tolist(), strict=True)}
    assert 0.2 < shares["even'2"] < 0.35
    assert shares["main"] == pytest.approx(506_981 / whole, rel=1e-6)  # what the report with --inclusive=yes says
    assert shares["dear"] == pytest.approx(274_700 / whole, rel=1e-6)
    # Each event is shared out by its own costs, and adds up to what the file says under "totals:".
    totals = (629_545, 112_202, 96_806, 1_248, 986, 611, 1_230, 767, 581, 105_043, 5_593, 297, 159)
    for event, total in enumerate(totals):
        assert profile.total(event=event, weight=Weight.PERIOD) == pytest.approx(total)
    assert recording.meta.command == ("./rec",)
    assert any("last-level cache of 256 MiB" in caution.text for caution in recording.warnings)


HEAD = "version: 1\ncreator: hand\npositions: line\nevents: Ir Dr\n\n"


def read(text: str, tmp_path: Path) -> Recording:
    path = tmp_path / "callgrind.out.1"
    path.write_text(text)
    return load(path, format="callgrind")


def test_costs_are_shared_out_as_calls_cost(tmp_path: Path) -> None:
    text = HEAD + (
        "ob=(1) /bin/app\nfl=(1) a.c\nfn=(1) main\n10 5 1\n"
        "cfn=(2) left\ncalls=1 20\n11 30 4\ncfn=(3) right\ncalls=2 30\n12 90\n"
        "\nfn=(2)\n20 10\ncfi=(2) b.c\ncfn=(4) leaf\ncalls=1 1\n21 20 4\n"
        "\nfn=(3)\n+5 10\ncfi=(2)\ncfn=(4)\ncalls=2 1\n* 80\n"
        "\nfl=(2)\nfn=(4)\n1 60 3\n-1 40 1\n"
    )
    recording = read(text, tmp_path)
    profile = profile_of(recording)
    of = {e.name: n for n, e in enumerate(profile.events)}
    only = [row for row in range(len(profile.samples)) if profile.samples.event[row] == of["Ir"]]
    assert sum(profile.samples.period[only]) == 125
    tree = build_tree(profile, TreeOptions(event=of["Ir"], weight=Weight.PERIOD))
    total = {
        ";".join(tree.name(n) for n in tree.path(node)): float(tree.total_weight[node]) for node in range(len(tree))
    }
    assert total == {
        "main": 125, "main;left": 30, "main;right": 90, "main;left;leaf": 20, "main;right;leaf": 80,
    }  # fmt: skip
    # All of the leaf's reads were on one way.
    tree = build_tree(profile, TreeOptions(event=of["Dr"], weight=Weight.PERIOD))
    assert tree.total == 5 and {tree.name(n) for n in range(len(tree))} == {"main", "left", "leaf"}
    frame = profile.frames.names().index("leaf")
    assert (profile.frames.module_of(frame), profile.frames.file_of(frame)) == ("/bin/app", "b.c")


def test_names_jumps_parts_and_what_is_unknown(tmp_path: Path) -> None:
    text = HEAD + (
        "fn=(1) main\n1 1\njfi=(7) late.c\njump=3 5\n2\njcnd=1/2 7\n3\ncob=(9)\ncfi=(7)\ncfn=(8)\ncalls=1 1\n4 6\n"
        "\nob=(9)\nfl=(7)\nfn=(8)\n1 6\n\ntotals: 7\n"
    )
    profile = profile_of(read(text, tmp_path))
    # An id that no line defines stays a number.
    assert stack_periods(profile) == {"main": 1, "main;(8)": 6}
    assert profile.frames.file_of(profile.frames.names().index("(8)")) == "late.c"
    twice = profile_of(read(text + text, tmp_path))
    assert stack_periods(twice) == {"main": 2, "main;(8)": 12}
    wrong = read(text.replace("totals: 7", "totals: 70"), tmp_path)
    assert "its own total says 70" in wrong.warnings[1].text
    odd = read(text + "what is this\nfn=(1)\n1 x\n1 1 1 1 1\n", tmp_path)
    assert odd.warnings[-1].text.startswith("3 lines are no part of the format")


def test_a_file_without_costs(tmp_path: Path) -> None:
    with pytest.raises(ParseError, match="no costs of functions") as told:
        read(HEAD, tmp_path)
    assert "-01" in told.value.advice


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[list[int]], dict[tuple[int, int], Sequence[float]]]:
    size = draw(st.integers(1, 9))
    cost = st.integers(0, 50)
    own = draw(st.lists(st.lists(cost, min_size=2, max_size=2), min_size=size, max_size=size))
    pair = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1))
    calls = draw(st.dictionaries(pair, st.tuples(cost, cost), max_size=20))
    return own, {key: [float(c) for c in value] for key, value in calls.items()}


@given(graphs())
def test_any_graph_keeps_each_functions_own_cost(
    graph: tuple[list[list[int]], dict[tuple[int, int], Sequence[float]]],
) -> None:
    """Whatever calls are said to cost, and whoever calls whom."""
    own, calls = graph
    shared = shared_out(np.array(own, np.float64), calls)
    assert (shared.parent < np.arange(len(shared.parent))).all()
    assert (shared.own >= 0).all()
    kept = np.zeros((len(own) + 1, 2))
    np.add.at(kept, shared.function, shared.own)
    assert kept[:-1] == pytest.approx(np.array(own, np.float64))
    assert not kept[-1].any()


def test_ways_without_number_are_told_together() -> None:
    """2^40 ways: each of 40 functions calls the next one at two places."""
    layers = 40
    calls: dict[tuple[int, int], Sequence[float]] = {}
    size = 1 + 2 * layers
    for layer in range(layers):
        above = [0] if not layer else [2 * layer - 1, 2 * layer]
        for caller in above:
            for callee in (2 * layer + 1, 2 * layer + 2):
                calls[caller, callee] = [float(layers - layer) / len(above)]
    own = np.ones((size, 1))
    shared = shared_out(own, calls)
    assert len(shared.parent) < 3 * MOST_NODES
    kept = np.zeros((size + 1, 1))
    np.add.at(kept, shared.function, shared.own)
    assert kept[:-1] == pytest.approx(own)


def test_no_prefix_and_no_changed_byte_does_more_than_fail(tmp_path: Path) -> None:
    whole = gzip.decompress((VALGRIND / "recursive.out.gz").read_bytes())[:30_000]
    path = tmp_path / "cut"
    chance = random.Random(5)
    for _ in range(40):
        data = bytearray(whole[: chance.randrange(1, len(whole))])
        for _ in range(chance.randrange(30)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data)
        try:
            load(path, format="callgrind")
        except ParseError as error:
            assert error.sentence


MATRIX = VALGRIND / "matrix.out.gz"


def costs_of(recording: Recording) -> CostTable:
    assert recording.costs is not None
    return recording.costs


def test_the_costs_of_each_function_and_line_are_those_of_callgrind_annotate() -> None:
    table = costs_of(load(MATRIX))
    report = text_of(VALGRIND / "matrix.annotate.txt.gz")
    assert tuple(table.costs.sum(axis=0).tolist()) == tuple(table.totals.tolist())
    # callgrind_annotate prints the file's summary, which also holds what was spent outside all functions.
    assert max(abs(a - b) for a, b in zip(table.totals.tolist(), report_totals(report), strict=True)) <= 2
    found = table_functions(table)
    for key, costs in report_functions(report).items():
        file, _, function = key.partition(":")
        assert found[f"{normalised(file)}:{function}"] == costs, key
    for file in ("matrix.c", "square.h"):
        expected = {line: c for line, c in report_lines(report, f"././{file}").items() if any(c)}
        lines = table_lines(table, file)
        assert {line: lines[line] for line in expected} == expected and len(expected) == len(lines)


def test_recursion_is_never_more_than_everything() -> None:
    recording = load(MATRIX)
    profile = profile_of(recording)
    table = hotspots(profile, weight=Weight.PERIOD)
    inclusive = dict(zip(table.key, table.total_weight.tolist(), strict=True))
    # callgrind_annotate --inclusive=yes tells 13,490,500 of 12,411,972 for even'2.
    assert inclusive["main"] == pytest.approx(12_288_972)
    assert inclusive["by_columns"] == pytest.approx(3_433_505)
    assert inclusive["even'2"] < 30_000
    assert max(inclusive.values()) <= table.total * (1 + 1e-9)


def test_the_tree_knows_the_lines() -> None:
    recording = load(MATRIX)
    profile, costs = profile_of(recording), costs_of(recording)
    event = costs.event("D1mr")
    tree = place_tree(profile, TreeOptions(event=event, weight=Weight.PERIOD))
    lines = line_costs(tree, "matrix.c")
    own = dict(zip(lines.line.tolist(), lines.own.tolist(), strict=True))
    assert own[22] == pytest.approx(table_lines(costs, "matrix.c")[22][event])
    assert profile.total(event=event, weight=Weight.PERIOD) == pytest.approx(int(costs.totals[event]))


COUNTED = """fl=a.c
fn=f
10 1
+5 2
-3 4
* 8
cfn=g
calls=1 90
+1 100
+1 16
jump=1 +70
*
-2 32
fl=b.c
fn=g
+1 100
"""


def test_lines_are_counted_from_the_one_before(tmp_path: Path) -> None:
    table = costs_of(read(HEAD + COUNTED, tmp_path))
    assert {line: c[0] for line, c in table_lines(table, "a.c").items()} == {10: 1, 15: 2, 12: 12 + 32, 14: 16}
    assert {line: c[0] for line, c in table_lines(table, "b.c").items()} == {13: 100}
    head = HEAD.replace("positions: line", "positions: instr line")
    both = re.sub(r"(?m)^(?=[+*-])", "+4 ", COUNTED).replace("10 1", "0x401f0 10 1")
    assert table_lines(costs_of(read(head + both, tmp_path)), "a.c") == table_lines(table, "a.c")
    blind = costs_of(read(HEAD.replace("positions: line", "positions: instr") + COUNTED, tmp_path))
    assert (blind.line == -1).all()


def test_what_a_call_is_told_holds_for_it_alone(tmp_path: Path) -> None:
    text = HEAD + (
        "ob=(1) app\nfl=(1) a.c\nfn=(1) main\n1 1\ncob=(2) lib\ncfi=(2) l.c\ncfn=(2) far\ncalls=1 1\n2 10\n"
        "cfn=(3) near\ncalls=1 1\n3 20\nfi=(3) inl.h\ncfn=(4) inlined\ncalls=1 1\n4 30\n4 5\nfe=(1)\n5 2\n"
    )
    recording = read(text, tmp_path)
    frames = profile_of(recording).frames
    calls = hotspots(profile_of(recording), weight=Weight.PERIOD)
    assert calls.total == 8  # what calls cost is no function's own
    table = costs_of(recording)
    assert table_functions(table) == {"a.c:main": (3, 0), "inl.h:main": (5, 0)}
    assert {table.string(m) for m in table.module.tolist()} == {"app"}
    text += "\nob=(2)\nfl=(2)\nfn=(2)\n1 10\nob=(1)\nfl=(1)\nfn=(3)\n1 20\nfl=(3)\nfn=(4)\n1 30\n"
    frames = profile_of(read(text, tmp_path)).frames
    placed = {(frames.name_of(f), frames.module_of(f), frames.file_of(f)) for f in range(len(frames))}
    assert {("far", "lib", "l.c"), ("near", "app", "a.c"), ("inlined", "app", "inl.h")} <= placed
    assert stack_periods(profile_of(read(text, tmp_path))) == {
        "main": 8, "main;far": 10, "main;near": 20, "main;inlined": 30,
    }  # fmt: skip


def test_parts_may_give_a_number_to_another_name_and_count_other_events(tmp_path: Path) -> None:
    one = HEAD + "fl=(1) a.c\nfn=(1) f\n1 5 1\nfn=(2) g\n2 7\n\ntotals: 12 1\n"
    two = (
        "version: 1\ncreator: hand\npart: 2\npositions: line\nevents: Dr Dw\n\n"
        "fl=(1) b.c\nfn=(1) h\n1 3 9\nfn=(2)\n4 1\n\ntotals: 4 9\n"
    )
    table = costs_of(read(one + two, tmp_path))
    assert table.events == ("Ir", "Dr", "Dw")
    assert table_functions(table) == {"a.c:f": (5, 1, 0), "a.c:g": (7, 0, 0), "b.c:h": (0, 3, 9), "b.c:g": (0, 1, 0)}


def test_sums_of_events_that_the_file_defines(tmp_path: Path) -> None:
    text = "event: Both = Ir + 10 Dr : Reads and all\nevent: Dr : Data reads\nevent: Odd = Ir + Nothing\n" + HEAD
    table = costs_of(read(text + "fl=a.c\nfn=f\n1 5 2\ntotals: 5 2\n", tmp_path))
    assert table.events == ("Ir", "Dr", "Both") and table.costs.tolist() == [[5, 2, 25]]
    assert table.descriptions == ("Instructions executed", "Data reads", "Reads and all")
    assert [e.name for e in profile_of(read(text + "fl=a.c\nfn=f\n1 5 2\n", tmp_path)).events] == ["Ir", "Dr"]


def test_what_it_says_of_caches_that_it_has_not_simulated_is_left_out(tmp_path: Path) -> None:
    said = "desc: I1 cache: \ndesc: D1 cache: \ndesc: LL cache: \ndesc: Trigger: Program termination\n"
    assert costs_of(read(said + HEAD + "fl=a.c\nfn=f\n1 5 2\n", tmp_path)).notes == ("Trigger: Program termination",)
    assert costs_of(load(MATRIX)).notes[0] == "I1 cache: 32768 B, 64 B, 8-way associative"


def test_totals_that_do_not_agree_and_are_not_there(tmp_path: Path) -> None:
    body = "fl=a.c\nfn=f\n1 5 2\n"
    assert "its own total says 3" in read(HEAD + body + "totals: 5 3\n", tmp_path).warnings[1].text
    assert len(read(HEAD + body + "totals: 5 2\n", tmp_path).warnings) == 1
    assert "ends before its totals" in read(HEAD + body, tmp_path).warnings[1].text
    assert len(read("summary: 0 0\n" + HEAD + body + "totals: 5 2\n", tmp_path).warnings) == 1


def test_numbers_that_are_too_large_are_called_so(tmp_path: Path) -> None:
    huge = "9" * 23
    recording = read(HEAD + f"fl=a.c\nfn=f\n1 5 2\n1 {huge} 2\n2 9223372036854775808\ntotals: 5 {huge}\n", tmp_path)
    assert [w.text for w in recording.warnings[1:]] == [
        "2 lines hold numbers that are too large to be true, 2^63 or more, and left out (the first is line 9)."
    ]
    assert costs_of(recording).totals.tolist() == [5, 2]
    left = read(HEAD + f"fl=a.c\nfn=f\n1 5 2\n1 {huge} 2\ntotals: 9 2\n", tmp_path)
    assert "its own total says 9: lines were left out" in left.warnings[1].text


def test_a_part_that_is_there_twice_is_told(tmp_path: Path) -> None:
    """Several parts are what callgrind writes of several dumps, or of threads; the same part twice is a copy."""

    def part(number: int, thread: int, cost: int, pid: int = 7) -> str:
        head = f"version: 1\ncreator: hand\npid: {pid}\npart: {number}\nthread: {thread}\npositions: line\nevents: Ir\n"
        return f"{head}fl=a.c\nfn=f\n1 {cost}\ntotals: {cost}\n"

    honest = part(1, 1, 5) + part(1, 2, 5) + part(2, 1, 5) + part(1, 1, 5, pid=8) + part(1, 1, 6)
    assert len(read(honest, tmp_path).warnings) == 1
    told = read(honest + part(1, 2, 5), tmp_path).warnings
    assert told[1].text.startswith("The file holds part 1 of thread 2 of process 7 twice: its costs are added up")
    assert len(told) == 2
    assert "part 1 of thread 1 of process 7 twice, and 3 further" in read(honest * 2, tmp_path).warnings[1].text


def test_a_file_cut_after_any_line_is_refused_or_told(tmp_path: Path) -> None:
    text = HEAD + "ob=(1) o\nfl=(1) a.c\nfn=(1) f\n1 5\ncfn=(2) g\ncalls=1 1\n2 7\n\nfn=(2)\n+1 7\n\ntotals: 12\n"
    lines = text.splitlines(keepends=True)
    seen = set()
    for kept in range(1, len(lines)):
        try:
            recording = read("".join(lines[:kept]), tmp_path)
        except ParseError as error:
            assert error.sentence.endswith(".")
        else:
            assert "ends before its totals" in recording.warnings[1].text
            seen.add(int(costs_of(recording).totals[0]))
    assert seen == {5, 12}


@pytest.mark.parametrize("line", ["1 x", "1 1 2 3", "1 -5", "1 +5", "1 *", "what is this", "fx=(1)", "calls=1 1"])
def test_a_line_that_is_none_is_told(line: str, tmp_path: Path) -> None:
    recording = read(HEAD + f"fl=a.c\nfn=f\n1 5 2\n{line}\ntotals: 5 2\n", tmp_path)
    assert [w.text for w in recording.warnings[1:]] == [
        "1 line is no part of the format and ignored (the first is line 9)."
    ]
    assert costs_of(recording).totals.tolist() == [5, 2]


def test_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    text = gzip.decompress(MATRIX.read_bytes()).decode()
    assert np.array_equal(costs_of(read(text.replace("\n", "\r\n"), tmp_path)).costs, costs_of(load(MATRIX)).costs)


def test_blocks_of_any_size_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = costs_of(load(MATRIX))
    monkeypatch.setattr(source_module, "CHUNK", 777)
    monkeypatch.setattr(source_module.Source.chunks, "__defaults__", (777,))
    small = load(MATRIX)
    assert table_functions(costs_of(small)) == table_functions(whole)
    assert table_lines(costs_of(small), "matrix.c") == table_lines(whole, "matrix.c")
    assert [w.text for w in small.warnings] == [w.text for w in load(MATRIX).warnings]


class _Plainly:
    """A reader of the same lines, one after the other: what CallgrindLines must come to."""

    def __init__(self) -> None:
        self.names: dict[tuple[str, str], str] = {}
        self.own: Counter[tuple[tuple[str, ...], str, int]] = Counter()
        self.calls: Counter[tuple[tuple[str, ...], tuple[str, ...]]] = Counter()
        self.target = self.file = self.here = ""
        self.at: tuple[str, ...] | None = None
        self.line = 0
        self.forget()
        self.counting = False

    def forget(self) -> None:
        self.cob = self.cfi = self.called = None
        self.awaits = False

    def name(self, space: str, text: str) -> str:
        found = re.fullmatch(r"\((\d+)\)(?: (.+))?", text)
        if found is None:
            return text
        if found[2]:
            self.names[space, found[1]] = found[2]
        return self.names.get((space, found[1]), f"({found[1]})")

    def read(self, line: str) -> None:
        if line[:1] in "0123456789+-*" and line:
            self.figures(line)
            return
        key, _, value = line.partition("=")
        match key:
            case "fn":
                self.at = (self.target, self.file, self.name("fn", value))
                self.forget()
            case "fl":
                self.file = self.here = self.name("fl", value)
            case "fi" | "fe":
                self.here = self.name("fl", value)
            case "ob":
                self.target = self.name("ob", value)
            case "cob":
                self.cob = self.name("ob", value)
            case "cfi":
                self.cfi = self.name("fl", value)
            case "cfn":
                target = self.target if self.cob is None else self.cob
                file = self.here if self.cfi is None else self.cfi
                self.called = (target, file, self.name("fn", value))
            case "jfi" | "jfn":
                self.name({"jfi": "fl", "jfn": "fn"}[key], value)
            case "calls":
                self.awaits = self.called is not None

    def figures(self, line: str) -> None:
        place, *costs = line.split()
        self.line = {"+": self.line + int(place[1:] or 0), "-": self.line - int(place[1:] or 0), "*": self.line}.get(
            place[0], int(place) if place.isdigit() else 0
        )
        cost = int(costs[0]) if costs else 0
        if self.awaits and self.at is not None:
            self.calls[self.at, self.called] += cost
        elif self.at is not None and cost:
            self.own[self.at, self.here, max(self.line, 0)] += cost
        if self.awaits:
            self.forget()


_numbers = st.integers(1, 4)
_spelt = st.one_of(
    _numbers.map(lambda n: f"({n})"),
    st.tuples(_numbers, st.sampled_from("abc")).map(lambda p: f"({p[0]}) {p[1]}"),
    st.sampled_from(["plain", "x y", "(no) number"]),
)
_words = st.tuples(st.sampled_from(["fn", "fl", "fi", "fe", "ob", "fn"]), _spelt).map("=".join)
_costs = st.tuples(st.sampled_from(["+", "-", "", "*"]), st.integers(0, 30), st.integers(0, 99)).map(
    lambda c: f"* {c[2]}" if c[0] == "*" else f"{c[0]}{c[1]} {c[2]}"
)
_call = st.tuples(
    st.lists(st.tuples(st.sampled_from(["cob", "cfi"]), _spelt).map("=".join), max_size=2),
    _spelt, st.integers(0, 99), st.booleans(),
).map(lambda c: [*c[0], f"cfn={c[1]}", "calls=1 5", *([""] if c[3] else []), f"+1 {c[2]}"])  # fmt: skip


@given(
    st.lists(st.one_of(_words.map(lambda w: [w]), _costs.map(lambda c: [c]), _call), max_size=60), st.integers(1, 90)
)
def test_any_lines_come_to_what_a_plain_reader_makes_of_them(parts: list[list[str]], size: int) -> None:
    # Each number is defined before it is used, as callgrind does; later lines may give it to another name.
    defined = [f"{key}=({n}) {key[0]}{n}" for n in range(1, 5) for key in ("jfi", "jfn", "cob")]
    lines = [*defined, "fn=first", *(line for part in parts for line in part)]
    plain = _Plainly()
    for line in lines:
        plain.read(line)
    reader = CallgrindLines("x", lambda line: line.startswith(b"events"))
    text = "positions: line\nevents: Ir\n" + "\n".join(lines) + "\n"
    whole = [line + b"\n" for line in text.encode().split(b"\n")[:-1]]
    for at in range(0, len(whole), size):
        reader.block(b"".join(whole[at : at + size]))
    assert not reader.damaged
    names = [*reader.strings, ""]
    functions = [tuple(names[at] for at in key) for key in reader.functions]
    function, file = reader.group_parts() if reader.groups else (np.zeros(0, np.int64),) * 2
    group, line_of, costs = reader.own()
    own: Counter[tuple[tuple[str, ...], str, int]] = Counter()
    for g, n, cost in zip(group.tolist(), line_of.tolist(), costs[:, 0].tolist(), strict=True):
        own[functions[function[g]], names[file[g]], n] += cost
    assert own == plain.own
    caller, callee, passed = reader.calls()
    calls = {
        (functions[a], functions[b]): cost
        for a, b, cost in zip(caller.tolist(), callee.tolist(), passed[:, 0].tolist(), strict=True)
    }
    assert calls == dict(plain.calls)


CACHEGRIND = b"desc: I1 cache: 32768 B\ncmd: ./x\nevents: Ir Dr\nfl=a.c\nfn=main\n1 2 3\nsummary: 2 3\n"


@pytest.mark.parametrize("head", [b"", b"main;fn=(1) 12\n", b"events: Ir\n", CACHEGRIND, b"fn=main\ncalls=1\n"])
def test_other_files_are_not_taken(head: bytes) -> None:
    assert CALLGRIND.sniff(head, "callgrind.out.1") < 0
