"""The header line: the program at hand, the Record button, and the search that finds everything."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QAction, QKeySequence, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QWidget

from tailflame_gui import icons, plain, theme
from tailflame_gui.actions import Actions
from tailflame_gui.rows import TargetRow
from tailflame_gui.widgets.parts import ActionButton, label, row, set_rank

HEIGHT = 44


class SearchButton(QAbstractButton):
    """Looks like a field and opens the palette, which is one."""

    def __init__(self, action: QAction) -> None:
        super().__init__()
        self._keys = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
        self.setText("Search")
        self.setToolTip(action.toolTip())
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.clicked.connect(action.trigger)
        theme.signals.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(248, 28)

    def paintEvent(self, _event: QPaintEvent) -> None:
        tokens = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(tokens.accent if self.hasFocus() else tokens.hairline)
        painter.setBrush(tokens.hover if self.underMouse() else tokens.surface)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        icons.paint(painter, QRectF(8, 6, icons.SIZE, icons.SIZE), "search", "faint")
        painter.setFont(theme.interface_font())
        painter.setPen(tokens.second)
        inside = self.rect().adjusted(32, 0, -8, 0)
        painter.drawText(inside, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), self.text())
        painter.setPen(tokens.faint)
        painter.setFont(theme.interface_font(theme.SMALL))
        painter.drawText(inside, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight), self._keys)
        painter.end()


class Header(QWidget):
    def __init__(self, actions: Actions) -> None:
        super().__init__()
        self.setFixedHeight(HEIGHT)
        self.setProperty("surface", "window")
        self.setProperty("edge", "bottom")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._name = label("", "heading")
        self._facts = label("", "second", mono=True)
        self._baseline = label("", "second")
        layout = row(margins=(16, 0, 8, 1), spacing=12)
        layout.addWidget(self._name)
        layout.addWidget(self._facts)
        layout.addWidget(self._baseline)
        layout.addStretch()
        self._record = ActionButton(actions["record_page"])
        self._stop = ActionButton(actions["stop"], text="Stop")
        layout.addWidget(self._record)
        layout.addWidget(ActionButton(actions["attach"]))
        layout.addWidget(self._stop)
        layout.addWidget(SearchButton(actions["palette"]))
        self.setLayout(layout)
        self.show_target(None)
        self.show_recording(False)

    def show_recording(self, recording: bool) -> None:
        """While something is recorded, the button stops it."""
        self._record.setVisible(not recording)
        self._stop.setVisible(recording)

    def show_target(self, target: TargetRow | None) -> None:
        set_rank(self._name, "faint" if target is None else "heading")
        if target is None:
            self._name.setText("No program chosen")
            self._name.setToolTip("Drop a binary on the window, or choose one on the record page.")
            self._facts.setText("")
            self._baseline.setText("")
            return
        self._name.setText(target.name)
        self._name.setToolTip(plain.tip(target.binary))
        self._facts.setText("  ".join(part for part in (target.profile, target.commit) if part))
        self._baseline.setText(f"baseline: {target.baseline}" if target.baseline else "")
