"""A combo box as wide as what is chosen, with an icon that says what it chooses; its items carry a value and a tip."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from PySide6.QtCore import QSignalBlocker, QSize, Qt
from PySide6.QtGui import QPaintEvent, QStandardItemModel
from PySide6.QtWidgets import (
    QComboBox,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QWidget,
)

from tailflame_gui import icons, plain

_ICON = 14
_AROUND = 38
"""Frame, padding and arrow beside icon and text."""
_ARROW = 22
_WIDEST = 200


class FittingBox(QComboBox):
    """`tip` says what is chosen here: tooltip and accessible name.

    Items' values are kept here and not in the model: Qt would hand an enumeration's member back as plain text.
    """

    def __init__(self, icon: str, tip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._icon = icons.icon(icon)
        self._values: list[Any] = []
        self.setToolTip(tip)
        self.setAccessibleName(tip)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self._tip = tip
        self.compact = False
        self.currentIndexChanged.connect(self._changed)

    def offer(self, items: Iterable[tuple[Any, str, str]]) -> None:
        """Fills it with (value, text, tip), silently."""
        with QSignalBlocker(self):
            self.clear()
            self._values.clear()
            for value, text, tip in items:
                self.addItem(text)
                self._values.append(value)
                if tip:
                    self.setItemData(self.count() - 1, plain.tip(tip), Qt.ItemDataRole.ToolTipRole)
        self.view().setMinimumWidth(self.view().sizeHintForColumn(0) + 32 if self.count() else 0)
        self.updateGeometry()

    def currentData(self, role: int = Qt.ItemDataRole.UserRole) -> Any:
        """The value of the chosen item as it was given, None where there is no item."""
        return self._values[self.currentIndex()] if self.currentIndex() >= 0 else None

    def row(self, value: object) -> int:
        """Where the item with this value is, -1 where there is none."""
        return self._values.index(value) if value in self._values else -1

    def choose(self, value: object) -> None:
        """Shows the item with this value, silently; the first where there is none."""
        with QSignalBlocker(self):
            self.setCurrentIndex(max(self.row(value), 0) if self.count() else -1)
        self._changed()

    def enable(self, value: object, on: bool, reason: str) -> None:
        """Lets an item be chosen or not; `reason` is its tip where not."""
        model = self.model()
        assert isinstance(model, QStandardItemModel)
        item = model.item(self.row(value))
        item.setEnabled(on)
        if not on:
            item.setToolTip(plain.tip(reason))

    def texts(self) -> list[str]:
        return [self.itemText(index) for index in range(self.count())]

    def set_compact(self, compact: bool) -> None:
        """Whether it shows its icon alone, and what is chosen in its tooltip."""
        if compact != self.compact:
            self.compact = compact
            self._changed()

    def width_needed(self, *, compact: bool) -> int:
        text = 0 if compact else self.fontMetrics().horizontalAdvance(self.currentText())
        return min(_ICON + 6 + text + _AROUND, _WIDEST)

    def _changed(self) -> None:
        self.setToolTip(plain.tip(f"{self._tip}: {self.currentText()}") if self.compact else self._tip)
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        return QSize(self.width_needed(compact=self.compact), super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        return QSize(_ICON + 6 + _AROUND, super().minimumSizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, option = QStylePainter(self), QStyleOptionComboBox()
        self.initStyleOption(option)
        # No icon in the option: the style would reserve the width of a list item's icon for it.
        field = self.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, self
        )
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        mode = self._icon.Mode.Normal if self.isEnabled() else self._icon.Mode.Disabled
        left = field.left() + 2
        self._icon.paint(painter, left, 0, _ICON, self.height(), Qt.AlignmentFlag.AlignCenter, mode)
        left += _ICON + 6
        if self.compact:
            return
        room = self.width() - _ARROW - left
        text = self.fontMetrics().elidedText(self.currentText(), Qt.TextElideMode.ElideRight, room)
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(left, 0, room + 2, self.height(), Qt.AlignmentFlag.AlignVCenter, text)
