"""A tool in a list, and what is said of the one that is chosen: what it answers, what it costs, why it is off."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QGuiApplication, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QLabel, QSizePolicy, QWidget

from tailflame_gui import plain, theme
from tailflame_gui.record_model import ToolChoice
from tailflame_gui.widgets.parts import ElidedLabel, Icon, clear, column, icon_button, label, row, selectable

LIST_WIDTH = 160


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
        head.addWidget(label(tool.title, "" if tool.available else "faint"))
        head.addStretch()
        if not tool.available:
            head.addWidget(Icon("ban", "faint", size=12))
        lines = column(margins=(12, 2, 6, 3), spacing=0)
        lines.addLayout(head)
        lines.addWidget(ElidedLabel(tool.answers, "small"))
        self.setLayout(lines)
        for child in self.findChildren(QLabel):
            child.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        why = told(tool) if tool.available else f"Off: {tool.reason}. {tool.fix}"
        self.setAccessibleName(tool.title)
        self.setAccessibleDescription(f"{tool.answers} {why}")
        self.setToolTip(plain.tip(f"{tool.answers}\n{why}"))
        theme.signals.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        layout = self.layout()
        return layout.sizeHint() if layout is not None else QSize()

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


class ToolHead(QWidget):
    """What is said of one tool before it runs."""

    def __init__(self) -> None:
        super().__init__()
        self._title = label("", "heading")
        self._version = ElidedLabel("", "small")
        self._answers = label("", wrap=True)
        self._cost = label("", "small", wrap=True)
        self._slow_down = label("", "small", wrap=True)
        self._off = column(spacing=2)
        head = row(spacing=8)
        head.addWidget(self._title)
        head.addWidget(self._version, 1)
        self._slow_line = QWidget()
        slow = row(spacing=6)
        slow.addWidget(Icon("timer", "second", size=12), alignment=Qt.AlignmentFlag.AlignTop)
        slow.addWidget(self._slow_down, 1)
        self._slow_line.setLayout(slow)
        self._slow_line.setToolTip("As measured beforehand with programs that compute, call the system, and allocate.")
        lines = column(spacing=2)
        lines.addLayout(head)
        lines.addWidget(self._answers)
        lines.addWidget(self._cost)
        lines.addWidget(self._slow_line)
        lines.addLayout(self._off)
        self.setLayout(lines)
        self.show_tool(None)

    def show_tool(self, tool: ToolChoice | None) -> None:
        self.setVisible(tool is not None)
        clear(self._off)
        if tool is None:
            return
        self._title.setText(tool.title)
        self._version.set_text(tool.version)
        self._answers.setText(tool.answers)
        self._cost.setText(tool.cost)
        self._cost.setVisible(tool.available and bool(tool.cost))
        self._slow_down.setText(tool.slow_down)
        self._slow_line.setVisible(tool.available and bool(tool.slow_down))
        if not tool.available:
            self._off.addWidget(off_line(tool.reason, tool.fix))


def off_line(reason: str, fix: str) -> QWidget:
    """Why a tool is off, and what to do, to copy."""
    made = QWidget()
    why = row(spacing=6)
    why.addWidget(Icon("ban", "warn"), alignment=Qt.AlignmentFlag.AlignTop)
    why.addWidget(label(f"Off: {reason}", "warn", wrap=True), 1)
    lines = column(spacing=2)
    lines.addLayout(why)
    if fix:
        line = row(spacing=4)
        line.addWidget(selectable(label(fix, "second", mono=True, wrap=True)), 1)
        copy = icon_button("copy", lambda: QGuiApplication.clipboard().setText(fix), tip="Copy the fix")
        line.addWidget(copy, alignment=Qt.AlignmentFlag.AlignTop)
        lines.addLayout(line)
    made.setLayout(lines)
    return made


def told(tool: ToolChoice) -> str:
    """What it costs, in one go."""
    return " ".join(part for part in (tool.cost, tool.slow_down) if part)


def card_list(cards: Iterable[ToolCard]) -> QWidget:
    """The cards below each other on one surface, each family under its name."""
    holder = QWidget()
    holder.setProperty("surface", "surface")
    holder.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
    holder.setFixedWidth(LIST_WIDTH)
    lines = column(margins=(0, 2, 0, 4), spacing=0)
    family = None
    for card in cards:
        if card.tool.family and card.tool.family != family:
            family = card.tool.family
            heading = label(family, "small")
            heading.setContentsMargins(12, 4, 0, 0)
            lines.addWidget(heading)
        lines.addWidget(card)
    holder.setLayout(lines)
    return holder
