"""Between the live page and core: what can be chosen, what speaks against it, and the look itself."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtGui import QCursor
from PySide6.QtWidgets import QMenu

from tailflame.analyse.live_data import LiveData, prepared
from tailflame.errors import TailflameError, TargetError
from tailflame.host.binary import binary_facts, check_runnable
from tailflame.host.functions import Function, functions_of
from tailflame.host.privilege import Need, Way, access, means
from tailflame.host.probe_safety import Probed, judge
from tailflame.host.system import probe_host
from tailflame.live.function_probe import series_names
from tailflame.live.tail_rules import TailRule
from tailflame.model import Caution
from tailflame.model.slow_calls import SlowAbove
from tailflame.run import live_sources
from tailflame.run.live_events import SourceWish
from tailflame.run.live_functions import hottest
from tailflame.run.live_session import CONTINUOUS
from tailflame.run.live_sources import SLOW_RATE_HZ
from tailflame.store import binary_key
from tailflame.tools import PERF_RECORD, CallGraph, PerfOptions, Target
from tailflame_gui import live_slices, plain, slices_opening, tail_opening
from tailflame_gui.actions import Actions
from tailflame_gui.controller import Controller
from tailflame_gui.dialogs.files import choose_program
from tailflame_gui.live_model import FunctionRow, Judged, LiveDraft, SourcesDraft
from tailflame_gui.live_rows import RunLine
from tailflame_gui.live_runner import LiveRunner
from tailflame_gui.record_facts import OwnCost
from tailflame_gui.record_model import split
from tailflame_gui.rows import Level, Notice
from tailflame_gui.state import OpenResult, Page
from tailflame_gui.tasks import Latest, Progress
from tailflame_gui.views.live_page import LivePage, Side

_COST_MS = 1000
_LISTED = 200
_PAUSE_MS = 150
_OFFERED = 40
"""Series of one source in the menu."""
_LEAST_RECORDED_S, _MOST_RECORDED_S = 2.0, 60.0


class LiveController(QObject):
    """Lives with its page."""

    def __init__(self, page: LivePage, controller: Controller, runner: LiveRunner, actions: Actions) -> None:
        super().__init__(page)
        self._page = page
        self._setup, self._view = page.setup, page.view
        self._controller = controller
        self._runner = runner
        self._actions = actions
        self._functions: dict[str, Function] = {}
        self._probed: tuple[Probed, ...] = ()
        self._judged = Judged()
        self._wanted: object = None
        self._asking = Latest(self)
        self._cost = OwnCost()
        self._searching, self._judging = Latest(self), Latest(self)
        self._starting, self._comparing, self._costing = Latest(self), Latest(self), Latest(self)
        self._cost_timer = QTimer(self)
        self._cost_timer.setInterval(_COST_MS)
        self._cost_timer.timeout.connect(self._look_at_cost)
        self._off_again = QTimer(self)
        self._off_again.setSingleShot(True)
        self._off_again.timeout.connect(lambda: self._runner.switch("cpu", False))
        self._connect_setup()
        self._connect_view()
        self._connect_runner()
        actions["stop_live"].triggered.connect(self._runner.stop)

    def _connect_setup(self) -> None:
        setup, functions = self._setup, self._setup.sources.functions
        setup.program_changed.connect(self._program_changed)
        setup.changed.connect(self._show_ready)
        setup.start_requested.connect(self.start)
        functions.searched.connect(self._search)
        functions.hottest_wanted.connect(self._choose_hottest)
        functions.chosen_changed.connect(self._judge)

    def _connect_view(self) -> None:
        view = self._view
        view.source_toggled.connect(self._runner.switch)
        view.stop_requested.connect(self._runner.stop)
        view.detach_requested.connect(self._runner.stop)
        view.mark_requested.connect(self._runner.mark)
        view.add_source_requested.connect(self._add_source)
        view.record_range_requested.connect(self._record_moment)
        view.capture_requested.connect(self._open_capture)
        view.flame_range_requested.connect(self._open_range)
        view.compare_ranges_requested.connect(self._compare_ranges)
        view.plots.slices.ranges_changed.connect(self._read_chosen)
        view.failed.connect(self._controller.fail)
        view.set_range_offers(flame="The CPU recording is read when the run is over; its flame graph opens with it.")

    def _connect_runner(self) -> None:
        runner = self._runner
        runner.begun.connect(self._begun)
        runner.moved.connect(self._view.refresh)
        runner.moved.connect(self._offer_flame)
        runner.sources_changed.connect(self._view.set_sources)
        runner.ended.connect(self._ended)

    # Where it leads

    def to_attach(self) -> None:
        """Shows the running processes, from which to choose."""
        if not self._runner.running:
            self._page.show_side(Side.SETUP)
            self._setup.show_attach()
        self._controller.state.set_page(Page.LIVE)

    def to_continuous(self) -> None:
        """The running processes, with the continuous profile asked for; of a run that goes on it is added."""
        if self._runner.running:
            self._profile_continuously()
            self._controller.state.set_page(Page.LIVE)
            return
        self.to_attach()
        self._setup.sources.continuous.box.setChecked(True)

    def offer(self, binary: str, *, arguments: str = "", directory: str = "") -> None:
        """A program to launch, from elsewhere in the window."""
        if not self._runner.running:
            self._setup.show_program(binary, arguments=arguments, directory=directory)

    # Choosing functions

    def _image(self) -> Path | None:
        draft = self._setup.draft
        if draft.launch:
            return _program(draft.binary) if draft.binary else None
        return draft.process.image if draft.process is not None else None

    def _program_changed(self) -> None:
        self._functions = {}
        self._probed = ()
        self._search(self._setup.sources.functions.search.text())

    def _search(self, text: str) -> None:
        image = self._image()
        chooser = self._setup.sources.functions
        if image is None:
            self._searching.drop()
            chooser.show_found((), reason="Choose a program first; its functions are listed here.")
            return

        def look(_progress: Progress) -> tuple[tuple[Function, ...], str]:
            if not image.exists():
                return (), "There is no such program."
            table = functions_of(image)
            found = table.search(text, limit=_LISTED)
            return found, table.reason or ("" if found else "No function has these words in its name.")

        self._searching.ask(look, self._show_found, name="listing the functions", on_error=self._not_found)

    def _show_found(self, answer: tuple[tuple[Function, ...], str]) -> None:
        found, reason = answer
        self._functions |= {function.symbol: function for function in found}
        self._setup.sources.functions.show_found(tuple(map(_row, found)), reason=reason)

    def _not_found(self, error: TailflameError) -> None:
        self._setup.sources.functions.show_found((), reason=str(error))

    def _choose_hottest(self) -> None:
        image, draft = self._image(), self._setup.draft
        binary = draft.binary if draft.launch else str(draft.process.binary or "") if draft.process else ""
        key = binary_key(_program(binary)) if binary else ""
        rows = [row for row in self._controller.state.sessions if key and row.binary_key == key and row.samples]
        if image is None or not rows:
            self._controller.state.notify(
                Notice(
                    Level.NOTE,
                    "There is no CPU profile of this program yet." if image else "Choose a program first.",
                    "Record it once; its hottest functions can then be timed.",
                    key="no profile",
                )
            )
            return

        def look(progress: Progress) -> tuple[Function, ...]:
            recording = self._controller.read_session(rows[0], progress)
            if recording.profile is None:
                raise TargetError(f"{rows[0].title} holds no CPU profile.", advice="Record the program with perf.")
            table = functions_of(image)
            return tuple(f for name in hottest(recording.profile, image) for f in table.match(name)[:1])

        self._searching.ask(look, self._take_functions, name="finding hotspots", on_error=self._controller.fail)

    def _take_functions(self, functions: tuple[Function, ...]) -> None:
        self._functions |= {function.symbol: function for function in functions}
        self._setup.sources.functions.choose(tuple(map(_row, functions)))

    def _judge(self) -> None:
        image, chooser = self._image(), self._setup.sources.functions
        functions = [self._functions[row.symbol] for row in chooser.chosen if row.symbol in self._functions]
        if image is None or not functions:
            self._judging.drop()
            self._probed = ()
            self._show_judged(Judged())
            return
        accepted = chooser.accepted
        process = self._setup.draft.process

        def look(_progress: Progress) -> tuple[tuple[Probed, ...], Judged]:
            verdict = judge(
                image, functions, accepted_unwinding=accepted, pid=process.pid if process is not None else None
            )
            said = Judged(verdict.refusal, verdict.advice, verdict.may_accept, verdict.cautions)
            return (verdict.probed if verdict.allowed else ()), said

        def answer(found: tuple[tuple[Probed, ...], Judged]) -> None:
            self._probed = found[0]
            self._show_judged(found[1])

        def failed(error: TailflameError) -> None:
            self._probed = ()
            self._show_judged(Judged(error.sentence, error.advice))

        self._judging.ask(look, answer, name="judging the functions", on_error=failed)

    def _show_judged(self, judged: Judged) -> None:
        self._judged = judged
        self._setup.sources.functions.show_judged(judged)
        self._show_ready()

    # Starting

    def _show_ready(self) -> None:
        draft = self._setup.draft
        self._setup.show_ready(blocked=self._obstacle(draft))
        program = draft.binary if draft.launch else draft.process.identity if draft.process else None
        wanted = (program, _needs(draft.sources), draft.sources.slices)
        if wanted != self._wanted:
            self._wanted = wanted
            self._look_at_access(draft)

    def _look_at_access(self, draft: LiveDraft) -> None:
        """What this user may not do to the chosen process, and how it could be permitted."""
        process, needs, slices, image = draft.process, _needs(draft.sources), draft.sources.slices, self._image()
        if image is None or not (slices or (process is not None and needs)):
            self._asking.drop()
            self._setup.cautions.set_cautions(())
            return

        def look(_progress: Progress) -> tuple[Caution, ...]:
            host, has = probe_host(), means()
            found = [access(need, process, host, has) for need in needs] if process is not None else []
            denied = dict.fromkeys(
                Caution(one.sentence, " ".join((one.fix, " ".join(one.fix_argv))).strip())
                for one in found
                if one.way is not Way.AS_IS
            )
            return (*denied, *live_slices.stacks_caution(slices, image, draft.name))

        self._asking.ask(
            look, self._setup.cautions.set_cautions, name="looking at permissions", on_error=self._controller.fail
        )

    def _obstacle(self, draft: LiveDraft) -> str:
        """Why it cannot start; "" where nothing is known against it."""
        sources = draft.sources
        if self._runner.running:
            return "Tailflame looks at a program already: stop or detach first."
        if sources.functions and self._judged.refusal:
            return "The chosen functions may not be probed; the reason stands under them."
        if sources.functions and self._judging.busy:
            return "The chosen functions are being judged."
        if draft.launch and (problem := split(draft.arguments).problem):
            return f"Arguments: {problem}."
        if problem := _tail_problem(sources) or live_slices.problem_of(sources.slices):
            return problem
        if sources.server and not sources.query:
            return "Write the PromQL query."
        if draft.subject and not _wishes(
            sources_of(draft, self._probed, None, Target(Path(draft.binary)) if draft.launch else None)
        ):
            return "Choose at least one source."
        return ""

    def start(self) -> None:
        """Looks at the chosen program, with the chosen sources."""
        draft, probed = self._setup.draft, self._probed
        if not draft.subject or self._obstacle(draft):
            self._show_ready()
            return

        def prepare(_progress: Progress) -> tuple[Target | None, list[SourceWish]]:
            launch = None
            if draft.launch:
                cwd = Path(draft.directory).expanduser() if draft.directory else None
                launch = Target(_program(draft.binary), split(draft.arguments).words, cwd=cwd)
                check_runnable(launch.binary)
            image = launch.binary if launch is not None else draft.process.image if draft.process else None
            sampled = draft.sources.cpu or draft.sources.slow_above or draft.sources.capture_when
            perf = _perf_options(image) if sampled and image is not None else None
            return launch, _wishes(sources_of(draft, probed, perf, launch))

        def go(ready: tuple[Target | None, list[SourceWish]]) -> None:
            launch, wishes = ready
            process = draft.process
            if launch is not None:
                self._runner.start(wishes, launch=launch, argv=launch.argv)
            elif process is not None:
                self._runner.start(wishes, attach=process.pid, binary=process.binary, argv=process.command)

        self._starting.ask(prepare, go, name="getting ready", on_error=self._controller.fail)

    # While it runs

    def _open_capture(self, name: str) -> None:
        folder = self._runner.folder
        if folder is not None:
            tail_opening.open_capture(self._controller, folder, name)

    def _begun(self) -> None:
        draft = self._setup.draft
        self._actions["stop_live"].setEnabled(True)
        self._view.show_data(self._runner.data)
        self._view.choose_series(series_names(self._probed) if draft.sources.functions else ())
        self._tell_run("")
        self._page.show_side(Side.RUN)
        self._controller.state.set_page(Page.LIVE)
        self._cost_timer.start()
        self._show_baseline(draft)

    def _tell_run(self, cost: str) -> None:
        draft = self._setup.draft
        how = "launched" if draft.launch else "attached"
        pid = f"pid {self._runner.pid}, " if self._runner.pid else ""
        command = f"{draft.binary} {draft.arguments}" if draft.launch else ""
        if draft.process is not None:
            command = draft.process.command_line
        self._view.set_head(RunLine(draft.subject, f"{pid}{how}  {command}", attached=not draft.launch, cost=cost))

    def _look_at_cost(self) -> None:
        now = time.monotonic()
        self._costing.ask(
            lambda _progress: self._cost.look(now),
            self._tell_run,
            name="looking at our own cost",
            on_error=self._controller.fail,
        )

    def _show_baseline(self, draft: LiveDraft) -> None:
        binary = draft.binary if draft.launch else str(draft.process.binary or "") if draft.process else ""
        key = binary_key(_program(binary)) if binary else ""
        sessions = self._controller.state.sessions
        row = next((row for row in sessions if key and row.baseline and row.binary_key == key), None)
        self._view.set_baseline(None)
        if row is None:
            return

        def look(progress: Progress) -> LiveData:
            return prepared(LiveData.of_recording(self._controller.read_session(row, progress)))

        self._comparing.ask(
            look,
            lambda data: self._view.set_baseline(data if data.latency else None),
            name="reading the baseline",
            on_error=self._controller.fail,
        )

    # Adding to a run

    def _add_source(self) -> None:
        """A menu of what could be looked at as well: series that sources have found, then further sources."""
        menu = QMenu(self._view)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.fill_menu(menu)
        menu.popup(QCursor.pos())

    def fill_menu(self, menu: QMenu) -> None:
        titles = {row.name: row.title for row in self._runner.sources}
        for source, names in self._runner.offered.items():
            for series in sorted(names)[:_OFFERED]:
                words = f"{plain.caption(series)}   {titles.get(source, source)}"
                menu.addAction(words, partial(self._runner.follow, source, series))
        menu.addSeparator()
        running = {row.name for row in self._runner.sources if row.on}
        for name, words, add in (
            ("log-file", "A log file…", partial(self._ask_file, "The log file", log_file)),
            ("hdr-log", "An HDR log…", partial(self._ask_file, "The histogram log", live_sources.hdr_log)),
            ("counters", "Counters", lambda: self._runner.add(live_sources.counters())),
            ("process", "Process and threads", lambda: self._runner.add(live_sources.process())),
            ("cpu", "CPU recording", self._record_cpu),
            ("slices", "Continuous profile", self._profile_continuously),
            ("syscalls", "System calls for 5 s", lambda: self._runner.add(live_sources.syscalls())),
        ):
            if name not in running:
                menu.addAction(words, add)

    def _ask_file(self, title: str, wish: Callable[[Path], SourceWish]) -> None:
        choose_program(self._view, title, lambda path: self._runner.add(wish(path)))

    def _record_cpu(self, seconds: float | None = None) -> None:
        """From now on, or for some seconds."""
        draft, image = self._setup.draft, self._image()

        def prepare(_progress: Progress) -> SourceWish:
            return live_sources.cpu(_perf_options(image if image is not None else Path(draft.binary)))

        def go(wish: SourceWish) -> None:
            self._runner.add(wish)
            if seconds is not None:
                self._off_again.start(round(seconds * 1000))
                self._controller.say(f"The CPU is recorded for {seconds:.0f} s.")

        self._starting.ask(prepare, go, name="getting ready", on_error=self._controller.fail)

    def _profile_continuously(self) -> None:
        """From now on, beside the rest; as the form has it."""
        wanted, image, name = self._setup.sources.slices.draft, self._image(), self._setup.draft.name
        if problem := live_slices.problem_of(wanted):
            self._controller.warn(problem, "Its fields are on the page that a look is started from.")
            return

        def prepare(_progress: Progress) -> tuple[SourceWish, tuple[Caution, ...]]:
            return live_sources.continuous(live_slices.options_of(wanted)), live_slices.stacks_caution(
                wanted, image, name
            )

        def go(ready: tuple[SourceWish, tuple[Caution, ...]]) -> None:
            self._runner.add(ready[0])
            for caution in ready[1]:
                self._controller.warn(caution.text, caution.fix)

        self._starting.ask(prepare, go, name="getting ready", on_error=self._controller.fail)

    def _running_strip(self) -> slices_opening.Strip | None:
        """The slices of the run that goes on, or has just ended."""
        folder, data = self._runner.folder, self._runner.data
        if folder is None or not data.slices:
            return None
        return slices_opening.of_folder(folder / CONTINUOUS, self._setup.draft.subject, data.slices, data.zero_s())

    def _open_range(self, start_s: float, end_s: float) -> None:
        strip = self._running_strip()
        if strip is not None:
            slices_opening.open_range(self._controller, strip, start_s, end_s)

    def _compare_ranges(self, before: tuple[float, float], after: tuple[float, float]) -> None:
        strip = self._running_strip()
        if strip is not None:
            slices_opening.compare_ranges(self._controller, strip, before, after)

    def _read_chosen(self) -> None:
        """What is selected and waits for the CPU budget is read: somebody wants to see it."""
        strip = self._view.plots.slices
        waiting = [row for row in (*strip.chosen(strip.first), *strip.chosen(strip.second)) if row.waiting]
        if waiting:
            self._runner.read_slices(max(row.end_s for row in waiting))

    def _offer_flame(self) -> None:
        """Slices are read while the run goes on; a CPU recording is not."""
        if any(not row.waiting for row in self._runner.data.slices):
            self._view.set_range_offers(record=self._view.range_line.reasons["record"], flame="")

    def _record_moment(self, start_s: float, end_s: float) -> None:
        """Records CPU for as long as what was selected."""
        seconds = min(max(end_s - start_s, _LEAST_RECORDED_S), _MOST_RECORDED_S)
        if any(row.name == "cpu" and row.on for row in self._runner.sources):
            self._controller.say("The CPU is being recorded already.")
            return
        self._record_cpu(seconds)

    def _ended(self, sentence: str) -> None:
        self._cost_timer.stop()
        self._off_again.stop()
        self._actions["stop_live"].setEnabled(False)
        self._view.set_finished(sentence)

    def kept(self, _result: OpenResult) -> None:
        """The result is open: the page is free for the next look."""
        self._page.show_side(Side.SETUP)
        self._show_ready()


def _needs(sources: SourcesDraft) -> tuple[Need, ...]:
    """What the tools of these sources do to a process."""
    wanted = {
        Need.PROBE: bool(sources.functions),
        Need.COUNT: sources.counters,
        Need.RECORD: sources.cpu or bool(sources.slow_above or sources.capture_when or sources.slices),
        Need.TRACE: sources.syscalls,
    }
    return tuple(need for need, wished in wanted.items() if wished)


def _tail_problem(sources: SourcesDraft) -> str:
    """What is wrong with the words about slow calls and captures; "" for nothing."""
    try:
        if sources.slow_above:
            SlowAbove.of(sources.slow_above)
        rule = TailRule.of(sources.capture_when) if sources.capture_when else None
    except ValueError as problem:
        return f"{problem}."
    if sources.slow_above and not sources.functions:
        return "Choose the function whose slow calls are to be kept."
    if rule is not None and rule.slow and not sources.slow_above:
        return "A rule of slow calls needs “Keep the slow calls”."
    return ""


def log_file(path: Path) -> SourceWish:
    """A log beside the program's own lines."""
    return replace(live_sources.log_fields(path), name="log-file", title="Log file")


