"""The parts a comparison is made of: a card for each side, and panes that can be put away."""

from __future__ import annotations

from PySide6.QtWidgets import QToolButton, QWidget

from tailflame.model import Recording
from tailflame_gui import plain
from tailflame_gui.models.head import head_of, how_much, moment
from tailflame_gui.widgets.flame_graph import FlameGraph
from tailflame_gui.widgets.parts import ElidedLabel, column, icon_button, label, row
from tailflame_gui.widgets.trunk_line import TrunkLine


def pane_toggle(icon: str, tip: str) -> QToolButton:
    """A button that shows a pane or puts it away."""
    made = icon_button(icon, lambda: None, tip=tip)
    made.setCheckable(True)
    made.setChecked(True)
    return made


def padded(graph: FlameGraph) -> QWidget:
    """`graph` on the grid of the page."""
    around = QWidget()
    inside = row(margins=(12, 0, 8, 0))
    inside.addWidget(graph)
    around.setLayout(inside)
    return around


def titled(title: ElidedLabel, graph: FlameGraph) -> QWidget:
    """`graph` under its title."""
    made = QWidget()
    inside = column(spacing=0)
    head = row(margins=(12, 4, 8, 2))
    head.addWidget(title)
    head.addWidget(TrunkLine(graph))
    inside.addLayout(head)
    inside.addWidget(padded(graph), 1)
    made.setLayout(inside)
    return made


class SideCard(QWidget):
    """One of the two recordings: what it is, when and where it was made."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self.word = word
        self.title = label("", "title")
        self.facts = ElidedLabel("", "second")
        line = row(spacing=8)
        line.addWidget(label(word, "second"))
        line.addWidget(self.title)
        line.addWidget(self.facts, 1)
        self.setLayout(line)

    def set_recording(self, recording: Recording, *, title: str, commit: str) -> None:
        name, every = head_of(recording, title=title, commit=commit)
        meta = recording.meta
        when = moment(meta.started_at) if meta.started_at is not None else ""
        parts = (when, commit, meta.machine.hostname, how_much(recording), recording.tool)
        self.title.setText(name)
        self.facts.set_text("  ·  ".join(part for part in parts if part))
        self.setAccessibleName(f"{self.word}: {name}, {every}")
        self.title.setToolTip(plain.tip(f"{every}\n{recording.source}"))
