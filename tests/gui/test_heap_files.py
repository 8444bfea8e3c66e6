"""Real files in the Memory view: the figures that stand there are those of the tools' own reports."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from helpers.results import show
from tailflame import units
from tailflame.model import Recording
from tailflame.model.heap import PEAK_OF
from tailflame.parse import load
from tailflame_gui.models.head import how_much
from tailflame_gui.models.heap_facts import heap_figures
from tailflame_gui.models.heap_sites import Question
from tailflame_gui.views.heap_view import HeapView
from tailflame_gui.views.result_view import Part, ResultView

DATA = Path(__file__).parents[1] / "data"
MASSIF = DATA / "massif" / "3.19.0"
HEAPTRACK = DATA / "heaptrack" / "1.4.0"
ROW = re.compile(r"^ +(\d+) +([\d,]+) +([\d,]+) +([\d,]+) +([\d,]+) +([\d,]+)$", re.MULTILINE)
"""Of ms_print: n, time, total, useful heap, extra heap, stacks."""


def shown(qtbot: QtBot, path: Path) -> tuple[ResultView, HeapView]:
    view = ResultView(load(path))
    show(qtbot, view, 1200, 760)
    assert view.part is Part.MEMORY
    qtbot.waitUntil(lambda: not view.busy)
    memory = view.findChild(HeapView)
    assert isinstance(memory, HeapView)
    return view, memory


def text_of(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()


@pytest.mark.parametrize("name", ["instructions", "ms-stacks", "bytes", "pages"])
def test_massif_shows_what_ms_print_shows(qtbot: QtBot, name: str) -> None:
    report = text_of(MASSIF / f"{name}.ms_print")
    detailed = re.search(r"Detailed snapshots: \[([^\]]*)\]", report)
    assert detailed is not None
    numbers = [int(number) for number in re.findall(r"\d+", detailed[1])]
    peak = re.search(r"(\d+) \(peak\)", detailed[1])
    assert peak is not None
    rows = {int(row[0]): [int(cell.replace(",", "")) for cell in row[1:]] for row in ROW.findall(report)}
    result, view = shown(qtbot, MASSIF / f"{name}.out")
    heap = result.recording.heap
    assert heap is not None
    with_bytes = [number for number in numbers if rows[number][2]]  # a tree without bytes shows nothing
    assert [int(heap.number[row]) for row in heap.rows_with_stacks()] == with_bytes
    assert int(heap.number[heap.peak]) == int(peak[1])
    _time, total, useful, extra, stacks = rows[int(peak[1])]
    assert view.figures.texts()[PEAK_OF[heap.counted]] == units.size(useful)
    read = {line.words: line.text for line in view.plot.readings()}
    assert read["mapped" if name == "pages" else "heap"] == units.size(useful)
    if extra:
        assert (read["overhead"], read["in all"]) == (units.size(extra), units.size(total))
    if stacks:
        assert read["stacks"] == units.size(stacks) == view.figures.texts()["Stacks"]
    assert view.model.table is not None
    assert view.model.table.total == useful, "the sites add up to the snapshot"


def test_stacks_without_a_heap_are_called_so(qtbot: QtBot) -> None:
    result, view = shown(qtbot, MASSIF / "no-heap.out")
    assert view.figures.texts()["Peak of stacks"] == "7.5 kB"
    assert "Peak heap" not in view.figures.texts()
    assert [layer.band.words for layer in view.plot.layers] == ["stacks"]
    assert how_much(result.recording) == "7.5 kB of stacks at the peak"
    assert how_much(load(MASSIF / "pages.out")) == "10.0 MB mapped at the peak"


def test_every_snapshot_of_massif_can_be_gone_to(qtbot: QtBot) -> None:
    result, view = shown(qtbot, MASSIF / "instructions.out")
    heap = result.recording.heap
    assert heap is not None
    rows = {int(row[0]): row for row in ROW.findall(text_of(MASSIF / "instructions.ms_print"))}
    for row in heap.rows_with_stacks():
        view.choose_row(row)
        qtbot.waitUntil(lambda: not view.busy)
        useful = int(rows[int(heap.number[row])][3].replace(",", ""))
        assert view.model.table is not None and view.model.table.total == useful
        assert result.scope.scope.event == int(heap.event[row])


def figures(report: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-zA-Z ()]+): ([\d.]+[KMG]?)", report, re.MULTILINE))


def decimal(text: str) -> str:
    """ "5.16M" of heaptrack_print as this window writes it, which has a digit less."""
    value = float(text.rstrip("BKMG")) * {"K": 1e3, "M": 1e6, "G": 1e9}.get(text[-1], 1.0)
    return units.size(value)


@pytest.mark.parametrize(
    ("name", "report"), [("trading.zst", "trading.print.txt.gz"), ("alloc.zst", "alloc.print.txt")]
)
def test_heaptrack_shows_what_heaptrack_print_shows(qtbot: QtBot, name: str, report: str) -> None:
    told = figures(text_of(HEAPTRACK / report))
    result, view = shown(qtbot, HEAPTRACK / name)
    texts = view.figures.texts()
    below = {block.name.whole: block.below.whole for block in view.figures.blocks}
    assert texts["Allocations"] == units.count(float(told["calls to allocation functions"]))
    assert below["Temporary"] == f"heaptrack_print: {units.count(float(told['temporary memory allocations']))}"
    assert texts["Peak heap"] == decimal(told["peak heap memory consumption"])
    assert texts["Peak RSS"] == decimal(told["peak RSS (including heaptrack overhead)"])
    heap = result.recording.heap
    assert heap is not None and heap.facts.leaked is not None
    # heaptrack_print does not understand the suppression that alloc.cpp embeds, and counts what it names.
    embedded = (heap.facts.suppressed or 0.0) if name == "alloc.zst" else 0.0
    assert texts["Leaked"] == units.size(heap.facts.leaked)
    assert units.size(heap.facts.leaked + embedded) == decimal(told["total memory leaked"])


def test_the_histogram_of_sizes_is_that_of_heaptrack_print(qtbot: QtBot) -> None:
    lines = [line.split() for line in text_of(HEAPTRACK / "trading.sizes.txt").splitlines() if line.strip()]
    _result, view = shown(qtbot, HEAPTRACK / "trading.zst")
    assert sum(calls for _words, calls, _share in view.sizes.lines) == sum(int(line[-1]) for line in lines)


def test_the_leak_and_the_churn_of_the_demo_are_named(qtbot: QtBot) -> None:
    _result, view = shown(qtbot, HEAPTRACK / "trading.zst")
    assert any("remember_session" in line and "never freed" in line for line in view.reading.lines())
    assert any("rebuild_quotes" in line and "temporary" in line for line in view.reading.lines())
    view.ask(Question.LEAKED)
    qtbot.waitUntil(lambda: not view.busy)
    assert str(view.model.index(0, 0).data()) == "trading_system::churn::remember_session"


def test_two_real_heaps_are_compared(qtbot: QtBot) -> None:
    from tailflame_gui.views.heap_comparison import HeapComparison

    def opened(path: Path) -> Recording:
        return load(path)

    view = HeapComparison(
        opened(MASSIF / "bytes.out"), opened(MASSIF / "instructions.out"), titles=("engine", "engine")
    )  # fmt: skip
    show(qtbot, view, 1200, 760)
    qtbot.waitUntil(lambda: not view.busy)
    assert "on both sides" in view.verdict.lines[0].verdict.sentence, "the same program twice"
    assert int(view.model.changed().sum()) == 0


def test_a_peak_among_moments_is_told_in_few_words(qtbot: QtBot) -> None:
    """Of a file without a mark: the tile has room for three words and a moment."""
    _result, view = shown(qtbot, MASSIF / "no-heap.out")
    (peak, *_) = heap_figures(view._heap)
    assert peak.below == "at least, at 40.5 k instr." and "between them there may have been more" in peak.tip
    show(qtbot, view, 1155, 690)
    block = view.figures.blocks[0].below
    assert block.whole == peak.below and block.fontMetrics().horizontalAdvance(peak.below) <= block.width()
