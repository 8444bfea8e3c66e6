"""The rail: where one can go, in words with icons. What does not exist is not listed."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRectF, QSize, Qt
from PySide6.QtGui import QAction, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QButtonGroup, QMenu, QWidget

from tailflame_gui import icons, theme
from tailflame_gui.state import Page
from tailflame_gui.widgets.parts import column

WIDTH = 124
_HEIGHT = 32


class RailButton(QAbstractButton):
    """Icon, word, and a small count at the right."""

    def __init__(self, action: QAction, *, checkable: bool = True) -> None:
        super().__init__()
        self._icon = str(action.property("glyph"))
        self._count = 0
        self.setText(action.text())
        self.setToolTip(action.toolTip())
        self.setCheckable(checkable)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setMouseTracking(True)
        self.clicked.connect(action.trigger)
        theme.signals.changed.connect(self.update)

    def set_count(self, count: int) -> None:
        if count != self._count:
            self._count = count
            self.setAccessibleDescription(f"{count} open" if count else "")
            self.update()

    def sizeHint(self) -> QSize:
        return QSize(WIDTH, _HEIGHT)

    def paintEvent(self, _event: QPaintEvent) -> None:
        tokens = theme.current()
        painter = QPainter(self)
        if self.isDown():
            painter.fillRect(self.rect(), tokens.pressed)
        elif self.isChecked():
            painter.fillRect(self.rect(), tokens.surface)
        elif self.underMouse():
            painter.fillRect(self.rect(), tokens.hover)
        if self.isChecked():
            painter.fillRect(0, 0, 2, self.height(), tokens.accent)
        if self.hasFocus():
            painter.setPen(tokens.accent)
            painter.drawRect(self.rect().adjusted(2, 2, -3, -3))
        middle = self.height() / 2
        icons.paint(
            painter,
            QRectF(16, middle - icons.SIZE / 2, icons.SIZE, icons.SIZE),
            self._icon,
            "accent" if self.isChecked() else "second",
        )
        painter.setFont(theme.interface_font())
        painter.setPen(tokens.text if self.isChecked() or self.underMouse() else tokens.second)
        words = self.rect().adjusted(40, 0, -8, 0)
        painter.drawText(words, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), self.text())
        if self._count:
            painter.setFont(theme.interface_font(theme.SMALL))
            painter.setPen(tokens.second)
            flags = int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight)
            painter.drawText(words.adjusted(0, 0, -4, 0), flags, str(self._count))
        painter.end()


class Rail(QWidget):
    """`actions` in the order of Page, then those for the foot."""

    def __init__(self, pages: dict[Page, QAction], foot: tuple[QAction, ...]) -> None:
        super().__init__()
        self.setFixedWidth(WIDTH + 1)
        self.setProperty("surface", "window")
        self.setProperty("edge", "right")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._group = QButtonGroup(self)
        self._buttons: dict[Page, RailButton] = {}
        layout = column(margins=(0, 8, 1, 8), spacing=0)
        for page, action in pages.items():
            made = RailButton(action)
            self._buttons[page] = made
            self._group.addButton(made)
            layout.addWidget(made)
        layout.addStretch()
        self._foot: dict[QAction, RailButton] = {}
        for action in foot:
            made = RailButton(action, checkable=False)
            self._foot[action] = made
            layout.addWidget(made)
        self.setLayout(layout)

    def open_menu(self, action: QAction, menu: QMenu) -> None:
        """Opens `menu` beside the foot entry of `action`."""
        entry = self._foot[action]
        menu.popup(entry.mapToGlobal(QPoint(entry.width(), entry.height() - menu.sizeHint().height())))

    def show_page(self, page: Page) -> None:
        self._buttons[page].setChecked(True)

    def set_count(self, page: Page, count: int) -> None:
        """The number of open things behind an entry; 0 shows none."""
        self._buttons[page].set_count(count)

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(made.text() for made in self._buttons.values())
