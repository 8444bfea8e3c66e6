"""What a comparison has found, a sentence a line, each with its shape: more, less, or nothing moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QVBoxLayout, QWidget

from tailflame.analyse.diff import Comparison
from tailflame.analyse.names import short
from tailflame.analyse.slow_calls import OWN_WORDS
from tailflame.units import MINUS
from tailflame_gui import icons, plain, theme
from tailflame_gui.widgets.parts import button

_AT_ONCE = 3
_HEIGHT = 22


@dataclass(frozen=True, slots=True)
class Verdict:
    """A sentence; `function` is what it speaks of ("": of none), `sign` +1 more, -1 less, 0 nothing moved."""

    sentence: str
    function: str = ""
    sign: int = 0


def verdicts_of(comparison: Comparison) -> tuple[Verdict, ...]:
    """The comparison's sentences with the functions of the delta table that they begin with."""
    table = comparison.table
    marked = {short(table.names[row]): row for row in range(len(table)) if table.significant[row]}
    any_of = {short(name): name for name in table.names}
    found = []
    for at, sentence in enumerate(comparison.verdict):
        if comparison.exact and not at:
            found.append(Verdict(sentence, sign=_sign(comparison.tree.whole_after - comparison.tree.whole_before)))
            continue
        if comparison.exact:
            found.append(_counted(sentence, any_of))
            continue
        name, own, _rest = sentence.partition(f" {OWN_WORDS}")
        if own and name in any_of:
            found.append(Verdict(sentence, any_of[name], 1))
            continue
        fitting = [name for name in marked if sentence.startswith(f"{name} ")]
        if not fitting:
            found.append(Verdict(sentence))
            continue
        row = marked[max(fitting, key=len)]
        found.append(Verdict(sentence, table.names[row], 1 if table.change[row] > 0 else -1))
    return tuple(found)


def _counted(sentence: str, any_of: dict[str, str]) -> Verdict:
    """A sentence on what was counted, with the function that it begins with and the way it went."""
    fitting = [name for name in any_of if sentence.startswith(f"{name} ")]
    if not fitting:
        return Verdict(sentence)
    name = max(fitting, key=len)
    rest = sentence[len(name) + 1 :]
    less = rest.startswith((MINUS, "is gone"))
    return Verdict(sentence, any_of[name], -1 if less else 1)


def _sign(delta: float) -> int:
    return (delta > 0) - (delta < 0)


class VerdictLine(QAbstractButton):
    """Clicking it selects the function."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__()
        self.verdict = verdict
        self._font = theme.interface_font(weight=theme.interface_font().Weight.Medium)
        self.setToolTip(plain.tip(f"{verdict.sentence}\n{verdict.function}".rstrip()))
        self.setAccessibleName(verdict.sentence)
        self.setEnabled(bool(verdict.function))
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus if verdict.function else Qt.FocusPolicy.NoFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    def sizeHint(self) -> QSize:
        return QSize(240, _HEIGHT)

    def paintEvent(self, _event: QPaintEvent) -> None:
        tokens = theme.current()
        painter = QPainter(self)
        if self.underMouse() and self.isEnabled():
            painter.fillRect(self.rect(), tokens.hover)
        shape, color = {1: ("trending-up", "more"), -1: ("trending-down", "less"), 0: ("equal", "second")}[
            self.verdict.sign
        ]
        icons.paint(painter, QRectF(0, 3, 16, 16), shape, color)
        painter.setFont(self._font)
        painter.setPen(tokens.text)
        room = self.width() - 28
        words = painter.fontMetrics().elidedText(self.verdict.sentence, Qt.TextElideMode.ElideRight, room)
        painter.drawText(QRectF(24, 0, room, _HEIGHT), int(Qt.AlignmentFlag.AlignVCenter), words)
        if self.hasFocus():
            painter.setPen(tokens.accent)
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()


class VerdictLines(QWidget):
    """chosen(function): a sentence was clicked."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self._lines: list[VerdictLine] = []
        self._more = button("", self._show_all, rank="link")
        self._column.addWidget(self._more, 0, Qt.AlignmentFlag.AlignLeft)
        self._more.hide()

    @property
    def lines(self) -> tuple[VerdictLine, ...]:
        return tuple(self._lines)

    def set_verdicts(self, verdicts: Sequence[Verdict]) -> None:
        for line in self._lines:
            self._column.removeWidget(line)
            line.deleteLater()
        self._lines = [VerdictLine(verdict) for verdict in verdicts]
        for at, line in enumerate(self._lines):
            line.clicked.connect(lambda _on=False, line=line: self.chosen.emit(line.verdict.function))
            self._column.insertWidget(at, line)
            line.setVisible(at < _AT_ONCE)
        hidden = len(self._lines) - _AT_ONCE
        self._more.setText(f"{hidden} more")
        self._more.setVisible(hidden > 0)

    def _show_all(self) -> None:
        for line in self._lines:
            line.show()
        self._more.hide()
