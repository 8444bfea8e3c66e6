"""The sources of a live run: a switch for each, and a sentence that says what it does."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QFrame, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from tailflame_gui import plain
from tailflame_gui.live_rows import SourceRow
from tailflame_gui.rows import Level
from tailflame_gui.widgets.parts import Icon, button, column, label, row

WIDTH = 232
_ICONS = {
    Level.OK: ("circle-check", "good"),
    Level.NOTE: ("info", "second"),
    Level.WARNING: ("triangle-alert", "warn"),
    Level.ERROR: ("octagon-alert", "bad"),
}


class SourceLine(QWidget):
    """toggled(name, on): the user wants it so; the row shows what is."""

    toggled = Signal(str, bool)

    def __init__(self, source: SourceRow) -> None:
        super().__init__()
        self._source = source
        self.switch = QCheckBox()
        self.switch.clicked.connect(self._ask)
        self._mark = Icon("info")
        self._state = label("", "small", wrap=True)
        self._state.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self._fix = label("", "small", wrap=True)
        self._fix.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        head = row(spacing=4)
        head.addWidget(self.switch, 1)
        head.addWidget(self._mark)
        body = column(margins=(22, 0, 0, 0), spacing=0)
        body.addWidget(self._state)
        body.addWidget(self._fix)
        layout = column(margins=(12, 4, 12, 4), spacing=2)
        layout.addLayout(head)
        layout.addLayout(body)
        self.setLayout(layout)
        self.show_source(source)

    @property
    def text(self) -> str:
        return self._state.text()

    def show_source(self, source: SourceRow) -> None:
        self._source = source
        self.switch.setText(plain.caption(source.title))
        self.switch.setChecked(source.on)
        self.switch.setEnabled(source.can_switch)
        self.switch.setToolTip(f"Switch {source.title} {'off' if source.on else 'on'}; the others run on.")
        self._mark.set_icon(
            *(_ICONS[source.level] if source.on or source.level is not Level.OK else _ICONS[Level.NOTE])
        )
        self._state.setText(source.state)
        self._fix.setText(source.fix)
        self._fix.setVisible(bool(source.fix))
        self.setAccessibleName(f"{source.title}: {source.state} {source.fix}".rstrip())

    def _ask(self, on: bool) -> None:
        self.switch.setChecked(self._source.on)  # it shows what is, not what is wished
        self.toggled.emit(self._source.name, on)


class SourceList(QWidget):
    """source_toggled(name, on), add_requested()."""

    source_toggled = Signal(str, bool)
    add_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, SourceLine] = {}
        self._frozen = False
        self._column = QVBoxLayout()
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)
        self._none = label("No source is on. Add one to see percentiles, counters or stages here.", "small", wrap=True)
        self._none.setContentsMargins(12, 0, 12, 0)
        body = QWidget()
        inside = column(spacing=0)
        inside.addLayout(self._column)
        inside.addWidget(self._none)
        inside.addStretch()
        body.setLayout(inside)
        body.setProperty("surface", "surface")
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(body)
        self.add = button("Add…", self.add_requested.emit, rank="quiet", icon="plus", tip="Add a source to this run")
        head = row(margins=(12, 4, 4, 4), spacing=4)
        head.addWidget(label("Sources", "heading"))
        head.addStretch()
        head.addWidget(self.add)
        layout = column(margins=(1, 0, 0, 0), spacing=0)
        layout.addLayout(head)
        layout.addWidget(area, 1)
        self.setLayout(layout)
        self.setFixedWidth(WIDTH)
        self.setProperty("surface", "surface")
        self.setProperty("edge", "left")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)

    def set_sources(self, sources: tuple[SourceRow, ...]) -> None:
        """Lines stay where they are as long as their sources do."""
        if [source.name for source in sources] != list(self.lines):
            for line in self.lines.values():
                self._column.removeWidget(line)
                line.hide()
                line.deleteLater()
            self.lines = {}
            for source in sources:
                made = SourceLine(source)
                made.toggled.connect(self.source_toggled)
                self.lines[source.name] = made
                self._column.addWidget(made)
        else:
            for source in sources:
                self.lines[source.name].show_source(source)
        self._none.setVisible(not sources)
        if self._frozen:
            self.freeze()

    def freeze(self, frozen: bool = True) -> None:
        """The run is over: nothing can be switched any more."""
        self._frozen = frozen
        self.add.setVisible(not frozen)
        if frozen:
            for line in self.lines.values():
                line.switch.setEnabled(False)
