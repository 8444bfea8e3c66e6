"""What is known of the selected function, beside every view of a result."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFont, QGuiApplication
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QLabel,
    QScrollArea,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from tailflame.analyse.hotspots import HotspotTable
from tailflame.analyse.names import module_label
from tailflame.errors import TailflameError
from tailflame.model import FrameKind
from tailflame.model.stacks import NONE
from tailflame.units import count
from tailflame_gui import plain, tasks, theme
from tailflame_gui.models.scope import ResultScope, Scope
from tailflame_gui.models.trees import ProfileTrees, neighbours
from tailflame_gui.selection import Selection
from tailflame_gui.views.flame_picture import KIND_WORDS
from tailflame_gui.widgets.busy_line import BusyLine
from tailflame_gui.widgets.everything_button import EverythingButton
from tailflame_gui.widgets.function_line import FunctionLines
from tailflame_gui.widgets.hover_card import breakable
from tailflame_gui.widgets.parts import button, column, hairline, icon_button, label, row, selectable

WIDTH = 264
_NEIGHBOURS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """A function's figures in a scope. own: weight of its own frames; with_inlined: that, and of the code inlined
    into it (0 where it exists only inlined into others); callers and callees: (name, weight), heaviest first.
    """

    function: str
    module: str
    kind: FrameKind
    file: str
    line: int
    own: float
    with_inlined: float
    total: float
    own_samples: float
    total_samples: float
    whole: float
    samples: float
    places: int
    callers: tuple[tuple[str, float], ...]
    callees: tuple[tuple[str, float], ...]


def portray(trees: ProfileTrees, scope: Scope, function: str) -> Portrait | None:
    """The portrait of `function`, None where it does not occur."""
    table: HotspotTable = trees.hotspots(scope, inlines=True)
    at = table.row(function)
    if at < 0:
        return None
    tree = trees.tree(scope)
    physical = trees.hotspots(scope)
    folded = physical.row(function)
    callers, callees = neighbours(tree, function)
    return Portrait(
        function=function,
        module=table.module[at],
        kind=FrameKind(int(table.kind[at])),
        file=table.file[at],
        line=int(table.line[at]),
        own=float(table.self_weight[at]),
        with_inlined=float(physical.self_weight[folded]) if folded >= 0 else 0.0,
        total=float(table.total_weight[at]),
        own_samples=float(table.self_samples[at]),
        total_samples=float(table.total_samples[at]),
        whole=table.total,
        samples=table.samples,
        places=int(np.count_nonzero(tree.function == tree.functions.index(function))),
        callers=tuple(callers),
        callees=tuple(callees),
    )


class Inspector(QWidget):
    """open_source(file, line), show_callers(function): links were followed."""

    open_source = Signal(str, int)
    show_callers = Signal(str)

    def __init__(self, *, selection: Selection, scope: ResultScope, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._selection, self._scope = selection, scope
        self._trees: ProfileTrees | None = None
        self._latest = tasks.Latest(self)
        self.portrait: Portrait | None = None
        self.setProperty("surface", "surface")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setMinimumWidth(200)

        self.name = selectable(label("", wrap=True))
        self.name.setFont(theme.mono_font(theme.BASE, weight=QFont.Weight.Medium))
        self.what = label("", "second", wrap=True)
        self.source = button("", self._open_source, rank="link", tip="Open this line in the editor")
        self.figures = QGridLayout()
        self.figures.setHorizontalSpacing(8)
        self.figures.setVerticalSpacing(4)
        self.figures.setColumnStretch(0, 1)
        self._cells: list[list[QLabel]] = []
        self.callers, self.callees = FunctionLines(), FunctionLines()
        self._callers_title = label("Callers", "heading")
        self._callees_title = label("Callees", "heading")
        for lines in (self.callers, self.callees):
            lines.chosen.connect(selection.select)
            lines.hovered.connect(selection.hover)

        head = row(spacing=4)
        head.addWidget(self.name, 1)
        head.addWidget(icon_button("copy", self._copy, tip="Copy the function's name"), 0, Qt.AlignmentFlag.AlignTop)
        card = column(margins=(12, 12, 8, 8), spacing=4)
        card.addLayout(head)
        card.addWidget(self.what)
        # Its words begin where those of the other lines do.
        self.source.setStyleSheet("QPushButton { padding-left: 0; margin-left: -1px; }")
        card.addWidget(self.source, 0, Qt.AlignmentFlag.AlignLeft)
        card.addSpacing(8)
        card.addLayout(self.figures)
        lists = column(margins=(4, 8, 4, 12), spacing=2)
        for title, lines in ((self._callers_title, self.callers), (self._callees_title, self.callees)):
            title.setContentsMargins(8, 4, 0, 2)
            lists.addWidget(title)
            lists.addWidget(lines)
        more = button(
            "All callers and callees", self._show_callers, rank="link", tip="Open the view of callers and callees"
        )
        foot = row(margins=(4, 4, 0, 0))
        foot.addWidget(more)
        foot.addStretch()
        lists.addLayout(foot)
        inside = QWidget()
        inside.setProperty("surface", "surface")
        body = column(spacing=0)
        body.addLayout(card)
        body.addWidget(hairline())
        body.addLayout(lists)
        body.addStretch()
        inside.setLayout(body)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inside)
        self._nothing = label("", "second", wrap=True)
        empty = QWidget()
        alone = column(margins=(16, 16, 16, 16), spacing=4)
        self._missing = label("No function selected", "heading")
        alone.addWidget(self._missing)
        alone.addWidget(self._nothing)
        alone.addWidget(EverythingButton(scope, rank="link"), alignment=Qt.AlignmentFlag.AlignLeft)
        alone.addStretch()
        empty.setLayout(alone)
        self._main = QWidget()
        self._body = QStackedLayout(self._main)
        self._body.addWidget(area)
        self._body.addWidget(empty)
        busy = BusyLine()
        self._latest.busy_changed.connect(busy.set_busy)
        self._companion: QWidget | None = None
        self._between = hairline()
        self._between.hide()
        page = column(spacing=0)
        page.addWidget(busy)
        page.addWidget(self._main, 1)
        page.addWidget(self._between)
        self.setLayout(page)
        selection.changed.connect(self._ask)
        scope.changed.connect(lambda _scope: self._ask(selection.function))
        self._say("Click a function in any view, or move to it with the arrow keys: its figures stand here.")

    @property
    def busy(self) -> bool:
        return self._latest.busy

    def set_companion(self, companion: QWidget | None) -> None:
        """What shares the column with the function, and has it while no function is selected; None: nothing does."""
        self._companion = companion
        page = self.layout()
        if companion is not None and isinstance(page, QVBoxLayout):
            page.addWidget(companion, 1)
        self.share()

    def share(self) -> None:
        """Divides the column anew: the companion has folded, or come, or gone."""
        there = self._companion is not None and not self._companion.isHidden()
        grows = self._companion is not None and bool(
            self._companion.sizePolicy().expandingDirections() & Qt.Orientation.Vertical
        )
        alone = there and grows and not self._selection.function
        self._main.setVisible(not alone)
        self._between.setVisible(there and not alone)

    def set_trees(self, trees: ProfileTrees) -> None:
        self._trees = trees
        self._ask(self._selection.function)

    def _ask(self, function: str) -> None:
        self.share()
        trees, scope = self._trees, self._scope.scope
        if not function or trees is None:
            self._latest.drop()
            self.portrait = None
            self._say("Click a function in any view, or move to it with the arrow keys: its figures stand here.")
            return

        def work(_progress: tasks.Progress) -> Portrait | None:
            return portray(trees, scope, function)

        self._latest.ask(
            work,
            partial(self._show, function=function, scope=scope),
            name="look at a function",
            on_error=lambda error: self._failed(error),
        )

    def _show(self, portrait: Portrait | None, *, function: str, scope: Scope) -> None:
        self.portrait = portrait
        if portrait is None:
            self._say(f"{function} does not occur in the samples that are chosen.", title="Not in these samples")
            return
        assert self._trees is not None
        measure = self._trees.measure(scope)
        whole = portrait.whole or 1.0

        def share(weight: float) -> str:
            return measure.share(weight / whole, portrait.samples) or "0"

        self.name.setText(breakable(portrait.function))
        kind = KIND_WORDS[portrait.kind]
        places = f"{count(portrait.places)} call path{'' if portrait.places == 1 else 's'}"
        self.what.setText(breakable("  ·  ".join(p for p in (kind, module_label(portrait.module), places) if p)))
        self.what.setToolTip(plain.tip(portrait.module))
        place = portrait.file.rsplit("/", 1)[-1]
        self.source.setText(plain.caption(f"{place}:{portrait.line}" if portrait.line > 0 else place))
        self.source.setToolTip(plain.tip(f"Open {portrait.file} in the editor"))
        self.source.setVisible(bool(portrait.file))
        rows = [("", "%", measure.label, "")]
        rows.append(("Self", share(portrait.own), measure.text(portrait.own) or "0", "Its own code."))
        if portrait.with_inlined > portrait.own:
            tip = "Its own code and the code that the compiler inlined into it: what hotspots count."
            rows.append(
                ("Self with inlined", share(portrait.with_inlined), measure.text(portrait.with_inlined) or "0", tip)
            )
        rows.append(
            ("Total", share(portrait.total), measure.text(portrait.total) or "0",
             "With what it calls; recursion counts once.")
        )  # fmt: skip
        if measure.counted and measure.label != measure.counted:
            word = measure.counted.capitalize()
            rows.append((f"{word}, self", "", count(portrait.own_samples), f"{word} with it on top of the stack."))
            rows.append((f"{word}, total", "", count(portrait.total_samples), f"{word} with it anywhere."))
        self._fill(rows)
        for lines, entries in ((self.callers, portrait.callers), (self.callees, portrait.callees)):
            lines.show_functions(
                [
                    (name, share(weight), weight / (portrait.total or 1.0), measure.with_unit(weight))
                    for name, weight in entries[:_NEIGHBOURS]
                ]
            )
        self._tell("Callers", self._callers_title, len(portrait.callers), "none: it is a root")
        self._tell("Callees", self._callees_title, len(portrait.callees), "none: it is a leaf")
        self._body.setCurrentIndex(0)

    def _tell(self, title: str, where: QLabel, number: int, none: str) -> None:
        if not number:
            where.setText(f"{title}: {none}")
        elif number > _NEIGHBOURS:
            where.setText(f"{title}, the top {_NEIGHBOURS} of {count(number)}")
        else:
            where.setText(title)

    def _fill(self, rows: list[tuple[str, str, str, str]]) -> None:
        while len(self._cells) < len(rows):
            line = len(self._cells)
            cells = [label("", "second"), label("", mono=True), label("", mono=True)]
            for at, cell in enumerate(cells):
                if at:
                    cell.setAlignment(Qt.AlignmentFlag.AlignRight)
                if not line:
                    cell.setProperty("rank", "small")
                    cell.setProperty("face", "")
                self.figures.addWidget(cell, line, at)
            self._cells.append(cells)
        for at, cells in enumerate(self._cells):
            for cell, text in zip(cells, rows[at][:3] if at < len(rows) else ("", "", ""), strict=True):
                cell.setText(text)
                cell.setVisible(at < len(rows))
                cell.setToolTip(plain.tip(rows[at][3]) if at < len(rows) else "")

    def _say(self, text: str, *, title: str = "No function selected") -> None:
        self._missing.setText(title)
        self._nothing.setText(breakable(text))
        self._body.setCurrentIndex(1)

    def _failed(self, error: TailflameError) -> None:
        self._say(str(error), title="No figures")

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._selection.function)

    def _open_source(self) -> None:
        if self.portrait is not None and self.portrait.file:
            line = self.portrait.line
            self.open_source.emit(self.portrait.file, line if line > 0 else NONE)

    def _show_callers(self) -> None:
        if self._selection.function:
            self.show_callers.emit(self._selection.function)
