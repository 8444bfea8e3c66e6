"""Source and assembly of the selected function, each line beside what it costs; both sides follow each other."""

from __future__ import annotations

from functools import partial

import numpy as np
from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import QComboBox, QMenu, QSplitter, QStackedWidget, QWidget

from tailflame.analyse.annotate import (
    CodePlace,
    InstructionCosts,
    InstructionLines,
    instruction_costs,
)
from tailflame.analyse.names import module_label, short
from tailflame.errors import TailflameError
from tailflame.host.disassembly import CodeRange, FunctionCode
from tailflame.host.source_files import Found, SourceText
from tailflame.model.stacks import NONE
from tailflame_gui import tasks
from tailflame_gui.models.assembly_lines import AssemblyLines
from tailflame_gui.models.figures import share_text
from tailflame_gui.models.scope import ResultScope
from tailflame_gui.models.source_figures import CodeQuestion, Of, SourceFigures, SourceQuestion, figures_of
from tailflame_gui.models.source_lines import SourceLines
from tailflame_gui.models.trees import ProfileTrees
from tailflame_gui.selection import Selection
from tailflame_gui.trail import Trail
from tailflame_gui.widgets.busy_line import BusyLine
from tailflame_gui.widgets.code_pane import CodePane
from tailflame_gui.widgets.code_table import CodeTable
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.everything_button import EverythingButton
from tailflame_gui.widgets.flame_search import PatternError
from tailflame_gui.widgets.parts import button, column
from tailflame_gui.widgets.source_bar import SourceBar

_OTHER_FILES = 24
"""Files that inlined lines are read from: the rest shows names alone."""
_PLACES = 50
"""Places of a function's code that there are to choose, the heaviest."""
_NO_LINES = (
    "The result tells no source lines of this function. Build it with debug information: [profile.release] debug = true"
    " in Cargo.toml, or -g."
)


