"""The flame graph of a profile with everything around it: controls, path, minimap, search, legend and reading.

Model objects in, signals out:

    view = FlameView(selection)
    view.set_profile(recording.profile, title="trading-system, 12:04")
    view.export_requested.connect(...)   # a kind of flame_bar.EXPORTS; see `tree`, `image`
"""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QGuiApplication, QImage, QKeySequence, QResizeEvent, QShortcut
from PySide6.QtWidgets import (
    QBoxLayout,
    QHBoxLayout,
    QLayout,
    QMenu,
    QProgressBar,
    QSizePolicy,
    QSplitter,
    QStackedWidget,
    QToolTip,
    QVBoxLayout,
    QWidget,
)

from tailflame.analyse.layout import Order
from tailflame.analyse.names import module_label
from tailflame.analyse.tree import CallTree, TreeOptions
from tailflame.errors import TailflameError
from tailflame.model import StackProfile, Weight
from tailflame.units import count, percent
from tailflame_gui import plain, theme
from tailflame_gui.export_image import flame_image
from tailflame_gui.models.trees import ProfileTrees
from tailflame_gui.selection import Selection
from tailflame_gui.tasks import Latest
from tailflame_gui.views.filter_chips import FilterChips, cleared
from tailflame_gui.views.flame_bar import FlameBar
from tailflame_gui.views.flame_parts import Actions, add_action, brief, empty_page
from tailflame_gui.views.flame_picture import (
    FlamePicture,
    FlameSettings,
    Query,
    colored,
    draw,
    has_time_order,
    is_large,
)
from tailflame_gui.views.reading_box import ReadingBox
from tailflame_gui.views.reading_panel import ReadingPanel
from tailflame_gui.widgets.breadcrumbs import Breadcrumbs
from tailflame_gui.widgets.flame_colors import FlameColors
from tailflame_gui.widgets.flame_graph import KEYS, FlameGraph, Orientation
from tailflame_gui.widgets.flame_paint import Boxes
from tailflame_gui.widgets.flame_search import Matches, is_pattern, search
from tailflame_gui.widgets.legend import Legend
from tailflame_gui.widgets.minimap import Minimap
from tailflame_gui.widgets.search_bar import SearchBar, tool_button
from tailflame_gui.widgets.trunk_line import TrunkLine

_BESIDE_FROM = 960
"""From this width on the reading stands beside the graph, else below it."""
_PATH_NEEDS, _PATH_WANTS = 500, 720
"""What the path, the way back and the search need beside the choices in one line, and what they can use."""
_MANY_BOXES = 50_000
"""From so many boxes on a search runs in a thread."""


