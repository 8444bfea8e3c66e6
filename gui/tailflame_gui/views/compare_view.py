"""Two recordings compared: the verdict, two linked flame graphs, the difference of their trees, and the delta table."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import QMenu, QSplitter, QStackedLayout, QWidget

from tailflame.analyse.diff import Comparison, Scale, compare
from tailflame.analyse.heap_events import paired_events
from tailflame.analyse.noise import LEVEL
from tailflame.analyse.reading import cautions
from tailflame.errors import TailflameError
from tailflame.model import Caution, FrameKind, Recording, StackProfile, Weight
from tailflame.units import percent
from tailflame_gui import tasks, theme
from tailflame_gui.models.compared import (
    ComparePicture,
    Drawn,
    SideColors,
    comparison_cautions,
    draw_comparison,
)
from tailflame_gui.models.figures import Measure, measure
from tailflame_gui.models.scope import weight_label, weights_of
from tailflame_gui.selection import Selection
from tailflame_gui.views.delta_view import DeltaView
from tailflame_gui.widgets.busy_line import BusyLine
from tailflame_gui.widgets.caution_lines import CautionLines
from tailflame_gui.widgets.compare_parts import SideCard, padded, pane_toggle, titled
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.fitting_box import FittingBox
from tailflame_gui.widgets.flame_graph import FlameGraph
from tailflame_gui.widgets.flame_search import PatternError
from tailflame_gui.widgets.hatch_key import HatchKey
from tailflame_gui.widgets.late_place import LatePlace
from tailflame_gui.widgets.legend import Legend
from tailflame_gui.widgets.linked_graphs import LinkedGraphs
from tailflame_gui.widgets.parts import ElidedLabel, Icon, button, column, hairline, icon_button, label, row
from tailflame_gui.widgets.search_bar import SearchBar
from tailflame_gui.widgets.segmented import Segmented
from tailflame_gui.widgets.trunk_line import TrunkLine
from tailflame_gui.widgets.verdict_lines import VerdictLines, verdicts_of

_COLORS = (
    (SideColors.CHANGE, "Change", "How each frame changed, callees included"),
    (SideColors.CRATE, "Crate", "By Rust crate or C++ namespace, else by binary"),
    (SideColors.MODULE, "Module", "By the binary or library the code lives in"),
    (SideColors.KIND, "Kind", "By user, kernel, inlined and JIT code"),
)
_INLINES = (
    (None, "Inlined: auto", "Folded where both sides know of inlining, else as each file has them"),
    (True, "Inlined: shown", "Inlined functions are compared by themselves"),
    (False, "Inlined: folded", "Inlined functions count for the function that contains them"),
)


class CompareView(QWidget):
    """choose_requested(): the two sides are to be chosen; open_source(file, line); failed(TailflameError)."""

    choose_requested = Signal()
    open_source = Signal(str, int)
    failed = Signal(object)

    def __init__(
        self,
        before: Recording | None,
        after: Recording | None,
        *,
        selection: Selection | None = None,
        comparison: Comparison | None = None,
        titles: tuple[str, str] = ("", ""),
        commits: tuple[str, str] = ("", ""),
        parent: QWidget | None = None,
    ) -> None:
        """`comparison` of the two, where it was made already; `titles` and `commits` are of before and after."""
        super().__init__(parent)
        self.selection = selection or Selection(self)
        self.comparison: Comparison | None = None
        self.picture: ComparePicture | None = None
        self._delta: DeltaView | None = None
        self._figures: Measure | None = None
        self._pairs: tuple[tuple[str, int, int], ...] = ()
        self._exact = False
        self._sides = (before, after)
        self._titles, self._commits = titles, commits
        self._comparing = tasks.Latest(self)
        self._drawing = tasks.Latest(self)
        self._make()
        self._arrange()
        self._connect()
        self.set_recordings(before, after, comparison=comparison, titles=titles, commits=commits)

    # what others ask

    @property
    def before(self) -> Recording | None:
        return self._sides[0]

    @property
    def after(self) -> Recording | None:
        return self._sides[1]

    @property
    def busy(self) -> bool:
        """True while it compares or draws: what is shown is about to change."""
        return self._comparing.busy or self._drawing.busy or self._table.coming

    @property
    def delta(self) -> DeltaView:
        """The table of changes, made when it is first looked at."""
        if self._delta is None:
            self._delta = DeltaView(selection=self.selection)
            self._delta.opened.connect(self._choose)
            self._delta.chosen.connect(self._choose)
            self._table.hold(self._delta)
            self._fill_table()
        return self._delta

    def set_recordings(
        self,
        before: Recording | None,
        after: Recording | None,
        *,
        comparison: Comparison | None = None,
        titles: tuple[str, str] = ("", ""),
        commits: tuple[str, str] = ("", ""),
    ) -> None:
        """Compares two others; None shows what to do."""
        self._sides, self._titles, self._commits = (before, after), titles, commits
        self.comparison = self.picture = None
        profiles = self._profiles()
        if profiles is None:
            self._say_missing()
            return
        for card, side, title, commit in zip(self.cards, (before, after), titles, commits, strict=True):
            assert side is not None
            card.set_recording(side, title=title, commit=commit)
        self._offer_weights(profiles)
        self._show_cautions()
        self._pages.setCurrentIndex(0)
        if comparison is not None and self._answers(comparison, profiles):
            self._compared(comparison)
        else:
            self._compare()

    def swap(self) -> None:
        """Baseline and candidate change places."""
        before, after = self._sides
        titles, commits = self._titles[::-1], self._commits[::-1]
        self.set_recordings(after, before, titles=(titles[0], titles[1]), commits=(commits[0], commits[1]))

    # how it is made

    def _make(self) -> None:
        self.cards = (SideCard("Baseline"), SideCard("Candidate"))
        self.verdict = VerdictLines()
        self.test = ElidedLabel("", "small")
        self.cautions = CautionLines()
        self.scale: Segmented[Scale] = Segmented(
            [
                (Scale.NORMALISED, "Normalised", "Each side is 100 %: recordings of different length compare well."),
                (Scale.ABSOLUTE, "Absolute", "Sizes as recorded: the longer recording is wider."),
            ]
        )
        self.event_box = FittingBox("activity", "Event that is compared", self)
        self.weight_box = FittingBox("gauge", "What a sample weighs; the test always counts samples", self)
        self.inlines = FittingBox("merge", "Whether inlined functions are compared by themselves", self)
        self.inlines.offer(_INLINES)
        self.colors = FittingBox("palette", "What the colours of the two graphs tell", self)
        self.colors.offer(_COLORS)
        self.colors.choose(SideColors.CRATE)
        self.search = SearchBar(self)
        self.left, self.right, self.union = FlameGraph(self), FlameGraph(self), FlameGraph(self)
        for graph, name in ((self.left, "Baseline"), (self.right, "Candidate"), (self.union, "Difference")):
            graph.setAccessibleName(f"Flame graph: {name.lower()}")
        self.links = LinkedGraphs((self.left, self.right, self.union), self.selection, self)
        self.left_title, self.right_title = ElidedLabel("", "small"), ElidedLabel("", "small")
        self.legend, self.union_legend = Legend(self), Legend(self)
        self._table = LatePlace("Changes", parent=self)
        self._table.turn.connect(lambda _turn: self.delta)
        self.everything = icon_button("maximize", self.links.reset_zoom, tip="Show everything in all graphs (Home)")
        self.back = icon_button("arrow-left", lambda: self.links.last.go_back(), tip="Back (Alt+Left)")
        self.forward = icon_button("arrow-right", lambda: self.links.last.go_forward(), tip="Forward (Alt+Right)")
        self.panes = (
            pane_toggle("columns-2", "Side by side: show or hide (Ctrl+1)"),
            pane_toggle("layers-2", "Difference: show or hide (Ctrl+2)"),
            pane_toggle("table-2", "Table of changes: show or hide (Ctrl+3)"),
        )
        self.busy_line = BusyLine()
        self.empty = EmptyState(
            "git-compare",
            "No baseline to compare with",
            "Choose two results: here they stand side by side, with what changed and what may be noise.",
            [button("Choose two results", self.choose_requested.emit, rank="primary")],
        )

    def _arrange(self) -> None:
        sides = row(spacing=12)
        sides.addWidget(self.cards[0], 1)
        sides.addWidget(icon_button("arrow-right", self.swap, tip="Swap baseline and candidate (Ctrl+Shift+X)"))
        sides.addWidget(self.cards[1], 1)
        head = column(margins=(12, 8, 8, 4), spacing=4)
        head.addLayout(sides)
        head.addWidget(self.verdict)
        why = row(spacing=8)
        why.addWidget(Icon("info", "faint"))
        why.addWidget(self.test, 1)
        head.addLayout(why)
        head.addWidget(self.cautions)
        bar = row(margins=(12, 4, 8, 4), spacing=4)
        bar.addWidget(self.scale)
        bar.addSpacing(4)
        for box in (self.event_box, self.weight_box, self.inlines, self.colors):
            bar.addWidget(box)
        bar.addSpacing(4)
        for walk in (self.back, self.forward, self.everything):
            bar.addWidget(walk)
        bar.addWidget(self.search, 1)
        bar.addSpacing(4)
        for toggle in self.panes:
            bar.addWidget(toggle)

        graphs = QSplitter(Qt.Orientation.Horizontal)
        for title, graph in ((self.left_title, self.left), (self.right_title, self.right)):
            graphs.addWidget(titled(title, graph))
        graphs.setChildrenCollapsible(False)
        self._graphs = QWidget()
        above = column(spacing=0)
        above.addWidget(graphs, 1)
        under = row(margins=(12, 0, 12, 2))
        under.addWidget(self.legend)
        above.addLayout(under)
        self._graphs.setLayout(above)
        self._difference = QWidget()
        union = column(spacing=0)
        union_head = row(margins=(12, 4, 12, 0), spacing=16)
        words = label("Difference of both trees", "heading")
        words.setToolTip("Every call path of either side; a frame is as wide as its larger side, its callees included.")
        union_head.addWidget(words)
        union_head.addWidget(HatchKey("vanished", down=True, tip="In the baseline only"))
        union_head.addWidget(HatchKey("new", down=False, tip="In the candidate only"))
        self.noise = label("≈ within noise", "small")
        self.noise.setToolTip("The inclusive change of the frame may be noise; it is grey besides.")
        union_head.addWidget(self.noise)
        union_head.addWidget(self.union_legend, 1)
        union_head.addWidget(TrunkLine(self.union))
        union.addLayout(union_head)
        union.addWidget(padded(self.union), 1)
        self._difference.setLayout(union)
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        for pane, stretch in ((self._graphs, 4), (self._difference, 3), (self._table, 5)):
            self.splitter.addWidget(pane)
            self.splitter.setStretchFactor(self.splitter.count() - 1, stretch)
        self.splitter.setSizes([190, 150, 270])
        content = QWidget()
        page = column(spacing=0)
        page.addLayout(head)
        page.addWidget(hairline())
        page.addLayout(bar)
        page.addWidget(self.busy_line)
        page.addWidget(self.splitter, 1)
        content.setLayout(page)
        self._pages = QStackedLayout(self)
        self._pages.addWidget(content)
        self._pages.addWidget(self.empty)
        self.setFocusProxy(self._table)

    def _connect(self) -> None:
        self._comparing.busy_changed.connect(self._tell_busy)
        self._drawing.busy_changed.connect(self._tell_busy)
        self.scale.chosen.connect(self._rescale)
        self.colors.currentIndexChanged.connect(lambda _at: self._draw())
        self.event_box.currentIndexChanged.connect(lambda _at: self._event_chosen())
        for box in (self.weight_box, self.inlines):
            box.currentIndexChanged.connect(lambda _at: self._compare())
        self.search.edited.connect(self._search)
        self.search.walked.connect(self.links.next_match)
        self.search.left.connect(lambda: self.links.last.setFocus(Qt.FocusReason.OtherFocusReason))
        for graph in (self.left, self.right, self.union):
            graph.find_requested.connect(self.search.begin)
            graph.search_ended.connect(self.search.end)
            graph.history_changed.connect(self._tell_history)
            graph.copy_requested.connect(partial(self._copy_name, graph))
            graph.menu_requested.connect(partial(self._open_menu, graph))
            graph.window_changed.connect(lambda _x0, _x1: self._tell_matches())
        self.legend.entry_toggled.connect(self._emphasise)
        self.verdict.chosen.connect(self._choose)
        theme.signals.changed.connect(self._draw)
        for pane, toggle in zip((self._graphs, self._difference, self._table), self.panes, strict=True):
            toggle.toggled.connect(pane.setVisible)
        for at, toggle in enumerate(self.panes):
            self._shortcut(f"Ctrl+{at + 1}").activated.connect(toggle.click)
        self._shortcut("Ctrl+Shift+X").activated.connect(self.swap)
        self._tell_history()

    def _shortcut(self, keys: str) -> QShortcut:
        shortcut = QShortcut(QKeySequence(keys), self)
        shortcut.setContext(Qt.ShortcutContext.WindowShortcut)  # of hidden tabs none is active
        return shortcut

    # comparing and drawing

    def _profiles(self) -> tuple[StackProfile, StackProfile] | None:
        before, after = (side.profile if side is not None else None for side in self._sides)
        return (before, after) if before is not None and after is not None else None

    def _say_missing(self) -> None:
        before, after = self._sides
        if before is None or after is None:
            self.empty.say(
                "No baseline to compare with" if before is None else "Nothing to compare with the baseline",
                "Choose two results: here they stand side by side, with what changed and what may be noise.",
            )
        else:
            without = before if before.profile is None else after
            self.empty.say("No call stacks to compare", f"{without.source} holds none.")
        self._pages.setCurrentIndex(1)

    def _offer_weights(self, profiles: tuple[StackProfile, StackProfile]) -> None:
        """Events that both sides have; where they share none, the first of each."""
        one, other = self._sides
        assert one is not None and other is not None
        self._pairs = paired_events(one, other)
        self.event_box.offer([(name, name, "") for name, _before, _after in self._pairs])
        self.event_box.setVisible(len(self._pairs) > 1)
        # Where neither side knows of inlining there is nothing to choose.
        self.inlines.setVisible(any((p.frames.kind == FrameKind.INLINED).any() for p in profiles))
        self._offer_weights_of(profiles)

    def _offer_weights_of(self, profiles: tuple[StackProfile, StackProfile]) -> None:
        (before, after), (b, a) = profiles, self._events(profiles)
        same = before.events[b].unit is after.events[a].unit
        weights = [w for w in weights_of(before, b) if w in weights_of(after, a) and (same or w is Weight.SAMPLES)]
        self.weight_box.offer([(w, weight_label(before, b, w).capitalize(), "") for w in weights])
        self.weight_box.setVisible(len(weights) > 1)

    def _events(self, profiles: tuple[StackProfile, StackProfile]) -> tuple[int, int]:
        name = self.event_box.currentData()
        return next(((b, a) for known, b, a in self._pairs if known == name), (0, 0))

    def _answers(self, comparison: Comparison, profiles: tuple[StackProfile, StackProfile]) -> bool:
        """Whether a comparison is of the events and the weight that are chosen."""
        b, a = self._events(profiles)
        weight: Weight = self.weight_box.currentData() or Weight.SAMPLES
        asked = ((b, weight), (a, weight))
        return asked == tuple(
            (side.options.event, side.options.weight) for side in (comparison.before, comparison.after)
        )

    def _event_chosen(self) -> None:
        profiles = self._profiles()
        if profiles is not None:
            self._offer_weights_of(profiles)
            self._compare()

    def _compare(self) -> None:
        profiles = self._profiles()
        if profiles is None:
            return
        (before, after), (b, a) = profiles, self._events(profiles)
        weight: Weight = self.weight_box.currentData() or Weight.SAMPLES
        inlines: bool | None = self.inlines.currentData()

        def work(_progress: tasks.Progress) -> Comparison:
            return compare(before, after, event_before=b, event_after=a, weight=weight, inlines=inlines)

        self._comparing.ask(work, self._compared, name="compare two profiles", on_error=self._failed)

    def _compared(self, comparison: Comparison) -> None:
        self.comparison = comparison
        self.verdict.set_verdicts(verdicts_of(comparison))
        if self._exact is not comparison.exact:
            # What was counted is compared as it is; what was sampled, as shares.
            self._exact = comparison.exact
            self.scale.choose(comparison.natural_scale)
        level = percent(LEVEL, digits=0)
        beyond = "" if comparison.exact else f"Beyond noise: marked at a family-wise level of {level}. "
        self.noise.setVisible(not comparison.exact)
        self.test.set_text(f"{beyond}{comparison.test}")
        self.test.setToolTip(comparison.test)
        profiles = self._profiles()
        assert profiles is not None
        b, _a = self._events(profiles)
        largest = max(comparison.before.total, comparison.after.total)
        figures = measure(comparison.tree.unit, largest=largest, noun=profiles[0].events[b].name)
        self._figures = replace(figures, exact=comparison.exact)
        self._fill_table()
        self._draw()

    def _fill_table(self) -> None:
        if self._delta is not None and self.comparison is not None and self._figures is not None:
            self._delta.set_comparison(self.comparison, scale=self.scale.choice, measure=self._figures)

    def _rescale(self, scale: Scale) -> None:
        if self._delta is not None:
            self._delta.set_scale(scale)
        self._draw()

    def _draw(self) -> None:
        comparison = self.comparison
        if comparison is None:
            return
        scale, tokens = self.scale.choice, theme.current()
        colors = SideColors(self.colors.currentData())

        def work(_progress: tasks.Progress) -> ComparePicture:
            return draw_comparison(comparison, scale=scale, side_colors=colors, tokens=tokens)

        self._drawing.ask(work, self._show, name="draw the comparison", on_error=self._failed)

    def _show(self, picture: ComparePicture) -> None:
        old, self.picture = self.picture, picture
        # Other colours of the same boxes: what is in view stays where it is.
        recolored = old is not None and old.scale is picture.scale and old.comparison is picture.comparison
        drawn: tuple[tuple[FlameGraph, Drawn], ...] = (
            (self.left, picture.before),
            (self.right, picture.after),
            (self.union, picture.union),
        )
        for graph, one in drawn:
            if recolored:
                graph.set_colors(one.colors, boxes=one.boxes)
                continue
            graph.set_scene(one.scene, boxes=one.boxes)
            if self.selection.function:
                graph.select_function(self.selection.function)
        if not recolored:
            self.links.show_branches()
        for card, title, one in zip(
            self.cards, (self.left_title, self.right_title), (picture.before, picture.after), strict=True
        ):
            whole = "  =  100 %" if picture.scale is Scale.NORMALISED else ""
            title.set_text(f"{card.word}  ·  {one.scene.total}{whole}")
        self.legend.set_colors(picture.before.colors)
        self.union_legend.set_colors(picture.union.colors)
        if self.search.pattern and not recolored:
            self._search(self.search.pattern, self.search.ignore_case)

    def _failed(self, error: TailflameError) -> None:
        self.empty.say(error.sentence, error.advice)
        self._pages.setCurrentIndex(1)
        self.failed.emit(error)

    # parts that answer each other

    def _show_cautions(self) -> None:
        before, after = self._sides
        assert before is not None and after is not None
        lines = list(comparison_cautions(before, after))
        profiles = self._profiles()
        if profiles is not None and not self.event_box.count():
            b, a = (profile.events[0].name for profile in profiles)
            lines.append(Caution(f"Different events: {b} before, {a} after.", "Only samples are compared."))
        for word, side in (("Baseline", before), ("Candidate", after)):
            lines += [Caution(f"{word}: {c.text}", c.fix) for c in cautions(side)]
        self.cautions.set_cautions(lines)

    def _tell_busy(self) -> None:
        self.busy_line.set_busy(self.busy)

    def _tell_history(self) -> None:
        camera = self.links.last.camera
        self.back.setEnabled(camera.can_go_back)
        self.forward.setEnabled(camera.can_go_forward)

    def _search(self, pattern: str, ignore_case: bool) -> None:
        try:
            self.links.set_search(pattern, ignore_case=ignore_case)
        except PatternError as error:
            self.links.set_search("", ignore_case=ignore_case)
            self.search.tell("invalid", str(error), matches=0, bad=True)
            return
        self._tell_matches()

    def _tell_matches(self) -> None:
        found = (self.left.matches, self.right.matches)
        if found[0] is None or found[1] is None:
            if not self.search.pattern:
                self.search.tell("", "", matches=0)
            return
        before, after = (matches.share() for matches in found if matches is not None)
        self.search.tell(
            f"{before * 100:.1f}% → {after * 100:.1f}%",
            "Share of the width under a match, before and after. N and M walk through the matches of one graph.",
            matches=len(found[0]) + len(found[1]),
        )

    def _emphasise(self, index: int) -> None:
        for graph in (self.left, self.right):
            graph.emphasise_color(index)

    def _open_menu(self, graph: FlameGraph, box: int, where: QPoint) -> None:
        if box >= 0:
            menu = self.menu_for(graph, box)
            menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            menu.popup(where)

    def menu_for(self, graph: FlameGraph, box: int) -> QMenu:
        """What can be done with a frame of one of the graphs."""
        scene = graph.scene
        assert scene is not None
        facts, stack = scene.facts(scene.node(box)), ";".join(scene.names_to(box))
        menu = QMenu(self)
        menu.addAction("Copy name", partial(self._copy_name, graph, box))
        menu.addAction("Copy stack", lambda: QGuiApplication.clipboard().setText(stack))
        source = menu.addAction("Open source", partial(self.open_source.emit, facts.file, facts.line))
        source.setEnabled(bool(facts.file))
        menu.addSeparator()
        menu.addAction("Zoom to this frame in all graphs", partial(graph.zoom_to_box, box))
        menu.addAction("Show in the table", partial(self._show_in_table, scene.name(box)))
        return menu

    def _copy_name(self, graph: FlameGraph, box: int) -> None:
        if graph.scene is not None and box >= 0:
            QGuiApplication.clipboard().setText(graph.scene.name(box))

    def _show_in_table(self, function: str) -> None:
        self.panes[2].setChecked(True)
        self.delta.show_function(function)

    def _choose(self, function: str) -> None:
        """Selects a function and brings it into view in every graph."""
        self.selection.select(function)
        self.links.show_function(function)
