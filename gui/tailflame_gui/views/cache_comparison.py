"""Caches before and after: the rates of both programs, and the functions that cost more or less."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import QCheckBox, QComboBox, QFrame, QMenu, QStackedWidget, QWidget

from tailflame.analyse.cache_compare import CostChanges, RateChange, compare_costs, cost_sentences
from tailflame.analyse.cache_rates import derived_costs
from tailflame.errors import TailflameError
from tailflame.model import Recording
from tailflame.units import count
from tailflame_gui import plain, tasks
from tailflame_gui.models.cache_delta import DELTA, CacheDeltaModel
from tailflame_gui.models.cache_figures import rate_text
from tailflame_gui.models.roles import Role
from tailflame_gui.widgets.busy_line import BusyLine
from tailflame_gui.widgets.compare_parts import SideCard
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.filter_field import FilterField
from tailflame_gui.widgets.flame_search import PatternError
from tailflame_gui.widgets.parts import ElidedLabel, Icon, clear, column, hairline, icon_button, label, row
from tailflame_gui.widgets.table import Table


class CacheComparison(QWidget):
    """open_source(file, line); failed(TailflameError)."""

    open_source = Signal(str, int)
    failed = Signal(object)

    def __init__(
        self,
        before: Recording,
        after: Recording,
        *,
        titles: tuple[str, str],
        commits: tuple[str, str] = ("", ""),
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        assert before.costs is not None and after.costs is not None
        self._sides = (before.costs, after.costs)
        self._latest = tasks.Latest(self)
        self._asked = False
        self.model: CacheDeltaModel | None = None
        self.table: Table | None = None
        cards = row(spacing=12)
        for word, side, title, commit in zip(("Baseline", "Candidate"), (before, after), titles, commits, strict=True):
            card = SideCard(word)
            card.set_recording(side, title=title, commit=commit)
            cards.addWidget(card, 1)
        self.verdict = label("", "heading", wrap=True)
        self._rates = row(spacing=24)
        busy = BusyLine()
        self._latest.busy_changed.connect(busy.set_busy)
        head = column(margins=(16, 8, 16, 8), spacing=4)
        head.addLayout(cards)
        head.addWidget(self.verdict)
        head.addLayout(self._rates)
        self.event_choice = QComboBox()
        self.event_choice.setToolTip("What is compared, function by function.")
        self.event_choice.setAccessibleName("Event")
        self.event_choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.event_choice.setMinimumContentsLength(18)
        self.filter = FilterField("Filter by function or file", icon="filter")
        self.only_changed = QCheckBox("Only what changed")
        self.only_changed.setChecked(True)
        self.only_changed.setToolTip("Leaves out functions that cost the same on both sides, to the last count.")
        self.summary = label("", "second")
        bar = row(margins=(12, 6, 8, 6), spacing=8)
        for widget in (self.event_choice, self.filter, self.only_changed, self.summary):
            bar.addWidget(widget, 1 if widget is self.filter else 0)
        self._copy = icon_button("copy", self._copy_table, tip="Copy the table as shown (tab-separated)")
        bar.addWidget(self._copy)
        self._empty = EmptyState("equal", "Comparing", "")
        self._body = QStackedWidget()
        self._body.addWidget(self._empty)
        page = column(spacing=0)
        page.addLayout(head)
        page.addWidget(hairline())
        page.addLayout(bar)
        page.addWidget(busy)
        page.addWidget(self._body, 1)
        self.setLayout(page)
        self.filter.query_changed.connect(self._filtered)
        self.filter.left.connect(self._to_table)
        self.event_choice.currentIndexChanged.connect(lambda _at: self._show_event())
        self.only_changed.toggled.connect(self._show_only)
        find = QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self)
        find.setContext(Qt.ShortcutContext.WindowShortcut)  # of hidden tabs none is active
        find.activated.connect(self._find)

    @property
    def busy(self) -> bool:
        return self._latest.busy

    def showEvent(self, event: object) -> None:
        if self._asked:
            return
        self._asked = True
        before, after = self._sides

        def work(_progress: tasks.Progress) -> CostChanges:
            return compare_costs(before, after)

        self._latest.ask(work, self._show, name="compare costs", on_error=self._failed)

    def _show(self, changes: CostChanges) -> None:
        self.verdict.setText(" ".join(cost_sentences(changes)))
        clear(self._rates)
        for rate in changes.rates:
            self._rates.addWidget(_RateChange(rate), 1)
        if not changes.events:
            self._empty.say("Nothing in common", "The two have counted other events.")
            return
        self.model = CacheDeltaModel(changes, self)
        self.table = Table(self.model)
        self.table.setAccessibleName("Changes of costs")
        self.table.setFrameShape(QFrame.Shape.NoFrame)
        self.table.menu_requested.connect(self._menu)
        self._body.addWidget(self.table)
        self.setFocusProxy(self.table)
        titles = {cost.name: cost.title for cost in derived_costs(self._sides[1].events)}
        derived = [at for at, name in enumerate(changes.events) if name in titles]
        for at in (*derived, *(at for at in range(len(changes.events)) if at not in derived)):
            name = changes.events[at]
            self.event_choice.addItem(plain.caption(titles.get(name, name)), at)
        self._show_event()
        self.table.sortByColumn(DELTA, Qt.SortOrder.DescendingOrder)

    def _show_event(self) -> None:
        if self.model is None or self.event_choice.currentIndex() < 0:
            return
        self.model.set_event(int(self.event_choice.currentData()), self.event_choice.currentText())
        self._summarise()

    def _summarise(self) -> None:
        assert self.model is not None and self.table is not None
        shown = self.model.rowCount()
        self.summary.setText(f"{count(shown)} function{'' if shown == 1 else 's'}")
        if not shown:
            title = "Nothing matches the filter" if self.filter.text() else "Nothing changed"
            words = "Escape clears it." if self.filter.text() else "Each function costs the same, to the last count."
            self._empty.say(title, words)
        self._body.setCurrentWidget(self.table if shown else self._empty)

    def _show_only(self, only: bool) -> None:
        if self.model is not None:
            self.model.set_only_changed(only)
            self._summarise()

    def _filtered(self, query: str) -> None:
        if self.model is None:
            return
        try:
            self.model.set_query(query)
        except PatternError as error:
            self.filter.complain(error)
            return
        self.filter.complain(None)
        self._summarise()

    def _failed(self, error: TailflameError) -> None:
        self._empty.say(error.sentence, error.advice)
        self.failed.emit(error)

    def _find(self) -> None:
        self.filter.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.filter.selectAll()

    def _to_table(self) -> None:
        if self.table is not None:
            self.table.setFocus()

    def _copy_table(self) -> None:
        if self.table is not None:
            self.table.copy(everything=True)

    def _menu(self, line: int, where: QPoint) -> None:
        self.menu_for(line).popup(where)

    def menu_for(self, line: int) -> QMenu:
        """What can be done with a line; -1: with the table."""
        assert self.model is not None and self.table is not None
        menu = QMenu(self)
        menu.aboutToHide.connect(menu.deleteLater)
        index = self.model.index(line, 0)
        if index.isValid():
            name = str(index.data(Role.FUNCTION))
            file, at = index.data(Role.PLACE)
            menu.addAction("Copy name", lambda: QGuiApplication.clipboard().setText(name))
            menu.addAction("Open source", partial(self.open_source.emit, file, at)).setEnabled(bool(file))
            menu.addSeparator()
        menu.addAction("Copy lines", self.table.copy).setEnabled(bool(self.table.selected_lines()))
        menu.addAction("Copy table as shown", self._copy_table)
        return menu


class _RateChange(QWidget):
    """A rate of both programs: a figure each, and whether it crossed its target."""

    def __init__(self, change: RateChange) -> None:
        super().__init__()
        bad = change.crossed.startswith("now above")
        figures = row(spacing=6)
        figures.addWidget(label(f"{rate_text(change.before)}%", "second", mono=True))
        figures.addWidget(Icon("arrow-right"))
        figures.addWidget(label(f"{rate_text(change.after)}%", "title", mono=True))
        if change.crossed:
            figures.addWidget(Icon(*(("triangle-alert", "warn") if bad else ("circle-check", "good"))))
        figures.addStretch()
        lines = column(spacing=0)
        lines.addWidget(ElidedLabel(change.rate.title, "small"))
        lines.addLayout(figures)
        lines.addWidget(ElidedLabel(change.crossed, "warn" if bad else "small"))
        self.setLayout(lines)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setToolTip(plain.tip(change.rate.tip))
        self.setAccessibleName(change.words)
