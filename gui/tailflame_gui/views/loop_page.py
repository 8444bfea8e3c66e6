"""The loop: where one is in it, the checklists, the verdict with every figure, and the history of the goal."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import Qt, Signal, SignalInstance
from PySide6.QtGui import QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QCheckBox, QFrame, QLineEdit, QScrollArea, QSplitter, QStackedLayout, QWidget

from tailflame.analyse.function_facts import HotspotFacts
from tailflame.analyse.verdict import Decision, Mark, Verdict
from tailflame.model import Caution
from tailflame.model.iteration import Iteration
from tailflame.units import count, percent
from tailflame_gui import plain
from tailflame_gui.loop_model import LoopView, Phase, Point, RunningStep, When
from tailflame_gui.models.session_table import RowTable
from tailflame_gui.models.verdict_table import goal_text, iteration_fields, row_fields
from tailflame_gui.views.hotspot_page import HotspotPage
from tailflame_gui.views.loop_steps import LoopSteps
from tailflame_gui.widgets.caution_lines import CautionLines
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.filter_field import FilterField
from tailflame_gui.widgets.goal_chart import GoalChart, GoalPoint
from tailflame_gui.widgets.parts import (
    ElidedLabel,
    Icon,
    button,
    clear,
    column,
    hairline,
    label,
    row,
    set_rank,
)
from tailflame_gui.widgets.row_view import RowView

_SIDE = 300
_DECISIONS = {
    Decision.KEEP: ("circle-check", "good"),
    Decision.REVERT: ("triangle-alert", "bad"),
    Decision.NOTHING: ("equal", "second"),
    Decision.UNDECIDED: ("info", "warn"),
}


class LoopPage(QWidget):
    """shown(); project_wanted(): another project; plan_wanted(): write a plan; plan_opened(): look at it.

    measure_requested(note), stop_requested(); resume_requested(): go on with what was cut short; more_requested(id,
    number): more repetitions of it and of the baseline;
    chosen(id): another measurement; baseline_requested(id); report_wanted(id); bundle_wanted(id);
    opened(session's id), opened_at(session's id, function); figure_opened(Row): the result that it is from;
    hotspot_chosen(function); ticked(point's key, on); failed(TailflameError);
    open_source(file, line), source_view_made(SourceView): of the hotspot's page.
    """

    shown = Signal()
    project_wanted = Signal()
    plan_wanted = Signal()
    plan_opened = Signal()
    measure_requested = Signal(str)
    stop_requested = Signal()
    resume_requested = Signal()
    more_requested = Signal(str, int)
    chosen = Signal(str)
    baseline_requested = Signal(str)
    report_wanted = Signal(str)
    bundle_wanted = Signal(str)
    opened = Signal(str)
    opened_at = Signal(str, str)
    figure_opened = Signal(object)
    hotspot_chosen = Signal(str)
    ticked = Signal(str, bool)
    failed = Signal(object)
    open_source = Signal(str, int)
    source_view_made = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.view = LoopView()
        self._running = False
        self._steps: dict[tuple[str, int], RunningStep] = {}
        self._told: list[Caution] = []
        """What is to be known of the measurement that runs."""
        self._hotspot: HotspotPage | None = None
        self._drawn_hotspots: tuple[tuple[str, float], ...] = ()
        self._boxes: dict[str, QCheckBox] = {}
        self._make()
        self._arrange()
        self.measurements.selection_changed.connect(self._measurement_selected)
        self.chart.chosen.connect(self.chosen)
        self.measurements.activated_row.connect(lambda _one: self.figures.setFocus(Qt.FocusReason.OtherFocusReason))
        self.figures.activated_row.connect(self.figure_opened)
        self.filter.query_changed.connect(self.figures.set_words)
        self.filter.left.connect(self.figures.setFocus)
        self.steps.opened.connect(self.opened)
        find = QShortcut(QKeySequence.StandardKey.Find, self)
        find.setContext(Qt.ShortcutContext.WindowShortcut)  # of hidden pages none is active
        find.activated.connect(self._find)
        self.show_view(LoopView())

    # how it is made

    def _make(self) -> None:
        self.project = ElidedLabel("", "second")
        self.choose = button(
            "Choose a project…", self.project_wanted.emit, rank="quiet", icon="folder",
            tip="A cargo project, or a folder with a tailflame.toml.",
        )  # fmt: skip
        # In the place of the page where there is nothing else, and above measurements whose plan is gone.
        self.write_plan, self.write_again = (
            button(
                "Write a plan", self.plan_wanted.emit, rank="primary", icon="file-code",
                tip="A tailflame.toml in the project's folder; nothing else is changed.",
            )
            for _ in range(2)
        )  # fmt: skip
        self.edit_plan = button(
            "Edit the plan", self.plan_opened.emit, rank="quiet", icon="file-code",
            tip="Opens tailflame.toml in your editor.",
        )  # fmt: skip
        self.note = QLineEdit()
        self.note.setPlaceholderText("what was changed")
        self.note.setToolTip("A few words that are kept with the measurement.")
        self.note.setAccessibleName("What was changed")
        self.note.setMaximumWidth(220)
        self.measure = button(
            "Measure",
            lambda: self.measure_requested.emit(self.note.text().strip()),
            rank="primary",
            icon="circle-dot",
            tip="Test, build, and measure everything that the plan names.",
        )
        self.stop = button("Stop", self._stop, icon="square", tip="End it after the step that runs.")
        self.resume = button(
            "Go on", self.resume_requested.emit, icon="rotate-ccw",
            tip="Measure what is missing of the measurement that was cut short.",
        )  # fmt: skip
        self.more = button(
            "", self._more, icon="rotate-ccw",
            tip="Of this one and of the baseline, in turns, each with the program that it was measured with.",
        )  # fmt: skip
        self.verdict_mark = Icon("info", "second")
        self.verdict = label("", "title", wrap=True)
        self.reasons = label("", "second", wrap=True)
        self.cautions = CautionLines()
        self.rows = RowTable(row_fields(), self)
        self.figures = RowView(self.rows, several=False)
        self.figures.setFrameShape(QFrame.Shape.NoFrame)
        self.figures.setAccessibleName("Figures before and after")
        self.filter = FilterField("Filter figures", tip="Words that a figure has to have. Ctrl+F comes here.")
        self.filter.setFixedWidth(200)
        self.iterations: RowTable[Iteration] = RowTable(iteration_fields(""), self)
        self.measurements = RowView(self.iterations, several=False, sortable=False)
        self.measurements.setFrameShape(QFrame.Shape.NoFrame)
        self.measurements.setAccessibleName("Measurements")
        self.chart = GoalChart()
        self.make_baseline = button(
            "Make it the baseline", partial(self._of_shown, self.baseline_requested), rank="quiet", icon="pin"
        )
        self.report = button(
            "Report…", partial(self._of_shown, self.report_wanted), rank="quiet", icon="download",
            tip="One file: HTML, Markdown for a pull request, JSON, or JUnit XML.",
        )  # fmt: skip
        self.bundle = button(
            "Bundle…", partial(self._of_shown, self.bundle_wanted), rank="quiet", icon="package",
            tip="All its results in one file for a colleague.",
        )  # fmt: skip
        self.phases = [label(phase.value, "second") for phase in Phase]
        self.steps = LoopSteps()
        self._hotspots = column(spacing=2)
        self._points = column(spacing=2)
        self.first_choose = button("Choose a project…", self.project_wanted.emit, rank="primary", icon="folder",
                                   tip=self.choose.toolTip())  # fmt: skip
        self.empty = EmptyState("target", "", "", [self.first_choose, self.write_plan])

    def _arrange(self) -> None:
        head = row(margins=(16, 8, 16, 8), spacing=8)
        head.addWidget(label("Loop", "title"))
        head.addWidget(self.project, 1)
        for widget in (self.choose, self.write_again, self.edit_plan, self.note, self.resume, self.stop, self.measure):
            head.addWidget(widget)
        walk = row(margins=(16, 0, 16, 8), spacing=8)
        for at, phase in enumerate(self.phases):
            if at:
                walk.addWidget(Icon("chevron-right", "faint"))
            walk.addWidget(phase)
        walk.addStretch()
        side = QWidget()
        lines = column(margins=(16, 12, 12, 12), spacing=12)
        lines.addWidget(self.steps)
        for box in (self._hotspots, self._points):
            lines.addLayout(box)
        lines.addStretch()
        side.setLayout(lines)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFixedWidth(_SIDE)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidget(side)
        said = row(spacing=8)
        said.addWidget(self.verdict_mark, alignment=Qt.AlignmentFlag.AlignTop)
        words = column(spacing=2)
        words.addWidget(self.verdict)
        words.addWidget(self.reasons)
        words.addWidget(self.more, alignment=Qt.AlignmentFlag.AlignLeft)
        said.addLayout(words, 1)
        said.addWidget(self.filter, alignment=Qt.AlignmentFlag.AlignTop)
        above, below = QWidget(), QWidget()
        lines = column(spacing=4)
        top = column(margins=(16, 12, 16, 4), spacing=4)
        top.addLayout(said)
        top.addWidget(self.cautions)
        lines.addLayout(top)
        lines.addWidget(hairline())
        lines.addWidget(self.figures, 1)
        above.setLayout(lines)
        lines = column(spacing=0)
        bar = row(margins=(16, 6, 16, 6), spacing=4)
        bar.addWidget(label("Measurements", "heading"))
        bar.addStretch()
        for widget in (self.make_baseline, self.report, self.bundle):
            bar.addWidget(widget)
        lines.addLayout(bar)
        both = QSplitter(Qt.Orientation.Horizontal)
        both.addWidget(self.measurements)
        both.addWidget(self.chart)
        both.setSizes([600, 280])
        lines.addWidget(both, 1)
        below.setLayout(lines)
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.addWidget(above)
        splitter.addWidget(below)
        splitter.setChildrenCollapsible(False)
        splitter.setSizes([400, 220])
        across = row(spacing=0)
        across.addWidget(area)
        across.addWidget(hairline(vertical=True))
        across.addWidget(splitter, 1)
        content = QWidget()
        content.setLayout(across)
        body = QWidget()
        self._pages = QStackedLayout()
        self._pages.addWidget(content)
        self._pages.addWidget(self.empty)
        body.setLayout(self._pages)
        page = column(spacing=0)
        page.addLayout(head)
        page.addLayout(walk)
        page.addWidget(hairline())
        page.addWidget(body, 1)
        self.setLayout(page)
        self.setFocusProxy(self.measurements)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.shown.emit()

    # what is shown

    def show_view(self, view: LoopView) -> None:
        """Everything that is known; while a measurement runs its steps stay as they are."""
        self.view = view
        self.project.set_text(view.project)
        has_plan = bool(view.plan)
        lacks_plan = bool(view.project) and not has_plan
        self.write_plan.setVisible(lacks_plan)
        self.write_again.setVisible(lacks_plan and bool(view.iterations))
        self.first_choose.setVisible(not view.project)
        self.choose.setVisible(bool(view.project))
        self.edit_plan.setVisible(has_plan)
        self.note.setVisible(has_plan)
        self._show_phase()
        self._show_running_buttons()
        if not has_plan and not view.iterations and not self._running:
            self._say_empty()
            return
        if not self.on_hotspot:
            self._pages.setCurrentIndex(0)
        if not self._running:
            shown = view.shown
            self._steps = {(s.name, s.repetition): RunningStep(s) for s in shown.steps} if shown is not None else {}
        self._show_steps()
        self._show_hotspots()
        self._show_points()
        self._show_verdict(view.verdict)
        self._show_history()

    def _say_empty(self) -> None:
        view = self.view
        if view.problem:
            self.empty.say(view.problem, view.fix)
        elif not view.project:
            self.empty.say(
                "No project yet",
                "Choose a cargo project. Its plan, tailflame.toml, says what is measured; then one button measures it,"
                " and says whether a change is worth keeping.",
            )
        else:
            self.empty.say("This project has no plan yet", "Tailflame writes one by looking at the cargo project.")
        self._pages.setCurrentIndex(1)

    def _show_phase(self) -> None:
        phase = Phase.MEASURE if self._running else self.view.phase
        for one, words in zip(Phase, self.phases, strict=True):
            set_rank(words, "heading" if one is phase else "second")
            words.setAccessibleDescription("here now" if one is phase else "")

    def _show_running_buttons(self) -> None:
        self.measure.setEnabled(bool(self.view.plan) and not self._running)
        self.measure.setToolTip(
            "A measurement runs."
            if self._running
            else "Test, build, and measure everything that the plan names."
            if self.view.plan
            else "There is no plan here that says what to measure."
        )
        self.stop.setVisible(self._running)
        newest = self.view.iterations[0] if self.view.iterations else None
        cut_short = bool(self.view.plan) and newest is not None and not newest.is_finished
        self.resume.setVisible(cut_short and not self._running)
        self.more.setVisible(self.view.more > 0)
        self.more.setEnabled(not self._running)
        self.more.setText(f"Measure {count(self.view.more)} more of both")
        shown = self.view.shown
        for widget in (self.make_baseline, self.report, self.bundle):
            widget.setEnabled(shown is not None and not self._running)
        is_baseline = shown is not None and shown.id == self.view.baseline
        self.make_baseline.setEnabled(self.make_baseline.isEnabled() and not is_baseline)
        self.make_baseline.setToolTip("This is the baseline." if is_baseline else "Hold later measurements against it.")

    def _show_steps(self) -> None:
        self.steps.show_steps(tuple(self._steps.values()))

    def _show_hotspots(self) -> None:
        if self._drawn_hotspots == self.view.hotspots:
            return
        self._drawn_hotspots = self.view.hotspots
        clear(self._hotspots)
        if not self.view.hotspots:
            return
        self._hotspots.addWidget(label("Top three hotspots", "heading"))
        for name, share in self.view.hotspots:
            line = row(spacing=6)
            made = button(name.rpartition("::")[2] or name, partial(self.hotspot_chosen.emit, name), rank="link",
                          tip=plain.tip(f"{name}: flame graph, callers, source, caches, memory, history"))  # fmt: skip
            line.addWidget(made, 1)
            line.addWidget(label(percent(share), "second", mono=True))
            holder = QWidget()
            holder.setLayout(line)
            self._hotspots.addWidget(holder)

    def _show_points(self) -> None:
        focused = next((key for key, box in self._boxes.items() if box.hasFocus()), "")
        self._boxes = {}
        clear(self._points)
        for when in When:
            points = [point for point in self.view.points if point.when is when]
            if not points:
                continue
            done = sum(point.is_done for point in points)
            if self._points.count():
                self._points.addSpacing(8)
            self._points.addWidget(label(f"{when.value}: {done} of {count(len(points))}", "heading"))
            for point in points:
                self._points.addWidget(self._box(point))
        if focused in self._boxes:  # whoever ticks by keyboard goes on from there
            self._boxes[focused].show()  # what is still hidden takes no focus
            self._boxes[focused].setFocus()

    def _box(self, point: Point) -> QWidget:
        """A box to tick where only its user can know; otherwise a mark that the evidence sets."""
        told = point.evidence or ("Tick it yourself." if point.by_hand else "Nothing shows it yet.")
        tip = plain.tip(f"{point.text}. {told}")
        if point.by_hand:
            box = QCheckBox(point.text)
            box.setChecked(point.is_done)
            box.setEnabled(self.view.shown is not None)
            box.setToolTip(tip)
            box.clicked.connect(lambda on, key=point.key: self.ticked.emit(key, on))
            self._boxes[point.key] = box
            return box
        line = row(spacing=6)
        line.addWidget(Icon(*(("circle-check", "good") if point.is_done else ("circle-small", "faint"))))
        line.addWidget(ElidedLabel(point.text, "" if point.is_done else "second"), 1)
        holder = QWidget()
        holder.setLayout(line)
        holder.setToolTip(tip)
        holder.setAccessibleName(f"{point.text}: {'done' if point.is_done else 'open'}")
        return holder

    def _show_verdict(self, verdict: Verdict | None) -> None:
        view = self.view
        if verdict is None:
            self.verdict_mark.set_icon("info", "second")
            is_baseline = view.shown is not None and view.shown.id == view.baseline
            self.verdict.setText("This is the baseline." if is_baseline else "No verdict yet.")
            self.reasons.setText(
                "Change the code, then measure again: it is held against this."
                if is_baseline
                else "Measure once for the baseline, and once more after the change."
            )
            self.rows.set_rows(())
            self._show_cautions()
            return
        self.verdict_mark.set_icon(*_DECISIONS[verdict.decision])
        self.verdict.setText(verdict.sentence)
        alone = [f"Not measured on both sides: {', '.join(verdict.on_one_side)}."] if verdict.on_one_side else []
        self.reasons.setText("\n".join([*verdict.reasons, *alone]))
        goal = verdict.goal
        rows = [row for row in verdict.rows if row.mark is not Mark.ABSENT and row is not goal]
        self.rows.fields = row_fields(goal.key if goal is not None else "")
        self.rows.set_rows((*((goal,) if goal is not None else ()), *rows))
        self._show_cautions()

    def _show_cautions(self) -> None:
        """Of the measurement that runs, or of what is shown."""
        notes = [Caution(note) for note in self.view.notes]
        self.cautions.set_cautions(tuple(self._told if self._running else notes))

    def _show_history(self) -> None:
        view = self.view
        self.iterations.fields = iteration_fields(view.baseline)
        self.iterations.set_rows(view.iterations)
        shown = view.shown
        if shown is not None and shown in view.iterations:
            at = view.iterations.index(shown)
            if not self.measurements.selected() or self.measurements.selected()[0].id != shown.id:
                self.measurements.select_line(at)
        goal = shown.goal if shown is not None else ""
        same = [one for one in reversed(view.iterations) if one.goal == goal and one.goal_values]
        self.chart.show_points(
            [
                GoalPoint(one.id, f"#{one.number}", one.goal_values, one.decision, one.id == view.baseline)
                for one in same[-40:]
            ],
            title=goal or "No goal was measured yet",
            unit=same[-1].goal_unit if same else "",
            current=shown.id if shown is not None else "",
        )
        self.chart.setAccessibleDescription("; ".join(goal_text(one) for one in same[-5:]))

    def _measurement_selected(self) -> None:
        chosen = self.measurements.selected()
        if chosen and (self.view.shown is None or chosen[0].id != self.view.shown.id):
            self.chosen.emit(chosen[0].id)

    def _of_shown(self, signal: SignalInstance) -> None:
        if self.view.shown is not None:
            signal.emit(self.view.shown.id)

    def _more(self) -> None:
        if self.view.shown is not None and self.view.more:
            self.more_requested.emit(self.view.shown.id, self.view.more)

    def _find(self) -> None:
        if not self.on_hotspot:
            self.filter.setFocus(Qt.FocusReason.ShortcutFocusReason)
            self.filter.selectAll()

    def box_of(self, key: str) -> QCheckBox | None:
        """The box of a point that is ticked by hand."""
        return self._boxes.get(key)

    # a hotspot's page

    @property
    def hotspot(self) -> HotspotPage:
        """Made when it is first asked for."""
        if self._hotspot is None:
            made = self._hotspot = HotspotPage()
            made.back_requested.connect(self.leave_hotspot)
            made.opened.connect(self.opened_at)
            made.chosen.connect(self._hotspot_elsewhere)
            for signal in ("open_source", "source_view_made", "failed"):
                getattr(made, signal).connect(getattr(self, signal))
            self._pages.addWidget(made)
        return self._hotspot

    @property
    def on_hotspot(self) -> bool:
        return self._hotspot is not None and self._pages.currentWidget() is self._hotspot

    def show_hotspot(self, facts: HotspotFacts | str) -> None:
        """Its page; only its name while the rest is being read."""
        page = self.hotspot
        if not isinstance(facts, str):
            if self.on_hotspot:  # its user may have gone back meanwhile
                page.show_facts(facts, baseline=self.view.baseline)
            return
        page.show_waiting(facts)
        self._pages.setCurrentWidget(page)
        self.setFocusProxy(page)
        page.back.setFocus(Qt.FocusReason.OtherFocusReason)

    def leave_hotspot(self) -> None:
        """Back to the loop."""
        if self.on_hotspot:
            self._pages.setCurrentIndex(0)
            self.setFocusProxy(self.measurements)
            self.measurements.setFocus(Qt.FocusReason.OtherFocusReason)

    def _hotspot_elsewhere(self, identity: str) -> None:
        """The same function in another measurement."""
        facts = self.hotspot.facts
        self.chosen.emit(identity)
        if facts is not None:
            self.hotspot_chosen.emit(facts.function)

    # while it runs

    @property
    def running(self) -> bool:
        return self._running

    def begin(self) -> None:
        self._running = True
        self._steps = {}
        self._told = []
        self._show_cautions()
        self._show_phase()
        self.stop.setEnabled(True)
        self.leave_hotspot()
        self._pages.setCurrentIndex(0)
        self._show_running_buttons()
        self._show_steps()

    def show_steps(self, steps: Sequence[RunningStep]) -> None:
        """What became of steps since, at the display's pace."""
        for running in steps:
            self._steps[running.step.name, running.step.repetition] = running
        self._show_steps()

    def tell(self, caution: Caution) -> None:
        """Something to know about the measurement that runs."""
        self._told.append(caution)
        self._show_cautions()

    def _stop(self) -> None:
        self.stop.setEnabled(False)  # the step that runs is ended politely, which takes a moment
        self.stop_requested.emit()

    def end(self, *, measured: bool = True) -> None:
        """measured: the note is kept with it; otherwise it stays, for the next try."""
        self._running = False
        self._show_phase()
        self._show_cautions()
        if measured:
            self.note.clear()
        self._show_running_buttons()
