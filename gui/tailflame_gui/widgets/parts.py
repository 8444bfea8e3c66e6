"""The small parts every page is made of: labels by rank, buttons, lines, icons that follow the theme."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QAction, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from tailflame_gui import icons, plain, theme

LayoutT = TypeVar("LayoutT", bound=QBoxLayout)


def label(text: str = "", rank: str = "", *, mono: bool = False, wrap: bool = False) -> QLabel:
    """A plain-text label; `rank` as in style.qss: second, faint, small, title, heading, figure, link ..."""
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    if rank:
        made.setProperty("rank", rank)
    if mono:
        made.setProperty("face", "mono")
    made.setWordWrap(wrap)
    return made


def selectable(made: QLabel) -> QLabel:
    """Lets the text be marked and copied."""
    made.setTextInteractionFlags(
        Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
    )
    return made


def button(text: str, act: Callable[[], object], *, rank: str = "", icon: str = "", tip: str = "") -> QPushButton:
    """A push button; `rank` is "", "primary", "quiet" or "link"."""
    made = QPushButton(text)
    made.setCursor(Qt.CursorShape.PointingHandCursor if rank == "link" else Qt.CursorShape.ArrowCursor)
    made.setAutoDefault(False)
    if rank:
        made.setProperty("rank", rank)
    if icon:
        made.setIcon(icons.icon(icon, "on_accent" if rank == "primary" else "second"))
        made.setIconSize(icons.IN_BUTTON)
    if tip:
        made.setToolTip(tip)
    made.clicked.connect(lambda: act())
    return made


class ActionButton(QPushButton):
    """A push button for an action: its words, icon, tip, and whether it is possible now."""

    def __init__(self, action: QAction, *, rank: str = "", text: str | None = None) -> None:
        super().__init__(action.text() if text is None else text)
        self._action = action
        self.setAutoDefault(False)
        if rank:
            self.setProperty("rank", rank)
        name = action.property("glyph")
        if name:
            self.setIcon(icons.icon(name, "on_accent" if rank == "primary" else "second"))
            self.setIconSize(icons.IN_BUTTON)
        action.changed.connect(self._follow)
        self.clicked.connect(action.trigger)
        self._follow()

    def _follow(self) -> None:
        self.setEnabled(self._action.isEnabled())
        self.setToolTip(self._action.toolTip())


def icon_button(icon: str, act: Callable[[], object], *, tip: str) -> QToolButton:
    made = QToolButton()
    made.setIcon(icons.icon(icon))
    made.setIconSize(QSize(icons.SIZE, icons.SIZE))
    made.setToolTip(tip)
    made.setAccessibleName(tip)
    made.clicked.connect(lambda: act())
    return made


def copy_button(copy: Callable[..., object]) -> QToolButton:
    """For the bar above a table. copy: of the table, takes `everything`."""
    return icon_button("copy", lambda: copy(everything=True), tip="Copy the table as shown (tab-separated)")


def hairline(*, vertical: bool = False) -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.VLine if vertical else QFrame.Shape.HLine)
    return line


def row(*, margins: tuple[int, int, int, int] = (0, 0, 0, 0), spacing: int = 8) -> QHBoxLayout:
    made = QHBoxLayout()
    return _spaced(made, margins, spacing)


def column(*, margins: tuple[int, int, int, int] = (0, 0, 0, 0), spacing: int = 8) -> QVBoxLayout:
    made = QVBoxLayout()
    return _spaced(made, margins, spacing)


def _spaced(made: LayoutT, margins: tuple[int, int, int, int], spacing: int) -> LayoutT:
    made.setContentsMargins(*margins)
    made.setSpacing(spacing)
    return made


class Icon(QWidget):
    """An icon that takes its colour from the theme in force."""

    def __init__(self, name: str, color: str = "second", *, size: int = icons.SIZE) -> None:
        super().__init__()
        self._name = name
        self._color = color
        self.setFixedSize(size, size)
        theme.signals.changed.connect(self.update)

    def set_icon(self, name: str, color: str) -> None:
        self._name, self._color = name, color
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        icons.paint(painter, self.rect().toRectF(), self._name, self._color)
        painter.end()


class ElidedLabel(QLabel):
    """One line that ends in an ellipsis where it does not fit; the whole text is in the tool tip then.

    It takes all the width there is, or with `grows` False no more than its text needs.
    """

    def __init__(
        self,
        text: str = "",
        rank: str = "",
        *,
        mono: bool = False,
        mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight,
        grows: bool = True,
    ) -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self._whole = text
        self._mode = mode
        if rank:
            self.setProperty("rank", rank)
        if mono:
            self.setProperty("face", "mono")
        wide = QSizePolicy.Policy.Ignored if grows else QSizePolicy.Policy.Maximum
        self.setSizePolicy(wide, QSizePolicy.Policy.Fixed)
        self._fit()

    def set_text(self, text: str) -> None:
        if text != self._whole:
            self._whole = text
            self.updateGeometry()
            self._fit()

    @property
    def whole(self) -> str:
        return self._whole

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def sizeHint(self) -> QSize:
        return QSize(self.fontMetrics().horizontalAdvance(self._whole) + 2, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        return QSize(24, super().minimumSizeHint().height())

    def _fit(self) -> None:
        shown = self.fontMetrics().elidedText(self._whole, self._mode, max(self.width(), 24))
        if shown != self.text():
            self.setText(shown)
        self.setToolTip(plain.tip(self._whole) if shown != self._whole else "")


def set_rank(widget: QWidget, rank: str) -> None:
    """Gives another rank to a widget that is already shown."""
    if widget.property("rank") != rank:
        widget.setProperty("rank", rank)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def clear(layout: QBoxLayout) -> None:
    """Takes everything out of `layout` and deletes it."""
    while (item := layout.takeAt(0)) is not None:
        widget = item.widget()
        if widget is not None:
            widget.hide()
            widget.deleteLater()
