"""The source beside a table of costs: each line with one figure, whichever the user asks for.

It asks for texts as the source view does, and is answered by the same provider.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QPoint, QSignalBlocker, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QComboBox, QMenu, QStackedWidget, QWidget

from tailflame.errors import TailflameError
from tailflame.host.source_files import Found, SourceText
from tailflame.model import CostTable
from tailflame.model.stacks import NONE
from tailflame_gui import plain, tasks
from tailflame_gui.models.cache_figures import CostFigure
from tailflame_gui.models.cache_lines import CacheLines, FileCosts, file_costs
from tailflame_gui.models.source_figures import SourceQuestion
from tailflame_gui.widgets.busy_line import BusyLine
from tailflame_gui.widgets.code_pane import CodePane
from tailflame_gui.widgets.code_table import CodeTable
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.parts import button, column, label, row


class CacheSource(QWidget):
    """source_wanted(SourceQuestion), map_wanted(name), code_wanted: as SourceView; open_source(file, line).
    figure_chosen(key): another figure is to stand beside the lines. find_wanted: the user wants to search.
    """

    source_wanted = Signal(object)
    code_wanted = Signal(object)
    map_wanted = Signal(str)
    open_source = Signal(str, int)
    figure_chosen = Signal(str)
    find_wanted = Signal()

    def __init__(self, table: CostTable, figures: Sequence[CostFigure], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._table, self._figures = table, {figure.key: figure for figure in figures}
        self._latest = tasks.Latest(self)
        self._question: SourceQuestion | None = None
        self._costs: FileCosts | None = None
        self._wanted: tuple[str, int, str] = ("", NONE, "")
        self._module = ""
        self.answered = False
        """Whether there is somebody who answers what it asks."""
        self.lines = CacheLines(self)
        self.code = CodeTable(self.lines)
        self.code.setAccessibleName("Source with costs")
        self.figure = QComboBox()
        self.figure.setToolTip("What stands beside each line, and colours it.")
        self.figure.setAccessibleName("Beside each line")
        self.figure.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.figure.setMinimumContentsLength(14)
        for figure in figures:
            self.figure.addItem(plain.caption(figure.title), figure.key)
        self.files = QComboBox()
        self.files.setToolTip("The files whose code is in the function: its own, and those that it was inlined from.")
        self.files.setAccessibleName("File")
        self.files.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.files.setMinimumContentsLength(14)
        self._arrange()
        self.figure.activated.connect(lambda at: self.figure_chosen.emit(self.figure.itemData(at)))
        self.files.activated.connect(lambda at: self._show_file(self.files.itemData(at), NONE, self._wanted[2]))
        self.code.opened.connect(self._open)
        self.code.menu_requested.connect(self._menu)
        self.code.find_wanted.connect(self.find_wanted)

    @property
    def busy(self) -> bool:
        return self._latest.busy or (self._question is not None and self.answered)

    @property
    def file(self) -> str:
        return self._wanted[0]

    def show_busy(self) -> None:
        self._busy_line.set_busy(self.busy)

    def set_figure(self, key: str) -> None:
        """What stands beside each line; announces nothing."""
        with QSignalBlocker(self.figure):
            self.figure.setCurrentIndex(self.figure.findData(key))
        if key in self._figures:
            self.lines.set_figure(self._figures[key])

    def show_place(self, files: Sequence[str], *, module: str, line: int, function: str) -> None:
        """Shows the first of `files`, at `line` (-1: at its hottest), and offers the others."""
        self._module = module
        with QSignalBlocker(self.files):
            self.files.clear()
            for file in files:
                self.files.addItem(plain.caption(file.rsplit("/", 1)[-1]), file)
                self.files.setItemData(self.files.count() - 1, plain.tip(file), 3)  # Qt.ToolTipRole
        self.files.setVisible(len(files) > 1)
        if not files:
            self.say("No source file", "The result tells no file of this code: build it with debug information (-g).")
            return
        self._show_file(files[0], line, function)

    def say(self, title: str, text: str) -> None:
        """Instead of the lines."""
        self._latest.drop()
        self._question, self._costs = None, None
        self._wanted = ("", NONE, "")
        self._empty.say(title, text)
        self._body.setCurrentIndex(1)

    def ask_again(self) -> None:
        """For the text, after the path map has changed."""
        self._ask_text()

    def take_source(
        self, question: SourceQuestion, found: Found | None, text: SourceText | None, problem: TailflameError | None
    ) -> None:
        """The answer to `source_wanted`."""
        if question is not self._question or self._costs is None:
            return
        self._question = None
        where = str(found.path) if found is not None and found.path is not None else question.name
        self.pane.set_head(where, found.caution if found is not None else "")
        self.pane.set_missing(problem, places=found.looked if problem is not None and found is not None else ())
        self._show_lines(text)

    def _arrange(self) -> None:
        self._busy_line = BusyLine()
        self._latest.busy_changed.connect(lambda _busy: self.show_busy())
        self.pane = CodePane(self.code, icon="file-code", beside=self.files)
        self.pane.offer(
            button(
                "Set path map…",
                lambda: self.map_wanted.emit(self.file),
                tip="Say where the sources are that were built in another place",
            )
        )
        self._empty = EmptyState("file-code", "Nothing is selected", "Select a line of the table: its source is here.")
        self._body = QStackedWidget()
        self._body.addWidget(self.pane)
        self._body.addWidget(self._empty)
        self._body.setCurrentIndex(1)
        head = row(margins=(12, 6, 8, 2), spacing=8)
        head.addWidget(label("Beside each line", "second"))
        head.addWidget(self.figure, 1)
        page = column(spacing=0)
        page.addLayout(head)
        page.addWidget(self._busy_line)
        page.addWidget(self._body, 1)
        self.setLayout(page)
        self.setFocusProxy(self.code)

    def _show_file(self, file: str, line: int, function: str) -> None:
        self._wanted = (file, line, function)
        with QSignalBlocker(self.files):
            self.files.setCurrentIndex(max(self.files.findData(file), 0))
        if self._costs is not None and self._costs.file == file:
            self._body.setCurrentIndex(0)
            self._go()
            return
        table = self._table

        def work(_progress: tasks.Progress) -> FileCosts:
            return file_costs(table, file)

        self._latest.ask(work, self._take_costs, name=f"count lines of {file}", on_error=self._failed)

    def _take_costs(self, costs: FileCosts) -> None:
        self._costs = costs
        self.lines.clear()
        self.pane.set_head(costs.file, "")
        self.pane.set_missing(None)
        self._show_lines(None)
        self._ask_text()

    def _ask_text(self) -> None:
        if self._costs is None:
            return
        self._question = SourceQuestion(self._costs.file, self._module)
        self.show_busy()
        self.source_wanted.emit(self._question)

    def _show_lines(self, text: SourceText | None) -> None:
        assert self._costs is not None
        figure = self._figures.get(self.figure.currentData())
        if figure is None:
            return
        self.lines.set_lines(self._costs, text, figure)
        self.pane.show_table()
        self._body.setCurrentIndex(0)
        self.show_busy()
        self._go()

    def _go(self) -> None:
        _file, line, function = self._wanted
        at = self.lines.row_of_line(line, function) if line > 0 else NONE
        self.code.show_row(at if at >= 0 else self.lines.hottest())

    def _failed(self, error: TailflameError) -> None:
        self.say(error.sentence, error.advice)

    def _open(self, at: int) -> None:
        file, line = self.lines.place(at)
        self.open_source.emit(file, line)

    def _menu(self, at: int, where: QPoint) -> None:
        menu = self.menu_for(at)
        menu.popup(where)

    def menu_for(self, at: int) -> QMenu:
        """What can be done with a line."""
        menu = QMenu(self)
        menu.aboutToHide.connect(menu.deleteLater)
        if at >= 0:
            file, line = self.lines.place(at)
            menu.addAction("Open in the editor", partial(self.open_source.emit, file, line))
            place = f"{file}:{line}" if line > 0 else file
            menu.addAction("Copy place", lambda: QGuiApplication.clipboard().setText(place))
        menu.addAction("Copy lines", self.code.copy)
        return menu