class FlameView(QWidget):
    """open_source(file, line: -1 unknown); show_hotspots(function); show_callers(function);
    export_requested(kind); weight_changed(event, Weight); record_requested, open_requested: from the empty state;
    failed(TailflameError).
    """

    open_source = Signal(str, int)
    show_hotspots = Signal(str)
    show_callers = Signal(str)
    export_requested = Signal(str)
    weight_changed = Signal(int, object)
    record_requested = Signal()
    open_requested = Signal()
    failed = Signal(object)

    def __init__(self, selection: Selection | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.selection = selection or Selection(self)
        self._profile: StackProfile | None = None
        self._trees: ProfileTrees | None = None
        self._title = ""
        self._settings = FlameSettings()
        self._picture: FlamePicture | None = None
        self._split_by_hand = self._choosing = False
        self._drawing = Latest(self)
        self._coloring = Latest(self)
        self._searching = Latest(self)
        self.graph = FlameGraph(self)
        self.bar = FlameBar(self)
        self.chips = FilterChips(self)
        self.crumbs = Breadcrumbs(self)
        self.search = SearchBar(self)
        self.minimap = Minimap(self.graph, self)
        self.legend = Legend(self)
        self.reading = ReadingPanel(self)
        self.reading_box = ReadingBox(self.reading, self)
        self.trunk = TrunkLine(self.graph, self)
        self.back = tool_button("arrow-left", "Back (Alt+Left, Backspace, the mouse's back button)", self)
        self.forward = tool_button("arrow-right", "Forward (Alt+Right, the mouse's forward button)", self)
        self.everything = tool_button("maximize", "Show everything (Home)", self)
        self.busy = QProgressBar(self)
        self.busy.setRange(0, 0)
        self.busy.hide()
        self._arrange()
        self._connect()
        self._show_state()

    # what others ask

    @property
    def profile(self) -> StackProfile | None:
        return self._profile

    @property
    def settings(self) -> FlameSettings:
        return self._settings

    @property
    def options(self) -> TreeOptions:
        return self._settings.options

    @property
    def tree(self) -> CallTree | None:
        """The tree that is shown; what an export of this view writes."""
        return self._picture.tree if self._picture else None

    @property
    def title(self) -> str:
        return self._title

    def image(self, scale: int = 1) -> QImage:
        """The view as an image: title, graph as zoomed and coloured, legend; `scale` pixels per pixel."""
        return flame_image(self.graph, self.legend, title=self._title, scale=scale)

    def set_profile(
        self,
        profile: StackProfile | None,
        *,
        title: str = "",
        event: int = 0,
        weight: Weight = Weight.SAMPLES,
        trees: ProfileTrees | None = None,
    ) -> None:
        """Shows `profile`; None shows what to do next. Order, colours and grouping stay as chosen. `trees`: its trees,
        where others ask for them too.
        """
        self._profile, self._title = profile, title
        self._trees = trees or (ProfileTrees(profile) if profile is not None else None)
        self.graph.setAccessibleName(f"Flame graph {title}".rstrip())
        old = self._settings
        options = TreeOptions(event=event, weight=weight, inverted=old.options.inverted, grouping=old.options.grouping)
        timed = profile is None or has_time_order(profile)
        order = Order.NAME if old.order is Order.TIME and not timed else old.order
        self._settings = replace(old, options=options, order=order)
        self._take(None)
        self.bar.set_settings(self._settings)
        self.bar.set_profile(profile)
        self._line_up()
        self.chips.set_options(options)
        self._draw()

    def set_weight(self, event: int, weight: Weight) -> None:
        """Weighs by another event or column."""
        self.set_options(replace(self.options, event=event, weight=weight))

    def set_options(self, options: TreeOptions) -> None:
        """Shows another tree of the same profile."""
        self._apply(replace(self._settings, options=options))

    def lend_reading(self) -> ReadingBox:
        """The reading, to stand in another column until `take_reading`; it folds there while a function is selected."""
        if not self.reading_box.folding:
            self.reading_box.set_folding(True)
            self._fold_reading(self.selection.function)
        self._show_reading()
        return self.reading_box

    def take_reading(self) -> None:
        """The reading stands beside the graph, or below it, again."""
        self._splitter.addWidget(self.reading_box)
        self.reading_box.set_folding(False)
        self._show_reading()
        self._split()

    # building

    def _apply(self, settings: FlameSettings) -> None:
        old, self._settings = self._settings, settings
        self.bar.set_settings(settings)
        self.chips.set_options(settings.options)
        if settings == old:
            return
        if replace(settings, color_by=old.color_by) == old:
            self._recolor()
        else:
            self._draw()
        before, now = old.options, settings.options
        if (before.event, before.weight) != (now.event, now.weight):
            self.weight_changed.emit(now.event, now.weight)

    def _draw(self) -> None:
        trees, settings, tokens, query = self._trees, self._settings, theme.current(), self._query()
        if trees is None:
            self._drawing.drop()
            self._show_state()
        elif is_large(trees.profile):
            self._drawing.ask(
                lambda _progress: draw(trees, settings, tokens, query=query),
                self._take,
                name="draw the flame graph",
                on_error=self._failed,
            )
        else:
            self._take(draw(trees, settings, tokens, query=query))

    def _take(self, picture: FlamePicture | None) -> None:
        self._picture = picture
        self._coloring.drop()
        if picture is None:
            self.graph.set_scene(None)
            self.legend.set_colors(None)
            self.reading.set_sentences(())
        else:
            self.graph.set_scene(picture.scene, boxes=picture.boxes, matches=picture.matches)
            self.legend.set_colors(picture.colors)
            inverted = picture.settings.options.inverted
            note = "Bottom-up: turn it off to read the graph in sentences." if inverted else ""
            self.reading.set_sentences(picture.sentences, note=note)
            if self.selection.function:
                self.graph.select_function(self.selection.function)
        self._show_state()
        self._tell_path()
        if picture is not None and picture.query != self._query():
            # The pattern was edited while the picture was drawn.
            self._search(self.search.pattern, self.search.ignore_case)

    def _query(self) -> Query | None:
        """What is searched for, None for nothing or for what is no expression."""
        pattern, ignore_case = self.search.pattern, self.search.ignore_case
        return Query(pattern, ignore_case) if pattern and is_pattern(pattern) else None

    def _recolor(self) -> None:
        picture, by, tokens = self._picture, self._settings.color_by, theme.current()
        if self._drawing.busy:
            # The picture that is being drawn would come in the old colours.
            self._draw()
            return
        if picture is None:
            return
        tree, scene = picture.tree, picture.scene

        def show(result: tuple[FlameColors, Boxes]) -> None:
            colors, boxes = result
            if self._picture is picture:
                self.graph.set_colors(colors, boxes=boxes)
                self.legend.set_colors(colors)

        if len(scene) > _MANY_BOXES:
            self._coloring.ask(
                lambda _progress: colored(tree, scene, by, tokens),
                show,
                name="colour the flame graph",
                on_error=self._failed,
            )
        else:
            show(colored(tree, scene, by, tokens))

    def _failed(self, error: TailflameError) -> None:
        self.failed.emit(error)

    # states

    def _show_state(self) -> None:
        """The graph, or what to do where there is none."""
        picture = self._picture
        if self._profile is None:
            self._say(
                "Nothing to draw yet",
                "Record a program, or open perf.data, perf script text, folded stacks or a flame-graph SVG.",
                (("Record", self.record_requested.emit), ("Open a file", self.open_requested.emit)),
            )
        elif picture is not None and not len(picture.scene):
            filtered = picture.settings.options != cleared(picture.settings.options)
            self._say(
                "No stacks to draw",
                "No sample is left by what is chosen above."
                if filtered
                else "The profile holds samples of this event, but no stack. Record with call graphs."
                if picture.tree.total_samples
                else "No sample of this event was taken.",
                (("Show everything", lambda: self.chips.changed.emit(cleared(self.options))),) if filtered else (),
            )
        else:
            self._pages.setCurrentIndex(0)
        shown = self._pages.currentIndex() == 0 and picture is not None
        for widget in (self.search, self.minimap, self.legend):
            widget.setEnabled(shown)
        self._show_reading()
        self._tell_history()

    def _show_reading(self) -> None:
        self.reading_box.setVisible(self.bar.reading.isChecked() and self._profile is not None)

    def _fold_reading(self, function: str) -> None:
        """Makes room for what is told of a function, unless it was chosen in the reading itself."""
        self.reading_box.fold(bool(function) and not self._choosing)

    def _say(self, heading: str, text: str, actions: Actions) -> None:
        page = self._pages.widget(1)
        if page is not None:
            self._pages.removeWidget(page)
            page.deleteLater()
        self._pages.addWidget(empty_page(heading, text, actions, self))
        self._pages.setCurrentIndex(1)

    # parts that answer each other

    def _connect(self) -> None:
        graph, selection = self.graph, self.selection
        self.bar.settings_changed.connect(self._apply)
        self.bar.flame_toggled.connect(
            lambda on: graph.set_orientation(Orientation.FLAME if on else Orientation.ICICLE)
        )
        self.bar.reading_toggled.connect(self._show_reading)
        self.bar.exported.connect(self.export_requested)
        self.chips.changed.connect(self.set_options)
        self.back.clicked.connect(graph.go_back)
        self.forward.clicked.connect(graph.go_forward)
        self.everything.clicked.connect(graph.reset_zoom)
        self.crumbs.chosen.connect(self._zoom_to_step)
        self.search.edited.connect(self._search)
        self.search.walked.connect(graph.next_match)
        self.search.left.connect(lambda: graph.setFocus(Qt.FocusReason.OtherFocusReason))
        self.legend.entry_toggled.connect(graph.emphasise_color)
        self.reading.chosen.connect(self._select_sentence)
        graph.history_changed.connect(self._tell_history)
        graph.window_changed.connect(self._tell_path)
        graph.zoomed.connect(self._tell_path)
        graph.search_changed.connect(self._tell_matches)
        graph.search_ended.connect(self.search.end)
        graph.find_requested.connect(self.search.begin)
        graph.copy_requested.connect(self._copy_name)
        graph.menu_requested.connect(self._open_menu)
        graph.function_selected.connect(selection.select)
        graph.function_hovered.connect(selection.hover)
        selection.changed.connect(graph.select_function)
        selection.changed.connect(self._fold_reading)
        selection.hover_changed.connect(graph.hover_function)
        self._drawing.busy_changed.connect(self.busy.setVisible)
        theme.signals.changed.connect(self._recolor)
        find = QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self)
        find.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        find.activated.connect(self.search.begin)

    def _tell_history(self) -> None:
        self.back.setEnabled(self.graph.camera.can_go_back)
        self.forward.setEnabled(self.graph.camera.can_go_forward)
        goal = self.graph.camera.goal
        self.everything.setEnabled(goal.x1 - goal.x0 < 1)

    def _tell_path(self) -> None:
        graph, scene = self.graph, self.graph.scene
        goal = graph.camera.goal
        names = scene.names_to(graph.zoom_box) if scene is not None else ()
        free = graph.zoom_box < 0 and goal.x1 - goal.x0 < 1
        self.crumbs.set_path(names, note=f"{percent(goal.x1 - goal.x0)} of the width" if free else "")
        self._path_line.setStretchFactor(self.crumbs, 4 if names or free else 1)
        self._path_line.setStretchFactor(self.search, 1 if names or free else 2)
        self._tell_matches(graph.matches)
        self._tell_history()

    def _zoom_to_step(self, index: int) -> None:
        scene, box = self.graph.scene, self.graph.zoom_box
        if scene is not None:
            self.graph.zoom_to_box(scene.path(box)[index] if index >= 0 else -1)
            self.graph.setFocus(Qt.FocusReason.OtherFocusReason)

    def _select_sentence(self, index: int) -> None:
        picture = self._picture
        if picture is None:
            return
        sentence = picture.sentences[index]
        self.reading.show_sentence(index)
        box = picture.scene.box_of_node(sentence.node)
        self._choosing = True
        try:
            self.graph.select_box(box if box >= 0 else picture.scene.box_of_function(sentence.function))
        finally:
            self._choosing = False
        self.graph.bring_into_view(self.graph.selected_box)

    # search

    def _search(self, pattern: str, ignore_case: bool) -> None:
        scene = self.graph.scene
        self._searching.drop()
        if scene is None:
            return
        if not pattern:
            self.graph.set_matches(None)
        elif len(scene) > _MANY_BOXES:
            self._searching.ask(
                lambda _progress: search(scene, pattern, ignore_case=ignore_case),
                lambda matches: self.graph.set_matches(matches) if self.graph.scene is scene else None,
                name="search the flame graph",
                on_error=self._bad_pattern,
            )
        else:
            try:
                self.graph.set_search(pattern, ignore_case=ignore_case)
            except TailflameError as error:
                self._bad_pattern(error)

    def _bad_pattern(self, error: TailflameError) -> None:
        self.graph.set_matches(None)
        self.search.tell("invalid", str(error), matches=0, bad=True)

    def _tell_matches(self, matches: Matches | None) -> None:
        narrow = self._bars.direction() is QBoxLayout.Direction.LeftToRight and not self.everything.isVisible()
        goal = self.graph.camera.goal
        self.trunk.stand_back(narrow and matches is not None and goal.x1 - goal.x0 < 1)
        if matches is None:
            self.search.tell("", "", matches=0)
            return
        x0, x1 = self.graph.camera.goal.x0, self.graph.camera.goal.x1
        of_view, of_all = percent(matches.share(x0, x1)), percent(matches.share())
        at = self.graph.match_box
        place = f"{int((matches.boxes <= at).sum())}/" if at >= 0 else ""
        self.search.tell(
            f"{of_view}  ·  {place}{count(len(matches))}",
            f"{of_view} of what is in view and {of_all} of everything lies under a match; nested matches count once.\n"
            f"{count(int(matches.functions.sum()))} functions, {count(len(matches))} boxes. N and M walk through them.",
            matches=len(matches),
        )

    # menu

    def _open_menu(self, box: int, at: QPoint) -> None:
        menu = self.menu_for(box)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(at)

    def menu_for(self, box: int) -> QMenu:
        """What can be done with the frame of `box`; -1: with the graph."""
        menu, picture = QMenu(self), self._picture
        menu.setToolTipsVisible(True)
        if picture is not None and box >= 0:
            scene, tree, options = picture.scene, picture.tree, self.options
            node, name = scene.node(box), scene.name(box)
            file, line = tree.place(node)
            module = tree.module(node)
            add_action(menu, "copy", "Copy name", lambda: self._copy_name(box))
            add_action(menu, "layers", "Copy stack", lambda: self._copy_stack(box))
            source = add_action(menu, "file-code", "Open source", lambda: self.open_source.emit(file, line))
            source.setEnabled(bool(file))
            place = f"{file}:{line}" if line > 0 else file
            source.setToolTip(plain.tip(place) if file else "The profile has no source line here.")
            menu.addSeparator()
            add_action(menu, "table-2", "Show in hotspots", lambda: self.show_hotspots.emit(name))
            add_action(menu, "sandwich", "Callers and callees", lambda: self.show_callers.emit(name))
            menu.addSeparator()
            add_action(menu, "zoom-in", "Zoom to this frame", lambda: self.graph.zoom_to_box(box))
            add_action(menu, "focus", f"Focus on {brief(name)}", lambda: self.set_options(replace(options, focus=name)))
            add_action(
                menu, "eye-off", f"Hide {brief(name)}",
                lambda: self.set_options(replace(options, hidden=options.hidden | {name})),
            )  # fmt: skip
            collapse = add_action(
                menu, "package", f"Collapse module {module_label(module)}" if module else "Collapse module",
                lambda: self.set_options(replace(options, collapse_modules=options.collapse_modules | {module})),
            )  # fmt: skip
            collapse.setEnabled(bool(module) and module not in options.collapse_modules)
        recursion = add_action(
            menu, "merge", "Collapse recursion",
            lambda: self.set_options(
                replace(self.options, collapse_recursion=not self.options.collapse_recursion)
            ),
        )  # fmt: skip
        recursion.setCheckable(True)
        recursion.setChecked(self.options.collapse_recursion)
        if self.options != cleared(self.options):
            add_action(menu, "undo-2", "Show everything", lambda: self.set_options(cleared(self.options)))
        return menu

    def _copy_name(self, box: int) -> None:
        if self.graph.scene is not None and box >= 0:
            QGuiApplication.clipboard().setText(self.graph.scene.name(box))

    def _copy_stack(self, box: int) -> None:
        """One frame per line, the outermost first."""
        if self.graph.scene is not None and box >= 0:
            QGuiApplication.clipboard().setText("\n".join(self.graph.scene.names_to(box)))

    def _show_keys(self) -> None:
        """What hovering shows, for those who came by keyboard."""
        QToolTip.showText(self.keys.mapToGlobal(self.keys.rect().bottomLeft()), self.keys.toolTip(), self.keys)

    # layout

    def _arrange(self) -> None:
        self._path = QWidget(self)
        path = QHBoxLayout(self._path)
        path.setContentsMargins(0, 0, 0, 0)
        path.setSpacing(4)
        for button in (self.back, self.forward, self.everything):
            path.addWidget(button)
        path.addWidget(self.crumbs)
        path.addWidget(self.trunk)
        path.addWidget(self.search)
        self._path_line = path
        path.addWidget(self.bar.reading)
        path.addWidget(self.bar.export)
        keys = "\n".join(f"{key}: {what}" for key, what in KEYS)
        self.keys = tool_button("keyboard", f"Keys in the graph\n{keys}", self)
        self.keys.setAccessibleName("Keys in the graph")
        self.keys.clicked.connect(self._show_keys)
        path.addWidget(self.keys)
        self._pages = QStackedWidget(self)
        drawn = QWidget(self)
        column = QVBoxLayout(drawn)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.minimap)
        column.addWidget(self.graph, 1)
        column.addWidget(self.legend)
        self._pages.addWidget(drawn)
        self._splitter = QSplitter(Qt.Orientation.Horizontal, self)
        self._splitter.setChildrenCollapsible(False)
        self._splitter.addWidget(self._pages)
        self._splitter.addWidget(self.reading_box)
        self._splitter.setStretchFactor(0, 1)
        self._splitter.setStretchFactor(1, 0)
        self._splitter.splitterMoved.connect(self._keep_split)
        self._pages.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._pages.setMinimumSize(240, 160)
        self._whole = whole = QVBoxLayout(self)
        whole.setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)
        whole.setContentsMargins(8, 4, 8, 0)
        whole.setSpacing(4)
        self._bars = QBoxLayout(QBoxLayout.Direction.TopToBottom)
        self._bars.setSpacing(4)
        self._bars.addWidget(self.bar)
        self._bars.addWidget(self._path, 1)
        whole.addLayout(self._bars)
        whole.addWidget(self.chips)
        whole.addWidget(self.busy)
        whole.addWidget(self._splitter, 1)

    def minimumSizeHint(self) -> QSize:
        """As narrow as two lines of controls can be: a layout in one line would not let itself be made two."""
        width = max(self.bar.minimumSizeHint().width(), self._path.minimumSizeHint().width()) + 16
        return QSize(width, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._line_up()
        self._split()

    def _line_up(self) -> None:
        """One line of controls where they fit into one; grouping and order are folded into the menu for it."""
        room = self.contentsRect().width() - 16
        unfolded = room - _PATH_WANTS >= self.bar.width_needed(folded=False)
        one = unfolded or room - _PATH_NEEDS >= self.bar.width_needed(folded=True)
        self.bar.fold(one and not unfolded)
        # The path's first step does the same.
        self.everything.setVisible(unfolded or not one)
        direction = QBoxLayout.Direction.LeftToRight if one else QBoxLayout.Direction.TopToBottom
        if direction is not self._bars.direction():
            self._bars.setDirection(direction)
            self._whole.activate()  # at once, or this size would be painted with the lines of the last

    def _split(self) -> None:
        beside = self.width() >= _BESIDE_FROM
        wanted = Qt.Orientation.Horizontal if beside else Qt.Orientation.Vertical
        if self._splitter.orientation() is not wanted:
            self._splitter.setOrientation(wanted)
            self._split_by_hand = False
        if not self._split_by_hand:
            reading = 224 if beside else 92
            whole = self.width() if beside else self.height() - 72
            self._splitter.setSizes([max(whole - reading, reading), reading])

    def _keep_split(self) -> None:
        """The reading has the size it was dragged to."""
        self._split_by_hand = True
