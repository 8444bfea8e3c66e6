"""The maps of a bpftrace program: one from a list, its keys over bars, histograms as buckets, and what was printed."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QSplitter, QStackedWidget, QWidget

from tailflame.analyse.map_diff import compare_maps
from tailflame.model import Recording
from tailflame.model.maps import STACK, MapKind, MapRow, ProbeMap, ProbeMaps
from tailflame.units import count
from tailflame_gui.models.map_table import (
    BarTable,
    bucket_rows,
    bucket_table,
    change_table,
    list_fields,
    map_table,
)
from tailflame_gui.models.session_table import Field, RowTable
from tailflame_gui.widgets.bar_view import BarView
from tailflame_gui.widgets.compare_parts import SideCard
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.filter_field import FilterField
from tailflame_gui.widgets.parts import ElidedLabel, button, column, hairline, label, row
from tailflame_gui.widgets.row_view import RowView

PRINTED = "Printed"
_LIST_WIDE = 260
_STACK_HIGH = 132


class MapsView(QWidget):
    """All maps of a run. `show_maps` may be called again and again while it runs: what is chosen stays chosen."""

    def __init__(self, maps: ProbeMaps | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._maps = ProbeMaps()
        self._shown = ""
        self._shape: tuple[object, ...] = ()
        self._keys: BarTable[MapRow] | None = None
        self._table: BarView | None = None
        self._buckets = bucket_table(self)
        self.buckets = BarView(self._buckets, bar=2, name="Buckets", sortable=False)
        self._list = RowTable(list_fields(), self)
        self.list = RowView(self._list, several=False, sortable=False)
        self.list.setFrameShape(QFrame.Shape.NoFrame)
        self.list.setAccessibleName("Maps")
        self.list.setFixedWidth(_LIST_WIDE)
        self.title = ElidedLabel("", "heading")
        self.said = label("", "faint")
        self.filter = FilterField("Filter keys")
        self.filter.query_changed.connect(self._filter)
        self.stack = _plain("The whole stack, the innermost function first")
        self.stack.setFixedHeight(_STACK_HIGH)
        self.printed = _plain("What the program printed")
        self._halves = QSplitter(Qt.Orientation.Horizontal)
        self._halves.setChildrenCollapsible(False)
        self._halves.addWidget(self.buckets)
        self._body = QStackedWidget()
        self._body.addWidget(self._halves)
        self._body.addWidget(self.printed)
        self._empty = EmptyState("table-2", "It printed no map", "A bpftrace program prints its maps at its end.")
        self._arrange()
        self.list.selection_changed.connect(self._choose)
        copy = QShortcut(QKeySequence(QKeySequence.StandardKey.Copy), self)
        copy.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        copy.activated.connect(self._copy)
        self.show_maps(maps or ProbeMaps())

    def _arrange(self) -> None:
        head = row(margins=(16, 8, 16, 8), spacing=12)
        head.addWidget(self.title, 1)
        head.addWidget(self.said)
        head.addWidget(self.filter)
        right = column(spacing=0)
        right.addLayout(head)
        right.addWidget(hairline())
        right.addWidget(self._body, 1)
        right.addWidget(self.stack)
        content = QWidget()
        across = row(spacing=0)
        across.addWidget(self.list)
        across.addWidget(hairline(vertical=True))
        across.addLayout(right, 1)
        content.setLayout(across)
        self._pages = QStackedWidget()
        self._pages.addWidget(content)
        self._pages.addWidget(self._empty)
        layout = column(spacing=0)
        layout.addWidget(self._pages)
        self.setLayout(layout)
        self.setFocusProxy(self.list)

    @property
    def maps(self) -> ProbeMaps:
        return self._maps

    @property
    def table(self) -> BarView | None:
        """The keys of the chosen map."""
        return self._table

    @property
    def chosen(self) -> str:
        """The chosen map's name, or PRINTED."""
        return self._shown

    def show_maps(self, maps: ProbeMaps) -> None:
        self._maps = maps
        entries = list(maps.maps)
        if maps.text.strip():
            entries.append(ProbeMap(PRINTED, MapKind.VALUES, ()))
        self._pages.setCurrentIndex(0 if entries else 1)
        names = [entry.name for entry in entries]
        fresh = names != [entry.name for entry in self._list.rows]
        self._list.set_rows(tuple(entries))
        if fresh and names:
            wanted = names.index(self._shown) if self._shown in names else 0
            self.list.select_line(wanted)
        self._show()

    def choose(self, name: str) -> None:
        names = [entry.name for entry in self._list.rows]
        if name in names:
            self.list.select_line(names.index(name))

    def _choose(self) -> None:
        chosen = self.list.selected()
        if chosen and chosen[0].name != self._shown:
            self._shown = chosen[0].name
            self._show()

    def _show(self) -> None:
        if self._shown == PRINTED and self._maps.text.strip():
            self._show_printed()
            return
        one = self._maps.named(self._shown)
        if one is None:
            return
        self._body.setCurrentIndex(0)
        self.filter.show()
        self.title.set_text(one.label)
        keys = "1 key" if len(one.rows) == 1 else f"{count(len(one.rows))} keys"
        self.said.setText(f"{one.name}  {keys}" if any(row.key for row in one.rows) else one.name)
        shape = (one.name, one.kind, one.keys, one.unit, bool(one.rows and one.rows[0].key))
        if shape != self._shape or self._keys is None:
            self._shape = shape
            self._make_table(one)
        else:
            self._keys.set_rows(one.rows)
        self._show_row()

    def _make_table(self, one: ProbeMap) -> None:
        old = self._table
        self._keys = map_table(one, self)
        self._table = BarView(self._keys, bar=self._keys.bar, name=f"Keys of {one.label}")
        self._table.set_words(self.filter.text())
        self._table.selection_changed.connect(self._show_row)
        if old is None:
            self._halves.insertWidget(0, self._table)
        else:
            self._halves.replaceWidget(0, self._table)
        histogram = one.kind in (MapKind.HIST, MapKind.LHIST)
        self.buckets.setVisible(histogram)
        self._table.setVisible(not histogram or any(row.key for row in one.rows))
        if old is None:
            self._halves.setSizes([340, 560])
        if old is not None:
            old.hide()
            old.deleteLater()
        if one.rows:
            self._table.select_line(0)

    def _row(self) -> MapRow | None:
        chosen = self._table.selected() if self._table is not None else ()
        if chosen:
            return chosen[0] if isinstance(chosen[0], MapRow) else None
        return self._keys.rows[0] if self._keys is not None and self._keys.rows else None

    def _show_row(self) -> None:
        """The buckets or the stack of the selected key."""
        one, chosen = self._maps.named(self._shown), self._row()
        if one is None:
            return
        if one.kind in (MapKind.HIST, MapKind.LHIST):
            self._buckets.set_rows(bucket_rows(chosen, one) if chosen is not None else ())
        at = one.keys.index(STACK) if STACK in one.keys else -1
        self.stack.setVisible(at >= 0)
        if at >= 0:
            frames = chosen.key[at].split("\n") if chosen is not None and at < len(chosen.key) else []
            text = "\n".join(reversed(frames))
            if text != self.stack.toPlainText():
                self.stack.setPlainText(text)

    def _show_printed(self) -> None:
        self._body.setCurrentIndex(1)
        self.stack.hide()
        self.filter.hide()
        self.title.set_text(PRINTED)
        text = self._maps.text.rstrip("\n")
        self.said.setText(f"{count(text.count(chr(10)) + 1)} lines")
        if text != self.printed.toPlainText():
            bar = self.printed.verticalScrollBar()
            at_end = bar.value() >= bar.maximum() - 4
            self.printed.setPlainText(text)
            if at_end:
                bar.setValue(bar.maximum())

    def _filter(self, words: str) -> None:
        if self._table is not None:
            self._table.set_words(words)

    def _copy(self) -> None:
        """The selected key with its figures, tab-separated."""
        if self._table is None or self._keys is None:
            return
        chosen = self._table.selected()
        lines = ["\t".join(field.text(one) for field in self._keys.fields) for one in chosen]
        if lines:
            QGuiApplication.clipboard().setText("\n".join(lines))