def sources_of(
    draft: LiveDraft, probed: tuple[Probed, ...], perf: PerfOptions | None, launch: Target | None = None
) -> dict[str, SourceWish | None]:
    """A wish for each source that the form asks for. `perf` is how the CPU is recorded, where that is known."""
    sources = draft.sources
    limit = sources.cost_limit_percent
    slow = SlowAbove.of(sources.slow_above) if sources.slow_above and not _tail_problem(sources) else None
    sampled = perf if perf is not None else PerfOptions()
    captures = [TailRule.of(sources.capture_when)] if sources.capture_when and not _tail_problem(sources) else []
    return {
        "probe": live_sources.probe(probed, cost_limit=None if limit is None else limit / 100, slow=slow)
        if sources.functions and probed
        else None,
        "own": live_sources.log_fields() if sources.own_lines else None,
        "log": log_file(Path(sources.log).expanduser().absolute()) if sources.log else None,
        "hlog": live_sources.hdr_log(Path(sources.hlog).expanduser().absolute()) if sources.hlog else None,
        "prometheus": live_sources.prometheus(sources.url) if sources.url else None,
        "query": live_sources.prometheus_query(sources.server, sources.query) if sources.query else None,
        "counters": live_sources.counters() if sources.counters else None,
        "simulated": live_sources.simulated(launch) if sources.simulated and launch is not None else None,
        "process": live_sources.process() if sources.process else None,
        "cpu": live_sources.cpu(replace(sampled, frequency=SLOW_RATE_HZ) if slow is not None else sampled)
        if sources.cpu or slow is not None
        else None,
        "tail": live_sources.tail(captures, sampled) if captures else None,
        "slices": live_sources.continuous(live_slices.options_of(sources.slices))
        if sources.slices and not live_slices.problem_of(sources.slices)
        else None,
        "syscalls": live_sources.syscalls() if sources.syscalls else None,
    }


def _wishes(sources: dict[str, SourceWish | None]) -> list[SourceWish]:
    return [wish for wish in sources.values() if wish is not None]


def _row(function: Function) -> FunctionRow:
    return FunctionRow(function.name, function.symbol, function.size)


def _program(text: str) -> Path:
    """As a shell finds it: a path where it has a slash, else on PATH."""
    found = None if "/" in text else shutil.which(text)
    return Path(found or text).expanduser().absolute()


def _perf_options(image: Path) -> PerfOptions:
    """In a thread. Frame pointers cost least where there are any; DWARF works for every program."""
    options = PERF_RECORD.defaults(probe_host())
    pointers = binary_facts(image).frame_pointers
    return replace(options, call_graph=CallGraph.FRAME_POINTERS if pointers else CallGraph.DWARF)
