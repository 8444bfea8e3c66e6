"""A label of a fixed number of lines: what does not fit ends in an ellipsis and is whole in the tip."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy


class FewLines(QLabel):
    """Its height is always that of `lines` lines, so that nothing below it moves."""

    def __init__(self, lines: int, *, rank: str = "small", mono: bool = False) -> None:
        super().__init__()
        self._lines = lines
        self._separator = " "
        self._whole = ""
        self.setProperty("rank", rank)
        if mono:
            self.setProperty("face", "mono")
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    @property
    def whole(self) -> str:
        return self._whole

    def set_text(self, text: str, *, separator: str = " ") -> None:
        """Lines break at `separator` alone: an option is not cut in two at its hyphens."""
        if (text, separator) != (self._whole, self._separator):
            self._whole, self._separator = text, separator
            self._fit()

    def sizeHint(self) -> QSize:
        return QSize(24, self.fontMetrics().lineSpacing() * self._lines + 2)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self.updateGeometry()
            self._fit()

    def _fit(self) -> None:
        metrics, room = self.fontMetrics(), max(self.width(), 24)
        parts = self._whole.split(self._separator)
        shown: list[str] = []
        while parts and len(shown) < self._lines:
            last = len(shown) == self._lines - 1
            line, parts = parts[0], parts[1:]
            while parts:
                longer = self._separator.join((line, parts[0]))
                # The last line leaves room for the sign that there is more.
                mark = f"{self._separator}…" if last and len(parts) > 1 else ""
                if metrics.horizontalAdvance(longer + mark) > room:
                    break
                line, parts = longer, parts[1:]
            if last and parts:
                line, parts = f"{line}{self._separator}…", []
            shown.append(metrics.elidedText(line, Qt.TextElideMode.ElideRight, room))
        text = "\n".join(shown)
        if text != self.text():
            self.setText(text)
        whole = self._separator.join(text.split("\n")) == self._whole
        self.setToolTip("" if whole else self._whole)