class SourceView(QWidget):
    """Asks for what is not in the profile, and is told by the `take_` methods; an answer to an old question is dropped.

    source_wanted(SourceQuestion); code_wanted(CodeQuestion); map_wanted(name of a source): the user wants to say where
    sources are; open_source(file, line); show_flame(function), show_callers(function).
    """

    source_wanted = Signal(object)
    code_wanted = Signal(object)
    map_wanted = Signal(str)
    open_source = Signal(str, int)
    show_flame = Signal(str)
    show_callers = Signal(str)

    def __init__(self, *, selection: Selection, scope: ResultScope, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._selection, self._scope = selection, scope
        self._trees: ProfileTrees | None = None
        self._stale = False
        self._latest = tasks.Latest(self)
        self._costing = tasks.Latest(self)
        self._trail = Trail()
        self._figures: SourceFigures | None = None
        self.answered = False
        """Whether there is somebody who answers what it asks."""
        self._source_question: SourceQuestion | None = None
        self._others: set[SourceQuestion] = set()
        self._code_question: CodeQuestion | None = None
        self._code: FunctionCode | None = None
        self._places: tuple[InstructionLines | None, str] | None = None
        self.lines = SourceLines(self)
        self.source = CodeTable(self.lines)
        self.source.setAccessibleName("Source")
        self.instructions = AssemblyLines(self)
        self.assembly = CodeTable(self.instructions)
        self.assembly.setAccessibleName("Assembly")
        self.bar = SourceBar()
        self.symbols = QComboBox()
        self.symbols.setToolTip("The function has code in several places.")
        self.symbols.setAccessibleName("Code")
        self.symbols.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.symbols.setMinimumContentsLength(18)
        self._arrange()
        self._connect()
        self._body.setCurrentIndex(1)
        self._tell_history()

    # what others ask

    @property
    def function(self) -> str:
        return self._trail.shown

    @property
    def busy(self) -> bool:
        waits = self._source_question is not None or self._asks_code
        return self._latest.busy or self._costing.busy or (waits and self.answered)

    def set_trees(self, trees: ProfileTrees) -> None:
        self._trees = trees
        if not self._trail.shown:
            self._trail.shown = self._selection.function  # selected before this view was made
        self._ask()

    def show_busy(self) -> None:
        """The line below the bar moves while anything is missing that is to come."""
        self._busy_line.set_busy(self.busy)

    def ask_again(self) -> None:
        """For the source, after the path map has changed."""
        self.lines.clear()
        self._figures = None
        self._ask()

    def take_source(
        self, question: SourceQuestion, found: Found | None, text: SourceText | None, problem: TailflameError | None
    ) -> None:
        """The answer to `source_wanted`."""
        if question in self._others:
            self._others.discard(question)
            if text is not None:
                self.lines.set_other_text(question.name, text)
            elif problem is not None and not self.source_pane.note.isVisible():
                self.source_pane.set_note(f"Some inlined lines have no text: {problem.advice}", tip=problem.details)
            return
        figures = self._figures
        if question is not self._source_question or figures is None or figures.costs is None:
            return
        self._source_question = None
        self.lines.set_lines(figures.costs, text)
        where = str(found.path) if found is not None and found.path is not None else question.name
        self.source_pane.set_head(where, found.caution if found is not None else "")
        if problem is None:
            self.source_pane.set_missing(None)
        else:
            self.source_pane.set_missing(problem, places=found.looked if found is not None else ())
        self.source_pane.show_table()
        self._show_hottest()
        self._ask_others(figures)

    def take_code(self, question: CodeQuestion, code: FunctionCode | None, problem: TailflameError | None) -> None:
        """The answer to `code_wanted`, the instructions first."""
        if question is not self._code_question:
            return
        self._asks_code = False
        if code is None or problem is not None:
            sentence = problem or TailflameError("The code cannot be shown.")
            self.assembly_pane.say(sentence.sentence, sentence.advice, details=sentence.details)
            return
        self._code = code
        self._fill_symbols(code)
        self._weigh(question.place, code)

    def take_lines(self, question: CodeQuestion, lines: InstructionLines | None, why: str) -> None:
        """Where the instructions of the last code were written; None, and why, where nobody knows."""
        if question is self._code_question:
            self._places = lines, why
            self._link()

    def _link(self) -> None:
        """Both sides know each other once the instructions stand and their lines are known."""
        shown = self._code is not None and self.instructions.code is self._code.disassembly
        if not shown or self._places is None:
            return
        lines, why = self._places
        self.instructions.set_lines(lines)
        self.assembly_pane.set_note(why)
        self._follow_source(self.source.row)

    # how it is made

    def _arrange(self) -> None:
        busy = BusyLine()
        self._busy_line = busy
        self._latest.busy_changed.connect(lambda _busy: self.show_busy())
        self.source_pane = CodePane(self.source, icon="file-code")
        self.assembly_pane = CodePane(self.assembly, icon="binary", beside=self.symbols)
        self.set_map = button(
            "Set path map…",
            lambda: self.map_wanted.emit(self.lines.file),
            tip="Say where the sources are that were built in another place",
        )
        self.source_pane.offer(self.set_map)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.addWidget(self.source_pane)
        self.splitter.addWidget(self.assembly_pane)
        self.splitter.setStretchFactor(0, 1)
        self.splitter.setStretchFactor(1, 1)
        self.splitter.setChildrenCollapsible(False)
        self._empty = EmptyState(
            "file-code",
            "No function is selected",
            "Select one anywhere: its source and its instructions stand here.",
            (EverythingButton(self._scope),),
        )
        self._body = QStackedWidget()
        self._body.addWidget(self.splitter)
        self._body.addWidget(self._empty)
        page = column(spacing=0)
        page.addWidget(self.bar)
        page.addWidget(busy)
        page.addWidget(self._body, 1)
        self.setLayout(page)
        self.setFocusProxy(self.source)

    def _connect(self) -> None:
        self._asks_code = False
        self.bar.back_wanted.connect(self.go_back)
        self.bar.forward_wanted.connect(self.go_forward)
        self.bar.of.chosen.connect(lambda _of: self._ask())
        self.source.row_changed.connect(self._follow_source)
        self.assembly.row_changed.connect(self._follow_assembly)
        for table, model in ((self.source, self.lines), (self.assembly, self.instructions)):
            table.opened.connect(partial(self._open, model))
            table.find_wanted.connect(self._find)
            table.menu_requested.connect(partial(self._menu, table))
            table.hovered.connect(partial(self._hovered, model))
        self.source.followed.connect(self._follow_inlined)
        self.source.fold_wanted.connect(lambda at, unfold: self.lines.toggle(at, unfold=unfold))
        self.assembly.followed.connect(self._follow_jump)
        self.symbols.activated.connect(self._choose_symbol)
        self.bar.search.query_changed.connect(self._searched)
        self.bar.search.stepped.connect(self._step)
        self.bar.search.left.connect(self.source.setFocus)
        self._selection.changed.connect(self._follow)
        self._scope.changed.connect(lambda _scope: self._ask())
        for keys, act in (
            ("Alt+Left", self.go_back),
            ("Alt+Right", self.go_forward),
            ("Ctrl+F", self._find),
            ("Ctrl+Return", self._open_current),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WindowShortcut)  # of hidden tabs none is active
            shortcut.activated.connect(act)

    # which function

    def go_back(self) -> None:
        if self._trail.back():
            self._travel()

    def go_forward(self) -> None:
        if self._trail.forward():
            self._travel()

    def _travel(self) -> None:
        self._tell_history()
        self._selection.select(self._trail.shown)
        self._ask()

    def _follow(self, function: str) -> None:
        if self._trail.to(function):
            self._tell_history()
            self._ask()

    def _tell_history(self) -> None:
        self.bar.back.setEnabled(self._trail.leads_back)
        self.bar.forward.setEnabled(self._trail.leads_on)

    def showEvent(self, event: object) -> None:
        if self._stale:
            self._ask()

    # what it costs

    def _ask(self) -> None:
        """The lines are counted when they are looked at, not before."""
        self._stale = True
        trees, scope, function, of = self._trees, self._scope.scope, self._trail.shown, self.bar.of.choice
        if trees is None or not self.isVisible() or not function:
            return
        self._stale = False

        def work(_progress: tasks.Progress) -> SourceFigures:
            return figures_of(trees, scope, function, of)

        self._latest.ask(work, self._show, name="count lines", on_error=self._failed)

    def _show(self, figures: SourceFigures) -> None:
        assert self._trees is not None
        before = self._figures
        self._figures = figures
        self._tell_figures(figures)
        if not figures.occurs:
            self._empty.say(
                "Not in these samples", f"{figures.function} does not occur in the samples that are chosen."
            )
            self._body.setCurrentIndex(1)
            return
        self._body.setCurrentIndex(0)
        self._ask_source(figures, before)
        self._ask_code(figures)

    def _tell_figures(self, figures: SourceFigures) -> None:
        self.bar.name.set_text(figures.function)
        tree = figures.tree
        own = sum(place.total for place in figures.places)
        costs = figures.costs
        if costs is not None and self.bar.of.choice is Of.FUNCTION:
            own, total = costs.whole_own, costs.whole
            words = [f"self {share_text(own / (tree.total or 1.0), tree.total_samples) or '0'}%"]
            words.append(f"total {share_text(total / (tree.total or 1.0), tree.total_samples) or '0'}%")
            self.bar.figures.setText("  ".join(words))
        else:
            self.bar.figures.setText(f"self {share_text(own / (tree.total or 1.0), tree.total_samples) or '0'}%")

    def _ask_source(self, figures: SourceFigures, before: SourceFigures | None) -> None:
        if figures.costs is None:
            self._source_question = None
            self.lines.clear()
            self.source_pane.say("No source lines", _NO_LINES)
            return
        if before is not None and before.costs is not None and before.costs.file == figures.costs.file:
            held = self.lines.source_text
            if held is not None:  # the same file, counted anew
                line = self.lines.line_at(self.source.row) if before.function == figures.function else NONE
                self.lines.set_lines(figures.costs, held)
                self._show_hottest(line)
                self._ask_others(figures)
                return
        self.lines.clear()
        self._source_question = SourceQuestion(figures.costs.file, figures.module)
        self.source_pane.set_head(figures.costs.file, "")
        self.source_wanted.emit(self._source_question)

    def _ask_others(self, figures: SourceFigures) -> None:
        for name in self.lines.other_files()[:_OTHER_FILES]:
            question = SourceQuestion(name, figures.module, other=True)
            self._others.add(question)
            self.source_wanted.emit(question)

    def _ask_code(self, figures: SourceFigures, at: int = 0, symbol: CodeRange | None = None) -> None:
        self._code_question = None
        self._code = self._places = None
        self.instructions.clear()
        self.symbols.setVisible(False)
        if not figures.places:
            self._asks_code = False
            self.assembly_pane.say(*self._why_no_code(figures))
            return
        place = figures.places[at]
        self.assembly_pane.show_table()
        self.assembly_pane.set_head(self._head_of(place, place.name), "")
        self._code_question = CodeQuestion(place, symbol)
        self._asks_code = True
        self.code_wanted.emit(self._code_question)

    def _why_no_code(self, figures: SourceFigures) -> tuple[str, str]:
        assert self._trees is not None
        if self._trees.profile.sites is None:
            return (
                "No addresses in this file",
                "This format keeps the names of functions and not the addresses of samples. Open the perf.data itself.",
            )
        return (
            "No sample in its own code",
            f"{short(figures.function)} was on the stack only as a caller: no instruction of its own was sampled.",
        )

    def _weigh(self, place: CodePlace, code: FunctionCode) -> None:
        figures, trees, of = self._figures, self._trees, self.bar.of.choice
        if figures is None or trees is None:
            return
        symbol, tree = code.disassembly.symbol, figures.tree

        def work(_progress: tasks.Progress) -> InstructionCosts:
            return instruction_costs(
                trees.profile, tree, module=place.module, start=symbol.start, stop=code.disassembly.stop
            )

        def weighed(costs: InstructionCosts) -> None:
            listing = code.disassembly
            weight, samples = costs.on(listing.address, listing.stop)
            whole = costs.total if of is Of.FUNCTION else tree.total
            self.instructions.set_code(listing, weight, samples, whole=whole)
            note = "The end is cut off." if listing.truncated else ""
            caution = " ".join(part for part in (code.caution, note) if part)
            self.assembly_pane.set_head(self._head_of(place, symbol.name or place.name), caution)
            self.assembly_pane.show_table()
            self.assembly.show_row(self.instructions.hottest())
            self._link()

        self._costing.ask(work, weighed, name="count instructions", on_error=self._failed)

    def _head_of(self, place: CodePlace, name: str) -> str:
        """Whose machine code it is: an inlined function has none of its own."""
        word = "inlined into " if place.name != self._trail.shown else ""
        return f"{word}{name}  {module_label(place.module)}"

    def _fill_symbols(self, code: FunctionCode) -> None:
        """What else of the function's code there is to choose."""
        figures, question = self._figures, self._code_question
        if figures is None or question is None:
            return
        choices: list[tuple[str, tuple[int, CodeRange | None]]] = []
        for at, place in enumerate(figures.places[:_PLACES]):
            if place is question.place:
                names = [(f"{short(r.name or place.name)} at {r.start:x}", (at, r)) for r in code.ranges[:_PLACES]]
                choices += names
            else:
                choices.append((f"{short(place.name)} in {module_label(place.module)}", (at, None)))
        self.symbols.clear()
        for words, data in choices:
            self.symbols.addItem(words, data)
        start = code.disassembly.symbol.start
        for at, (_words, (_place, symbol)) in enumerate(choices):
            if symbol is not None and symbol.start == start:
                self.symbols.setCurrentIndex(at)
        self.symbols.setVisible(len(choices) > 1)

    def _choose_symbol(self, at: int) -> None:
        if self._figures is not None:
            place, symbol = self.symbols.itemData(at)
            self._ask_code(self._figures, place, symbol)

    def _failed(self, error: TailflameError) -> None:
        self._empty.say(error.sentence, error.advice)
        self._body.setCurrentIndex(1)

    # both sides follow each other

    def _show_hottest(self, line: int = NONE) -> None:
        """Goes to the hottest line, or to `line` where the user was there already."""
        figures = self._figures
        if figures is None or figures.costs is None:
            return
        at = self.lines.row_of(line) if line >= 0 else self.lines.hottest()
        if line < 0 and (at < 0 or self.bar.of.choice is Of.EVERYTHING):
            at = self.lines.row_of(figures.seen[0])
        self.source.show_row(at)
        self._follow_source(at)

    def _follow_source(self, at: int) -> None:
        """A source line is current: its instructions are marked."""
        if at < 0 or not self.lines.size():
            return
        self.lines.set_linked(np.zeros(0, dtype=np.int64))
        rows = self.instructions.rows_of(*self.lines.place(at))
        self.instructions.set_linked(rows)
        heat = self.instructions.heat()
        self.assembly.reveal(sorted(rows.tolist(), key=lambda r: -heat[r]))

    def _follow_assembly(self, at: int) -> None:
        """An instruction is current: the lines that it was compiled from are marked."""
        if at < 0:
            return
        self.instructions.set_linked(np.zeros(0, dtype=np.int64))
        rows = self.lines.rows_of(self.instructions.places(at))
        self.lines.set_linked(np.array(rows, dtype=np.int64))
        self.source.reveal(rows[::-1])

    def _follow_inlined(self, at: int) -> None:
        function = self.lines.function(at)
        if function:
            self._selection.select(function)

    def _follow_jump(self, at: int) -> None:
        """A jump goes to its target, a call to the function that is called."""
        target = self.instructions.target(at)
        if target >= 0:
            self.assembly.go(target)
            return
        callee = self.instructions.function(at)
        if callee and self._figures is not None and callee in self._figures.tree.functions.names:
            self._selection.select(callee)
        elif callee:
            self.bar.found.setText(f"No sample in {short(callee)}")

    def _hovered(self, model: SourceLines | AssemblyLines, at: int) -> None:
        self._selection.hover(model.function(at) if at >= 0 else "")

    # opening, searching, menus

    def _open(self, model: SourceLines | AssemblyLines, at: int) -> None:
        file, line = model.place(at)
        if file:
            self.open_source.emit(file, line)

    def _open_current(self) -> None:
        table, model = (self.assembly, self.instructions) if self.assembly.hasFocus() else (self.source, self.lines)
        if table.row >= 0:
            self._open(model, table.row)

    def _find(self) -> None:
        self.bar.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.bar.search.selectAll()

    def _searched(self, query: str) -> None:
        try:
            hits = self.lines.set_query(query) + self.instructions.set_query(query)
        except PatternError as error:
            self.bar.search.complain(error)
            return
        self.bar.search.complain(None)
        self.bar.found.setText(f"{hits} found" if query else "")

    def _step(self, by: int) -> None:
        table = self.source if len(self.lines.matches()) else self.assembly
        if self.assembly.row >= 0 and not len(self.lines.matches()):
            table = self.assembly
        table.step_match(by)

    def _menu(self, table: CodeTable, at: int, where: QPoint) -> None:
        if at >= 0:
            menu = self.menu_for(table, at)
            menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            menu.popup(where)

    def menu_for(self, table: CodeTable, at: int) -> QMenu:
        """What can be done with a line."""
        model: SourceLines | AssemblyLines = self.lines if table is self.source else self.instructions
        menu = QMenu(self)
        file, line = model.place(at)
        source = menu.addAction("Open in the editor", partial(self.open_source.emit, file, line))
        source.setEnabled(bool(file))
        function = model.function(at)
        if function:
            menu.addAction(f"Go to {short(function)}".replace("&", "&&"), partial(self._selection.select, function))
        menu.addAction("Copy lines", table.copy)
        place = f"{file}:{line}"
        copy = menu.addAction("Copy place", lambda: QGuiApplication.clipboard().setText(place))
        copy.setEnabled(bool(file))
        menu.addSeparator()
        menu.addAction("Show in the flame graph", partial(self.show_flame.emit, self._trail.shown))
        menu.addAction("Callers and callees", partial(self.show_callers.emit, self._trail.shown))
        menu.addSeparator()
        menu.addAction("Set path map…", partial(self.map_wanted.emit, self.lines.file))
        return menu
