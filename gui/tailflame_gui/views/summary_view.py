"""A result on one page: the three hottest functions, what the graph says in sentences, and the facts of the run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication, QResizeEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from tailflame.analyse.counted import tells_amounts
from tailflame.analyse.heap_diff import is_heap
from tailflame.analyse.heap_tree import allocating
from tailflame.analyse.hotspots import HotspotTable
from tailflame.analyse.names import module_label
from tailflame.analyse.reading import Sentence, cautions, facts, read
from tailflame.errors import TailflameError
from tailflame.model import FrameKind, Recording
from tailflame.units import percent
from tailflame_gui import tasks
from tailflame_gui.models.scope import ResultScope, Scope
from tailflame_gui.models.trees import ProfileTrees
from tailflame_gui.selection import Selection
from tailflame_gui.views.reading_panel import ReadingPanel
from tailflame_gui.widgets.busy_line import BusyLine
from tailflame_gui.widgets.caution_lines import CautionLine
from tailflame_gui.widgets.function_line import HotspotLine
from tailflame_gui.widgets.parts import clear, column, hairline, icon_button, label, row, selectable
from tailflame_gui.widgets.percentile_grid import PercentileGrid

TOP = 3
_FACTS_WIDTH = 320
_HOTTEST = "Hottest functions"


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """What is told of a scope: the table of functions, and the sentences of its tree."""

    table: HotspotTable
    sentences: tuple[Sentence, ...]


class SummaryView(QWidget):
    """show_flame(function): a hotspot or a sentence was chosen; it is selected already."""

    show_flame = Signal(str)

    def __init__(self, *, selection: Selection, scope: ResultScope, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._selection, self._scope = selection, scope
        self._trees: ProfileTrees | None = None
        self._stale = False
        self._latest = tasks.Latest(self)
        busy = BusyLine()
        self._latest.busy_changed.connect(busy.set_busy)

        self.hotspots = [HotspotLine(rank + 1) for rank in range(TOP)]
        self._of = label("", "second")
        self._nothing = label("", "second", wrap=True)
        self._nothing.hide()
        left = column(spacing=4)
        head = row(spacing=8)
        self._heading = label(_HOTTEST, "heading")
        head.addWidget(self._heading)
        head.addWidget(self._of)
        head.addStretch()
        left.addLayout(head)
        for line in self.hotspots:
            line.clicked.connect(partial(self._choose, line))
            line.hovered.connect(selection.hover)
            line.hide()
            left.addWidget(line)
        left.addWidget(self._nothing)
        self.percentiles = PercentileGrid()
        left.addWidget(self.percentiles)
        self.reading = ReadingPanel()
        self.reading.setFrameShape(QFrame.Shape.NoFrame)
        self.reading.chosen.connect(self._choose_sentence)
        left.setContentsMargins(16, 12, 0, 0)
        beside = column(spacing=8)
        beside.addLayout(left)
        # The panel has 12 px of its own before its text.
        under = row(margins=(4, 0, 0, 0))
        under.addWidget(self.reading)
        beside.addLayout(under, 1)
        self._sentences: tuple[Sentence, ...] = ()

        self._facts = QGridLayout()
        self._facts.setHorizontalSpacing(12)
        self._facts.setVerticalSpacing(4)
        self._facts.setColumnStretch(1, 1)
        self._cautions = QVBoxLayout()
        self._cautions.setSpacing(4)
        self._fact_lines: tuple[tuple[str, str], ...] = ()
        right = column(spacing=4)
        facts_head = row(spacing=8)
        facts_head.addWidget(label("The run", "heading"))
        facts_head.addStretch()
        facts_head.addWidget(icon_button("copy", self._copy_facts, tip="Copy these facts"))
        right.addLayout(facts_head)
        right.addLayout(self._facts)
        right.addSpacing(12)
        right.addLayout(self._cautions)
        right.addStretch()
        right.setContentsMargins(16, 12, 16, 16)
        side = QWidget()
        side.setProperty("surface", "surface")
        side.setLayout(right)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFixedWidth(_FACTS_WIDTH)
        self._area = area
        area.setWidget(side)
        across = row(spacing=16)
        across.addLayout(beside, 1)
        across.addWidget(hairline(vertical=True))
        across.addWidget(area)
        page = column(spacing=0)
        page.addWidget(busy)
        page.addLayout(across, 1)
        self.setLayout(page)
        self.setProperty("surface", "surface")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFocusProxy(self.hotspots[0])
        scope.changed.connect(lambda _scope: self._ask())

    @property
    def busy(self) -> bool:
        return self._latest.busy

    def set_recording(self, recording: Recording, trees: ProfileTrees | None) -> None:
        """The facts at once, the figures when the page is looked at."""
        self._trees = trees
        self._show_facts(recording)
        latencies_alone = trees is None and recording.histograms is not None
        self._heading.setText("Latencies" if latencies_alone else _HOTTEST)
        self.reading.setVisible(trees is not None)
        self.percentiles.set_series(recording.histograms)
        self._ask()

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        return self._fact_lines

    @property
    def caution_texts(self) -> list[str]:
        items = (self._cautions.itemAt(at) for at in range(self._cautions.count()))
        lines = (item.widget() for item in items if item is not None)
        return [line.text for line in lines if isinstance(line, CautionLine)]

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._area.setFixedWidth(min(_FACTS_WIDTH, max(event.size().width() // 3, 208)))

    def showEvent(self, event: object) -> None:
        if self._stale:
            self._ask()

    def _ask(self) -> None:
        self._stale = True
        trees, scope = self._trees, self._scope.scope
        if trees is None:
            self._say("This result holds no call stacks.")
            return
        if not self.isVisible():
            return
        self._stale = False

        def work(_progress: tasks.Progress) -> Findings:
            tree = trees.tree(scope)
            table = allocating(tree) if is_heap(tree.event) else trees.hotspots(scope)
            return Findings(table, read(tree))

        self._latest.ask(work, partial(self._show, scope=scope), name="sum up the profile", on_error=self._failed)

    def _show(self, found: Findings, *, scope: Scope) -> None:
        assert self._trees is not None
        table, measure = found.table, self._trees.measure(scope)
        rows = table.hottest(TOP)
        if not rows and is_heap(table.event):  # addresses without names are better than nothing
            rows = [int(row) for row in np.flatnonzero(table.self_weight > 0)[:TOP]]
        what = "libraries that it allocates through" if is_heap(table.event) else "inlined code"
        whole = table.total or 1.0
        for at, line in enumerate(self.hotspots):
            line.setVisible(at < len(rows))
            if at >= len(rows):
                continue
            i = rows[at]
            own, total = float(table.self_weight[i]), float(table.total_weight[i])
            self_text = measure.share(own / whole, table.samples)
            total_text = measure.share(total / whole, table.samples)
            where = module_label(table.module[i])
            place = f"{table.file[i].rsplit('/', 1)[-1]}:{table.line[i]}" if table.file[i] and table.line[i] > 0 else ""
            below = "   ".join(
                part for part in (f"{measure.with_unit(own)}, {total_text}% with callees", where, place)
                if part
            )  # fmt: skip
            line.set_hotspot(
                table.key[i],
                figure=self_text,
                share=own / whole,
                total=total / whole,
                below=below,
                kind=FrameKind(int(table.kind[i])),
                tip=f"{percent(own / whole)} of all weight in its own code, {what} included. "
                "Click to see it in the flame graph.",
            )
        self._heading.setText(f"Takes the most: {table.event.name}" if tells_amounts(table.event) else _HOTTEST)
        self._of.setText(f"by their own share of {measure.with_unit(table.total)}")
        if not rows:
            self._say("No sample of this recording is of the chosen event, threads and time.")
        else:
            self._nothing.hide()
        self._sentences = found.sentences
        self.reading.set_sentences(found.sentences)

    def _show_facts(self, recording: Recording) -> None:
        while (item := self._facts.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        self._fact_lines = facts(recording)
        for line, (name, value) in enumerate(self._fact_lines):
            words = selectable(label(_breakable(value), wrap=True, mono=name in ("Command", "Source")))
            words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
            self._facts.addWidget(label(name, "second"), line, 0, Qt.AlignmentFlag.AlignTop)
            self._facts.addWidget(words, line, 1)
        clear(self._cautions)
        for caution in cautions(recording):
            self._cautions.addWidget(CautionLine(caution, wrap=True))

    def _copy_facts(self) -> None:
        QGuiApplication.clipboard().setText("".join(f"{name}\t{value}\n" for name, value in self._fact_lines))

    def _say(self, text: str) -> None:
        for line in self.hotspots:
            line.hide()
        self._of.setText("")
        self._nothing.setText(text)
        self._nothing.show()
        self._sentences = ()
        self.reading.set_sentences(())

    def _failed(self, error: TailflameError) -> None:
        self._say(str(error))

    def _choose(self, line: HotspotLine) -> None:
        self._choose_function(line.name)

    def _choose_sentence(self, at: int) -> None:
        self._choose_function(self._sentences[at].function)

    def _choose_function(self, function: str) -> None:
        self._selection.select(function)
        self.show_flame.emit(function)


def _breakable(text: str) -> str:
    """With places where a line may break: paths and commands have no spaces."""
    return text.replace("/", "/\u200b").replace("_", "_\u200b")
