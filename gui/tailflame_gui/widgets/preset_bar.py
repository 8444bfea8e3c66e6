"""Saved settings by name: take one, save the present ones under a name, delete one."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QComboBox, QLineEdit, QStackedWidget, QWidget

from tailflame_gui.widgets.parts import button, icon_button, row

NONE = "none"


class PresetBar(QWidget):
    """applied(name), saved(name), deleted(name): what the user asks for."""

    applied = Signal(str)
    saved = Signal(str)
    deleted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.box = QComboBox()
        self.box.setAccessibleName("Preset")
        self.box.setToolTip("Settings saved for this program. Choosing one applies it.")
        self.box.activated.connect(self._picked)
        self.save = button("Save…", self.begin, tip="Save these settings under a name, for this program.")
        self.delete = icon_button("trash-2", self._delete, tip="Delete this preset")
        choosing = QWidget()
        line = row(spacing=4)
        line.addWidget(self.box, 1)
        line.addWidget(self.save)
        line.addWidget(self.delete)
        choosing.setLayout(line)
        self.name = QLineEdit()
        self.name.setPlaceholderText("Name of the preset")
        self.name.setMaxLength(80)
        self.name.setAccessibleName("Name of the preset")
        self.name.installEventFilter(self)
        self.name.returnPressed.connect(self._save)
        naming = QWidget()
        line = row(spacing=4)
        line.addWidget(self.name, 1)
        line.addWidget(button("Save", self._save))
        line.addWidget(icon_button("x", self._leave, tip="Do not save. Esc"))
        naming.setLayout(line)
        self._stack = QStackedWidget()
        self._stack.addWidget(choosing)
        self._stack.addWidget(naming)
        whole = row(spacing=0)
        whole.addWidget(self._stack)
        self.setLayout(whole)
        self._names: tuple[str, ...] = ()
        self._current = ""
        self._on = False
        self.offer(())

    @property
    def names(self) -> tuple[str, ...]:
        return self._names

    @property
    def current(self) -> str:
        """The preset that was taken or saved last, "" after another change."""
        return self._current

    def offer(self, names: Sequence[str], *, current: str = "", possible: bool = False) -> None:
        """The presets of this program; `possible`: there is a program to save one for."""
        self._names, self._on = tuple(names), possible
        with QSignalBlocker(self.box):
            self.box.clear()
            self.box.addItem(NONE, "")
            for name in names:
                self.box.addItem(name, name)
        self.show_current(current)

    def show_current(self, name: str) -> None:
        """Marks a preset as the one whose settings are shown; "" for none."""
        self._current = name if name in self._names else ""
        with QSignalBlocker(self.box):
            self.box.setCurrentIndex(max(self.box.findData(self._current), 0))
        self.box.setEnabled(bool(self._names))
        self.save.setEnabled(self._on)
        self.delete.setEnabled(bool(self._current))

    def begin(self) -> None:
        """Asks for a name, here and not in a dialog."""
        self.name.setText(self._current)
        self._stack.setCurrentIndex(1)
        self.name.setFocus(Qt.FocusReason.OtherFocusReason)
        self.name.selectAll()

    @property
    def naming(self) -> bool:
        return self._stack.currentIndex() == 1

    def _save(self) -> None:
        name = self.name.text().strip()
        if name:
            self._leave()
            self.saved.emit(name)

    def _leave(self) -> None:
        self._stack.setCurrentIndex(0)
        self.save.setFocus(Qt.FocusReason.OtherFocusReason)

    def _picked(self, at: int) -> None:
        name = str(self.box.itemData(at) or "")
        self.show_current(name)
        if name:
            self.applied.emit(name)

    def _delete(self) -> None:
        if self._current:
            self.deleted.emit(self._current)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        pressed = watched is self.name and isinstance(event, QKeyEvent) and event.type() is QEvent.Type.KeyPress
        if pressed and isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Escape:
            self._leave()
            return True
        return super().eventFilter(watched, event)
