"""One hotspot of a measurement: its part of the flame graph, callers, source, cache lines, allocations, system calls,
and its share of the time over the measurements.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QLabel, QScrollArea, QSplitter, QTabWidget, QWidget

from tailflame.analyse.function_facts import CacheFacts, HeapFacts, HotspotFacts
from tailflame.units import count, percent, size
from tailflame_gui import plain, theme
from tailflame_gui.models.function_tables import call_fields, line_fields, line_rows, site_fields, site_rows
from tailflame_gui.models.scope import ResultScope
from tailflame_gui.models.session_table import RowTable
from tailflame_gui.models.trees import ProfileTrees
from tailflame_gui.selection import Selection
from tailflame_gui.views.flame_view import FlameView
from tailflame_gui.views.sandwich_view import SandwichView
from tailflame_gui.views.source_view import SourceView
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.goal_chart import GoalChart, GoalPoint
from tailflame_gui.widgets.parts import ElidedLabel, button, column, hairline, icon_button, label, row
from tailflame_gui.widgets.row_view import RowView

_SIDE = 420
_CHART = 130
_HEADER = 28
_MOST_LINES = 8
_OPENED = {"cpu": "Open the CPU profile", "caches": "Open", "heap": "Open", "syscalls": "Open"}


class HotspotPage(QWidget):
    """back_requested(); opened(session's id, function): a whole result; chosen(id): another measurement;
    open_source(file, line: -1 unknown); source_view_made(SourceView): it is going to ask for files; failed(error).
    """

    back_requested = Signal()
    opened = Signal(str, str)
    chosen = Signal(str)
    open_source = Signal(str, int)
    source_view_made = Signal(object)
    failed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.facts: HotspotFacts | None = None
        self.back = icon_button("arrow-left", self.back_requested.emit, tip="Back to the loop (Escape)")
        self.name = ElidedLabel("", "title", mono=True, mode=Qt.TextElideMode.ElideMiddle)
        self.figures = label("", "second", mono=True)
        self.figures.setToolTip(
            "Self: in the function's own code and in what was inlined into it. Total: with what it calls. "
            "Means of the repetitions, and the least and the most."
        )
        self.whole = button(
            _OPENED["cpu"], partial(self._open, "cpu"), rank="quiet", icon="flame",
            tip="The whole flame graph with this function selected, in a tab of its own.",
        )  # fmt: skip
        self.chart = GoalChart(at_rest="Its share of the CPU time in each measurement; click one to see it.")
        self.chart.setAccessibleName("Its share over the measurements")
        self.chart.setMinimumHeight(_CHART)
        self.chart.chosen.connect(self.chosen)
        self.lines: RowTable[Any] = RowTable(line_fields(), self)
        self.sites: RowTable[Any] = RowTable(site_fields(), self)
        self.calls: RowTable[Any] = RowTable(call_fields(), self)
        self.caches = _Section("Cache lines", self.lines, partial(self._open, "caches"))
        self.heap = _Section("Allocations", self.sites, partial(self._open, "heap"))
        self.syscalls = _Section("System calls", self.calls, partial(self._open, "syscalls"))
        self.caches.table.activated_row.connect(lambda line: self.open_source.emit(line.file, line.line))
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self._arrange()

    def _arrange(self) -> None:
        head = row(margins=(12, 8, 16, 8), spacing=8)
        head.addWidget(self.back)
        head.addWidget(self.name, 1)
        head.addWidget(self.figures)
        head.addWidget(self.whole)
        side = QWidget()
        lines = column(margins=(16, 12, 12, 12), spacing=16)
        lines.addWidget(self.chart)
        for section in (self.caches, self.heap, self.syscalls):
            lines.addWidget(section)
        lines.addStretch()
        side.setLayout(lines)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidget(side)
        across = QSplitter(Qt.Orientation.Horizontal)
        across.addWidget(area)
        across.addWidget(self.tabs)
        across.setSizes([_SIDE, 10_000])
        across.setStretchFactor(1, 1)
        across.setChildrenCollapsible(False)
        page = column(spacing=0)
        page.addLayout(head)
        page.addWidget(hairline())
        page.addWidget(across, 1)
        self.setLayout(page)
        self.setFocusProxy(self.back)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """What no view below has taken: the flame graph's own Escape leaves its zoom first."""
        if event.key() == Qt.Key.Key_Escape:
            self.back_requested.emit()
        else:
            super().keyPressEvent(event)

    # what is shown

    def show_waiting(self, function: str) -> None:
        """Its recordings are being read."""
        self.facts = None
        self.name.set_text(function)
        self.figures.setText("reading…")
        self.whole.setEnabled(False)
        self._clear_tabs()
        for section in (self.caches, self.heap, self.syscalls):
            section.say("Reading…")

    def show_facts(self, facts: HotspotFacts, *, baseline: str = "") -> None:
        """baseline: the id of the measurement that others are held against."""
        self.facts = facts
        self.name.set_text(facts.function)
        own, whole = ([getattr(one, side) for one in facts.shares] for side in ("self_share", "total_share"))
        self.figures.setText(f"self {_range(own)}    total {_range(whole)}" if own else "not in the CPU profile")
        self.whole.setEnabled("cpu" in facts.sessions)
        self._show_history(facts, baseline)
        self._show_sections(facts)
        self._show_profile(facts)

    def _show_history(self, facts: HotspotFacts, baseline: str) -> None:
        points = [
            GoalPoint(
                turn.iteration.id,
                f"#{turn.iteration.number}",
                tuple(100 * one.self_share for one in turn.shares),
                turn.iteration.decision,
                marked=turn.iteration.id == baseline,
            )
            for turn in facts.turns
        ]
        self.chart.show_points(points, title="Self share of the CPU time", unit="%", current=facts.iteration.id)

    def _show_sections(self, facts: HotspotFacts) -> None:
        if facts.caches is not None:
            self.caches.show_rows(_rates(facts.caches), line_rows(facts.caches))
        else:
            self.caches.say(facts.missing.get("caches", ""))
        if facts.heap is not None:
            self.heap.show_rows(_asked(facts.heap), site_rows(facts.heap))
        else:
            self.heap.say(facts.missing.get("heap", ""))
        if facts.calls is not None:
            made = sum(call.calls for call in facts.calls)
            self.syscalls.show_rows(f"{count(made)} calls by it, or by what it calls.", facts.calls)
        else:
            self.syscalls.say(facts.missing.get("syscalls", ""))
        for section, step in ((self.caches, "caches"), (self.heap, "heap"), (self.syscalls, "syscalls")):
            section.open.setVisible(step in facts.sessions)

    def _show_profile(self, facts: HotspotFacts) -> None:
        """The views of results, on this function; each has its figures from the same trees."""
        self._clear_tabs()
        profile = facts.cpu.profile if facts.cpu is not None else None
        if profile is None:
            self.tabs.addTab(EmptyState("flame", "No CPU profile", facts.missing.get("cpu", "")), "Flame graph")
            return
        selection, scope = Selection(self.tabs), ResultScope(self.tabs)
        selection.select(facts.function)
        trees = ProfileTrees(profile)
        flame = FlameView(selection)
        callers = SandwichView(selection=selection, scope=scope)
        source = SourceView(selection=selection, scope=scope)
        self.source_view_made.emit(source)
        for view, title, tip in (
            (flame, "Flame graph", "Its part of the flame graph."),
            (callers, "Callers", "Who calls it, and what it calls."),
            (source, "Source", "Its lines and instructions, each beside what it costs."),
        ):
            at = self.tabs.addTab(view, title)
            self.tabs.setTabToolTip(at, tip)
            view.open_source.connect(self.open_source)
        flame.show_callers.connect(lambda name: self._go(selection, name, callers))
        flame.failed.connect(self.failed)
        callers.show_flame.connect(lambda name: self._go(selection, name, flame))
        source.show_flame.connect(lambda name: self._go(selection, name, flame))
        source.show_callers.connect(lambda name: self._go(selection, name, callers))
        flame.set_profile(profile, title=facts.function, trees=trees)
        callers.set_trees(trees)
        source.set_trees(trees)
        if flame.graph.selected_box >= 0:
            flame.graph.zoom_to_box(flame.graph.selected_box)

    def _go(self, selection: Selection, function: str, view: QWidget) -> None:
        selection.select(function)
        self.tabs.setCurrentWidget(view)

    def _clear_tabs(self) -> None:
        while self.tabs.count():
            view = self.tabs.currentWidget()
            self.tabs.removeTab(self.tabs.currentIndex())
            if view is not None:
                view.deleteLater()

    def _open(self, step: str) -> None:
        if self.facts is not None and step in self.facts.sessions:
            self.opened.emit(self.facts.sessions[step], self.facts.function)


class _Section(QWidget):
    """A heading, a sentence, and a table; only the sentence where nothing is known."""

    def __init__(self, title: str, model: RowTable[Any], act: Callable[[], object]) -> None:
        super().__init__()
        self._model = model
        self.said: QLabel = label("", "second", wrap=True)
        self.table = RowView(model, several=False)
        self.table.setFrameShape(QFrame.Shape.NoFrame)
        self.table.setAccessibleName(title)
        self.open = button("Open", act, rank="link", tip="The whole result, with this function selected.")
        line = row(spacing=8)
        line.addWidget(label(title, "heading"))
        line.addStretch()
        line.addWidget(self.open)
        lines = column(spacing=4)
        lines.addLayout(line)
        lines.addWidget(self.said)
        lines.addWidget(self.table)
        self.setLayout(lines)
        self.open.hide()

    def say(self, text: str) -> None:
        """Why there is no table."""
        self.said.setText(text)
        self._model.set_rows(())
        self.table.hide()
        self.open.hide()

    def show_rows(self, text: str, rows: tuple[Any, ...]) -> None:
        self.said.setText(text)
        self.said.setToolTip(plain.tip(text))
        self._model.set_rows(rows)
        self.table.show()
        shown = min(max(len(rows), 1), _MOST_LINES)
        self.table.setFixedHeight(_HEADER + shown * theme.ROW + 2)


def _range(shares: list[float]) -> str:
    """ "23.1%", "23.1% (22.0 to 24.2)" """
    mean = percent(math.fsum(shares) / len(shares))
    if len(shares) < 2:
        return mean
    low, high = (percent(edge).rstrip("%") for edge in (min(shares), max(shares)))
    return f"{mean} ({low} to {high})"


def _rates(facts: CacheFacts) -> str:
    return "\n".join(
        f"{own.rate.title}: {percent(own.value)} of its own, {percent(program)} of the program’s"
        for own, program in facts.rates
        if not math.isnan(own.value)
    )


def _asked(facts: HeapFacts) -> str:
    words = [f"{count(facts.allocations)} allocations" if facts.allocations else ""]
    words.append(f"{count(facts.temporary)} of them temporary" if facts.temporary else "")
    words.append(f"{size(facts.allocated)} asked for" if facts.allocated else "")
    words.append(f"{size(facts.peak)} at the peak" if facts.peak else "")
    words.append(f"{size(facts.leaked)} leaked" if facts.leaked else "")
    return f"{_listed(words)}, by it or by what it calls."


def _listed(words: list[str]) -> str:
    return ", ".join(filter(None, words)) or "nothing"
