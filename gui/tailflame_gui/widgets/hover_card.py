"""The card that tells what the frame under the pointer is."""

from __future__ import annotations

import re

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QVBoxLayout, QWidget

from tailflame.units import percent
from tailflame_gui import theme
from tailflame_gui.widgets.flame_scene import FrameFacts

_WIDEST = 420
_AWAY = QPoint(16, 20)
"""Right and below the pointer, so that it never covers what is pointed at."""
_LONG_PATH = 48
_BREAK = "\u200b"
_BREAKS = re.compile(r"::|[<;/]|(?<!\d),|,(?!\d)")


def breakable(name: str) -> str:
    """`name` with places where a line may break: symbols have no spaces. A number is not broken: "4,023"."""
    return _BREAKS.sub(rf"\g<0>{_BREAK}", name)


def brief_path(place: str) -> str:
    """The end of a long path: "…/std/src/panicking.rs:544"."""
    parts = place.split("/")
    return place if len(place) <= _LONG_PATH or len(parts) <= 3 else "…/" + "/".join(parts[-3:])


class HoverCard(QFrame):
    """Shown beside the pointer, inside its parent; the pointer passes through it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("hoverCard")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._name = QLabel(self)
        self._name.setFont(theme.mono_font(12, weight=QFont.Weight.Medium))
        self._name.setTextFormat(Qt.TextFormat.PlainText)
        self._name.setWordWrap(True)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(16)
        self._grid.setVerticalSpacing(0)
        self._grid.setColumnStretch(1, 1)
        self._rows: list[tuple[QLabel, QLabel]] = []
        column = self._column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 12, 8)
        column.setSpacing(8)
        column.addWidget(self._name)
        column.addLayout(self._grid)
        self._restyle()
        theme.signals.changed.connect(self._restyle)
        self.hide()

    def rows(self) -> list[tuple[str, str]]:
        """What the card says below the name, as (label, value)."""
        return [(label.text(), value.text().replace(_BREAK, "")) for label, value in self._rows if not label.isHidden()]

    def name(self) -> str:
        return self._name.text().replace(_BREAK, "")

    def tell(self, facts: FrameFacts, *, of_view: float, at: QPoint) -> None:
        """Shows `facts` near `at`, a point in the parent's coordinates; `of_view` is a share, 0..1."""
        rows = [*facts.figures, ("Of view", percent(of_view))]
        if facts.of_all:
            rows.append(("Of all", facts.of_all))
        if facts.module:
            rows.append(("Module", f"{facts.module}  ·  {facts.kind}" if facts.kind else facts.module))
        elif facts.kind:
            rows.append(("Kind", facts.kind))
        if facts.place:
            rows.append(("Source", brief_path(facts.place)))
        self._name.setText(breakable(facts.name) or "(no name)")
        self._fill(rows)
        self._fit()
        self._place(at)
        self.show()
        self.raise_()

    def _fill(self, rows: list[tuple[str, str]]) -> None:
        while len(self._rows) < len(rows):
            label, value = QLabel(self), QLabel(self)
            label.setProperty("rank", "second")
            label.setAlignment(Qt.AlignmentFlag.AlignTop)
            value.setTextFormat(Qt.TextFormat.PlainText)
            value.setWordWrap(True)
            line = len(self._rows)
            self._grid.addWidget(label, line, 0)
            self._grid.addWidget(value, line, 1)
            self._rows.append((label, value))
        for index, (label, value) in enumerate(self._rows):
            shown = index < len(rows)
            label.setVisible(shown)
            value.setVisible(shown)
            if shown:
                label.setText(rows[index][0])
                value.setText(breakable(rows[index][1]))

    def _fit(self) -> None:
        """As wide as the longest line asks for, up to a limit; then as tall as the wrapped text."""
        metrics = self._name.fontMetrics()
        widest = metrics.horizontalAdvance(self._name.text().replace(_BREAK, ""))
        labels = values = 0
        for label, value in self._rows:
            if not label.isHidden():
                text = label.fontMetrics()
                labels = max(labels, text.horizontalAdvance(label.text()))
                values = max(values, text.horizontalAdvance(value.text().replace(_BREAK, "")))
        inner = min(max(widest, labels + values + 16, 200), _WIDEST)
        self.setFixedWidth(inner + 28)
        self.setFixedHeight(max(self._column.totalHeightForWidth(inner + 28), self._column.minimumSize().height()))

    def _place(self, at: QPoint) -> None:
        parent = self.parentWidget()
        assert parent is not None
        area = parent.rect().adjusted(4, 4, -4, -4)
        x, y = at.x() + _AWAY.x(), at.y() + _AWAY.y()
        if x + self.width() > area.right():
            x = at.x() - _AWAY.x() - self.width()
        if y + self.height() > area.bottom():
            y = at.y() - _AWAY.y() - self.height()
        self.move(max(x, area.left()), max(y, area.top()))

    def _restyle(self) -> None:
        tokens = theme.current()
        self.setStyleSheet(
            f"#hoverCard {{ background: {tokens.raised.name()}; border: 1px solid {tokens.hairline.name()};"
            " border-radius: 4px; }"
        )
