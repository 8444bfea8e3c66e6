"""The command palette: type a few letters, get every action, open result and session that fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
)
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from tailflame_gui import icons, theme
from tailflame_gui.widgets.fuzzy import fuzzy
from tailflame_gui.widgets.parts import column, hairline, label

WIDTH = 600
_ROW = 28
_SHOWN = 12
_ENTRY = int(Qt.ItemDataRole.UserRole) + 1
_ROOT = QModelIndex()


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: what it is called, what it is, how else to reach it, and what it does."""

    text: str
    group: str
    act: Callable[[], object]
    keys: str = ""
    icon: str = ""
    hint: str = ""
    """Matched too, and shown behind the text."""


def matching(entries: Sequence[Entry], query: str) -> list[Entry]:
    """The entries that fit, best first; all of them, as they are, for an empty query."""
    if not query.strip():
        return list(entries)
    scored = []
    for at, entry in enumerate(entries):
        own = fuzzy(query, entry.text)
        wide = fuzzy(query, f"{entry.text} {entry.group} {entry.hint}")
        score = max((s for s in (own, None if wide is None else wide - 4) if s is not None), default=None)
        if score is not None:
            scored.append((-score, at, entry))
    return [entry for _, _, entry in sorted(scored, key=lambda item: item[:2])]


class _Entries(QAbstractListModel):
    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.entries: list[Entry] = []

    def show_entries(self, entries: list[Entry]) -> None:
        self.beginResetModel()
        self.entries = entries
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = _ROOT) -> int:
        return 0 if parent.isValid() else len(self.entries)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        entry = self.entries[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return entry.text
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{entry.group}: {entry.text} {entry.keys}".strip()
        return entry if role == _ENTRY else None


class _Line(QStyledItemDelegate):
    def sizeHint(self, _option: QStyleOptionViewItem, _index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(WIDTH, _ROW)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        entry: Entry = index.data(_ENTRY)
        tokens = theme.current()
        area: QRect = option.rect
        painter.save()
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(area, tokens.selection)
        if entry.icon:
            middle = area.center().y() + 1
            icons.paint(painter, QRectF(area.left() + 12, middle - 8, icons.SIZE, icons.SIZE), entry.icon, "second")
        painter.setFont(theme.interface_font())
        left, right = area.left() + 36, area.right() - 12
        side = entry.keys or entry.group
        painter.setPen(tokens.second)
        painter.setFont(theme.interface_font(theme.SMALL))
        reach = painter.fontMetrics().horizontalAdvance(side)
        vertical = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(
            QRect(right - reach, area.top(), reach + 1, area.height()),
            int(vertical | Qt.AlignmentFlag.AlignRight),
            side,
        )
        painter.setFont(theme.interface_font())
        painter.setPen(tokens.text)
        metrics = painter.fontMetrics()
        width = right - reach - 16 - left
        text = metrics.elidedText(entry.text, Qt.TextElideMode.ElideMiddle, width)
        painter.drawText(
            QRect(left, area.top(), width, area.height()), int(vertical | Qt.AlignmentFlag.AlignLeft), text
        )
        used = metrics.horizontalAdvance(text) + 12
        if entry.hint and used < width:
            painter.setPen(tokens.second)
            hint = metrics.elidedText(entry.hint, Qt.TextElideMode.ElideMiddle, width - used)
            painter.drawText(
                QRect(left + used, area.top(), width - used, area.height()),
                int(vertical | Qt.AlignmentFlag.AlignLeft),
                hint,
            )
        painter.restore()


class Palette(QWidget):
    """Lies over the window while it is open; Escape, a click elsewhere or a choice closes it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._window = parent
        self._entries: tuple[Entry, ...] = ()
        self._came_from: QWidget | None = None
        self._field = QLineEdit()
        self._field.setPlaceholderText("Search actions, open results and sessions")
        self._field.setAccessibleName("Search")
        self._field.setFrame(False)
        self._field.setStyleSheet("border: 0; background: transparent; padding: 8px 4px;")
        self._model = _Entries(self)
        self._list = QListView()
        self._list.setModel(self._model)
        self._list.setItemDelegate(_Line(self._list))
        self._list.setUniformItemSizes(True)
        self._list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._list.setMouseTracking(True)
        self._list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self._list.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerItem)
        self._nothing = label("Nothing fits", "faint")
        self._nothing.setContentsMargins(12, 8, 12, 8)
        layout = column(margins=(1, 1, 1, 1), spacing=0)
        layout.addWidget(self._field)
        layout.addWidget(hairline())
        layout.addWidget(self._nothing)
        layout.addWidget(self._list)
        self._field.setContentsMargins(8, 0, 8, 0)
        self.setLayout(layout)
        self._field.textChanged.connect(self._narrow)
        self._list.clicked.connect(self._take)
        self._list.entered.connect(self._list.setCurrentIndex)
        self._field.installEventFilter(self)
        self.hide()

    @property
    def shown(self) -> tuple[str, ...]:
        """The texts of the list, as narrowed."""
        return tuple(entry.text for entry in self._model.entries)

    @property
    def field(self) -> QLineEdit:
        return self._field

    def open(self, entries: Sequence[Entry], query: str = "") -> None:
        self._entries = tuple(entries)
        self._came_from = QApplication.focusWidget()
        self._field.setText(query)
        self._narrow(query)
        self.raise_()
        self.show()
        self._field.setFocus()

    def close_it(self) -> None:
        if self.isHidden():
            return
        self.hide()
        if self._came_from is not None and self._came_from.isVisible():
            self._came_from.setFocus()
        self._came_from = None

    def place(self) -> None:
        """Centred, below the header line."""
        width = min(WIDTH, self._window.width() - 32)
        rows = min(len(self._model.entries), _SHOWN)
        height = self._field.sizeHint().height() + 4 + (rows * _ROW if rows else 36)
        self.setGeometry((self._window.width() - width) // 2, 48, width, height)

    def paintEvent(self, _event: QPaintEvent) -> None:
        tokens = theme.current()
        painter = QPainter(self)
        painter.fillRect(self.rect(), tokens.raised)
        painter.setPen(tokens.faint)
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self._field and event.type() is QEvent.Type.FocusOut:
            self.close_it()
        elif watched is self._field and event.type() is QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            return self._key(event)
        return super().eventFilter(watched, event)

    def _key(self, event: QKeyEvent) -> bool:
        steps = {
            Qt.Key.Key_Down: 1,
            Qt.Key.Key_Up: -1,
            Qt.Key.Key_PageDown: _SHOWN - 1,
            Qt.Key.Key_PageUp: 1 - _SHOWN,
        }
        key = Qt.Key(event.key())
        if key in steps:
            last = len(self._model.entries) - 1
            at = self._list.currentIndex().row() + steps[key]
            # One step past an end goes round; a page stops there.
            at = at % (last + 1) if abs(steps[key]) == 1 and last >= 0 else min(max(at, 0), last)
            self._list.setCurrentIndex(self._model.index(at, 0))
            return True
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._take(self._list.currentIndex())
            return True
        if key is Qt.Key.Key_Escape:
            self.close_it()
            return True
        return False

    def _narrow(self, query: str) -> None:
        found = matching(self._entries, query)
        self._model.show_entries(found)
        self._nothing.setVisible(not found)
        self._list.setVisible(bool(found))
        if found:
            self._list.setCurrentIndex(self._model.index(0, 0))
        self.place()

    def _take(self, index: QModelIndex) -> None:
        if index.isValid():
            entry = self._model.entries[index.row()]
            self.close_it()
            entry.act()
