"""A label of a fixed number of lines: text wraps, what does not fit ends in an ellipsis and is whole in the tip."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRect, QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy

from tailflame_gui import plain


class FewLines(QLabel):
    """Its height is always that of `lines` lines, so that nothing below it moves."""

    def __init__(self, lines: int, rank: str = "small") -> None:
        super().__init__()
        self._lines = lines
        self._whole = ""
        self.setProperty("rank", rank)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)
        self.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    @property
    def whole(self) -> str:
        return self._whole

    def set_text(self, text: str) -> None:
        if text != self._whole:
            self._whole = text
            self._fit()

    def sizeHint(self) -> QSize:
        return QSize(24, self.fontMetrics().lineSpacing() * self._lines + 2)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def heightForWidth(self, _width: int) -> int:
        return self.sizeHint().height()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self.updateGeometry()
            self._fit()

    def _fits(self, text: str) -> bool:
        box = QRect(0, 0, max(self.width(), 24), 10_000)
        flags = int(Qt.TextFlag.TextWordWrap)
        return self.fontMetrics().boundingRect(box, flags, text).height() <= self.sizeHint().height()

    def _fit(self) -> None:
        shown = self._whole
        if not self._fits(shown):
            short, long = 0, len(shown)
            while long - short > 1:
                middle = (short + long) // 2
                short, long = (middle, long) if self._fits(f"{self._whole[:middle]}…") else (short, middle)
            shown = f"{self._whole[:short].rstrip()}…"
        if shown != self.text():
            self.setText(shown)
        self.setToolTip(plain.tip(self._whole) if shown != self._whole else "")