class MapsResult(QWidget):
    """The maps of a recording, with what the program was."""

    def __init__(self, recording: Recording, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        maps = recording.maps
        assert maps is not None
        self.view = MapsView(maps)
        layout = column(spacing=0)
        layout.addWidget(self.view, 1)
        if maps.program:
            self.program = _plain("The program that ran")
            self.program.setPlainText(maps.program)
            self.program.setFixedHeight(_STACK_HIGH)
            self.program.hide()
            foot = row(margins=(16, 4, 16, 4), spacing=8)
            foot.addWidget(label(_about(maps), "small"))
            foot.addStretch()
            foot.addWidget(button("Program", self._unfold, rank="quiet", icon="file-code", tip="Show what ran."))
            layout.addWidget(hairline())
            layout.addLayout(foot)
            layout.addWidget(self.program)
        self.setLayout(layout)
        self.setFocusProxy(self.view)

    def _unfold(self) -> None:
        self.program.setVisible(self.program.isHidden())


class MapsComparison(QWidget):
    """Each key's number before and after."""

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
        assert before.maps is not None and after.maps is not None
        took = before.meta.duration_s, after.meta.duration_s
        self.changes = compare_maps(before.maps, after.maps, took_s=took)
        cards = row(spacing=12)
        for word, side, title, commit in zip(("Baseline", "Candidate"), (before, after), titles, commits, strict=True):
            card = SideCard(word)
            card.set_recording(side, title=title, commit=commit)
            cards.addWidget(card, 1)
        head = column(margins=(16, 8, 16, 8), spacing=4)
        head.addLayout(cards)
        head.addWidget(label(self.changes.sentence, "second", wrap=True))
        alone = [*self.changes.alone_before, *self.changes.alone_after]
        if alone:
            head.addWidget(label(f"Only one side has {', '.join(alone)}.", "second", wrap=True))
        layout = column(spacing=0)
        layout.addLayout(head)
        layout.addWidget(hairline())
        self._table: BarView | None = None
        if self.changes.maps:
            self._list = RowTable(_change_fields(), self)
            self._list.set_rows(self.changes.maps)
            self.list = RowView(self._list, several=False, sortable=False)
            self.list.setFrameShape(QFrame.Shape.NoFrame)
            self.list.setAccessibleName("Maps that both have")
            self.list.setFixedWidth(_LIST_WIDE)
            self._place = row(spacing=0)
            self._place.addWidget(self.list)
            self._place.addWidget(hairline(vertical=True))
            layout.addLayout(self._place, 1)
            self.list.selection_changed.connect(self._choose)
            self.list.select_line(0)
            self.setFocusProxy(self.list)
        else:
            layout.addWidget(EmptyState("table-2", "No map in common", "The two runs counted different things."), 1)
        self.setLayout(layout)

    @property
    def table(self) -> BarView | None:
        return self._table

    def _choose(self) -> None:
        chosen = self.list.selected()
        if not chosen:
            return
        old = self._table
        model = change_table(chosen[0], self)
        self._table = BarView(model, bar=model.bar, name=f"Changes of {chosen[0].map.label}")
        self._place.addWidget(self._table, 1)
        if old is not None:
            old.hide()
            old.deleteLater()


def _change_fields() -> tuple[Field[Any], ...]:
    return (
        Field[Any]("Map", lambda one: one.map.label, lambda one: one.map.label, 0, tip=lambda one: one.map.name),
        Field[Any]("Keys", lambda one: count(len(one.rows)), lambda one: len(one.rows), 64, right=True, mono=True),
    )


def _about(maps: ProbeMaps) -> str:
    parts = [f"recipe {maps.recipe}" if maps.recipe else "a program of your own"]
    if maps.probes is not None:
        parts.append(f"{count(maps.probes)} probes")
    if maps.lost:
        parts.append(f"{count(maps.lost)} events lost")
    return ", ".join(parts)


def _plain(name: str) -> QPlainTextEdit:
    made = QPlainTextEdit()
    made.setReadOnly(True)
    made.setProperty("face", "mono")
    made.setFrameShape(QFrame.Shape.NoFrame)
    made.setAccessibleName(name)
    made.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
    return made
