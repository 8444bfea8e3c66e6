"""How a continuous profile is recorded, and what it may cost: small fields with their defaults in sight."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QGridLayout, QLineEdit, QWidget

from tailflame_gui.live_model import SlicesDraft
from tailflame_gui.widgets.parts import label

_FIELD = 56


class SlicesForm(QWidget):
    """changed(): something else stands in it. An empty field means what is offered in it."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        offered = SlicesDraft()
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(8)
        self._grid.setVerticalSpacing(4)
        self.length = self._field("Slice", offered.slice_s, "s", "Length of a slice, in whole seconds")
        self.frequency = self._field("Frequency", offered.frequency, "Hz", "Samples a second and processor")
        self.cpu = self._field("CPU at most", offered.cpu_percent, "% of a core", "Of one core: perf and reading")
        self.disk = self._field("Disk at most", offered.disk, "", "For everything kept: 500M, 2G")
        self._grid.setColumnStretch(2, 1)
        self.dwarf = QCheckBox("Stacks by DWARF, for a program without frame pointers")
        self.dwarf.setToolTip("Costs several times as much CPU and disk; the budgets hold all the same.")
        self.dwarf.toggled.connect(lambda _on: self.changed.emit())
        self._grid.addWidget(self.dwarf, 2, 0, 1, 7)
        self.setLayout(self._grid)

    def _field(self, words: str, offered: str, unit: str, name: str) -> QLineEdit:
        field = QLineEdit()
        field.setProperty("face", "mono")
        field.setPlaceholderText(offered)
        field.setAccessibleName(name)
        field.setToolTip(name)
        field.setFixedWidth(_FIELD)
        field.textEdited.connect(lambda _text: self.changed.emit())
        at = self._grid.count() // 3
        for column, widget in enumerate((label(words, "second"), field, label(unit, "second"))):
            self._grid.addWidget(widget, at // 2, 3 * (at % 2) + column)
        return field

    @property
    def draft(self) -> SlicesDraft:
        def text(field: QLineEdit) -> str:
            return field.text().strip() or field.placeholderText()

        return SlicesDraft(
            slice_s=text(self.length),
            frequency=text(self.frequency),
            cpu_percent=text(self.cpu),
            disk=text(self.disk),
            dwarf=self.dwarf.isChecked(),
        )
