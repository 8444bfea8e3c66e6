"""A tool in a list: its name, what it answers, what it costs, and why it is off where it is."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QGuiApplication, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QLabel, QSizePolicy, QWidget

from tailflame_gui import theme
from tailflame_gui.record_model import ToolChoice
from tailflame_gui.widgets.parts import Icon, column, icon_button, label, row


class ToolCard(QAbstractButton):
    """One of a group; clicked() chooses it, also where it is off: then its reason and its fix are what one wants."""

    def __init__(self, tool: ToolChoice) -> None:
        super().__init__()
        self.tool = tool
        self.setCheckable(True)
        self.setText(tool.title)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        head = row(spacing=8)
        head.addWidget(label(tool.title, "heading"))
        head.addWidget(label(tool.version, "small"))
        head.addStretch()
        if not tool.available:
            head.addWidget(Icon("ban", "warn"))
            head.addWidget(label(f"Off: {tool.reason}", "warn"))
        lines = column(margins=(12, 4, 8, 4), spacing=2)
        lines.addLayout(head)
        lines.addWidget(label(tool.answers, wrap=True))
        if tool.available:
            lines.addWidget(label(tool.cost, "small", wrap=True))
        elif tool.fix:
            fix = row(spacing=4)
            fix.addWidget(label(tool.fix, "second", mono=True, wrap=True), 1)
            fix.addWidget(icon_button("copy", lambda: _copy(tool.fix), tip="Copy the fix"))
            lines.addLayout(fix)
        self.setLayout(lines)
        for child in self.findChildren(QLabel):
            child.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAccessibleName(tool.title)
        why = tool.cost if tool.available else f"Off: {tool.reason}. {tool.fix}"
        self.setAccessibleDescription(f"{tool.answers} {why}")
        theme.signals.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        layout = self.layout()
        return layout.sizeHint() if layout is not None else QSize()

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        layout = self.layout()
        return layout.heightForWidth(width) if layout is not None else 0

    def paintEvent(self, _event: QPaintEvent) -> None:
        tokens = theme.current()
        painter = QPainter(self)
        if self.isChecked():
            painter.fillRect(self.rect(), tokens.selection)
            painter.fillRect(0, 0, 2, self.height(), tokens.accent)
        elif self.isDown() or self.underMouse():
            painter.fillRect(self.rect(), tokens.hover)
        if self.hasFocus():
            painter.setPen(tokens.accent)
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()


def _copy(text: str) -> None:
    QGuiApplication.clipboard().setText(text)


def card_list(cards: list[ToolCard]) -> QWidget:
    """The cards below each other on one surface."""
    holder = QWidget()
    holder.setProperty("surface", "surface")
    holder.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
    lines = column(spacing=0)
    for card in cards:
        lines.addWidget(card)
    holder.setLayout(lines)
    return holder
