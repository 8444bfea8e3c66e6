"""Makes the view of a tab that is ready, and connects what it asks for."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QWidget

from tailflame.model import Recording
from tailflame_gui import slices_opening, tail_opening
from tailflame_gui.actions import Actions
from tailflame_gui.controller import Controller
from tailflame_gui.state import OpenComparison, OpenResult, Page, Tab

if TYPE_CHECKING:
    # Imported where they are made: before the first one, a thread has read them (see warm).
    from tailflame_gui.exporting import Exporter
    from tailflame_gui.views.compare_view import CompareView
    from tailflame_gui.views.main_window import MainWindow
    from tailflame_gui.views.source_view import SourceView


class TabViews:
    """`window`: over which it asks; set once that stands."""

    def __init__(self, controller: Controller, actions: Actions) -> None:
        self._controller = controller
        self._actions = actions
        self.window: MainWindow | None = None
        self._exporter: Exporter | None = None

    @property
    def exporter(self) -> Exporter:
        if self._exporter is None:
            from tailflame_gui.exporting import Exporter

            assert self.window is not None
            self._exporter = Exporter(self._controller, self.window)
        return self._exporter

    def result(self, tab: Tab) -> QWidget:
        from tailflame_gui.views.result_view import ResultView

        assert isinstance(tab, OpenResult) and tab.recording is not None
        controller, actions = self._controller, self._actions
        view = ResultView(
            tab.recording,
            selection=tab.selection,
            title=tab.session.title if tab.session else tab.title,
            commit=tab.session.commit if tab.session else "",
        )
        view.open_source.connect(partial(controller.open_source, tab))
        view.pin_baseline_requested.connect(partial(controller.pin, tab))
        view.compare_requested.connect(partial(controller.compare_with_baseline, tab))
        view.compare_columns_requested.connect(partial(controller.compare_columns, tab))
        view.export_requested.connect(partial(self.export, tab, view))
        view.record_requested.connect(actions["record_page"].trigger)
        view.open_requested.connect(actions["open"].trigger)
        view.failed.connect(controller.fail)
        view.flame_range_requested.connect(partial(slices_opening.open_range_of, controller, tab))
        view.compare_ranges_requested.connect(partial(slices_opening.compare_ranges_of, controller, tab))
        view.slow_requested.connect(partial(tail_opening.compare_slow, controller, tab))
        view.capture_requested.connect(partial(tail_opening.open_capture, controller, _folder(tab)))
        view.source_view_made.connect(partial(self._provide, tab))
        view.kind_made.connect(partial(self._made, tab))
        self.mark(tab, view)
        before = self.window.results.page_of(tab) if self.window is not None else None
        if isinstance(before, ResultView):
            view.follow(before)
        return view

    def _provide(self, tab: OpenResult, view: SourceView) -> None:
        from tailflame_gui import code_provider

        code_provider.attach(view, tab, self._controller, self.window)

    def _made(self, tab: OpenResult, view: QWidget) -> None:
        if hasattr(view, "set_real_counters"):
            from tailflame_gui import real_counters
            from tailflame_gui.views.cache_view import CacheView

            assert isinstance(view, CacheView)
            real_counters.attach(view, tab, self._controller)
        if hasattr(view, "set_past"):
            from tailflame_gui import bench_past
            from tailflame_gui.views.benchmarks_view import BenchmarksView

            assert isinstance(view, BenchmarksView)
            bench_past.attach(view, tab, self._controller)

    def mark(self, tab: OpenResult, view: QWidget | None) -> None:
        """Tells the view of a result whether it is the baseline, or has one."""
        from tailflame_gui.views.result_view import ResultView

        if isinstance(view, ResultView):
            view.set_baseline(tab.baseline, has_baseline=self._controller.baseline_of(tab) is not None)

    def comparison(self, tab: Tab) -> QWidget:
        assert isinstance(tab, OpenComparison) and tab.before is not None and tab.after is not None
        from tailflame_gui.views.compared_parts import compared_kinds
        from tailflame_gui.views.latency_comparison import ComparisonTabs

        views: dict[str, QWidget] = {}
        for kind in compared_kinds(tab.before, tab.after):
            views[kind.title] = self._connected(
                kind.make(tab.before, tab.after, (tab.before_title, tab.after_title), tab.commits)
            )
        if tab.comparison is not None:
            views["Call stacks" if views else "CPU time"] = self._profiles(tab)
        if tab.before.histograms is not None and tab.after.histograms is not None:
            views["Latency"] = self._latencies(tab, tab.before, tab.after)
        return ComparisonTabs(views) if len(views) != 1 else next(iter(views.values()))

    def _connected(self, view: QWidget) -> QWidget:
        open_source = partial(self._controller.open_source, None)
        for name, answer in (("failed", self._controller.fail), ("open_source", open_source)):
            signal = getattr(view, name, None)
            if signal is not None:
                signal.connect(answer)
        return view

    def _latencies(self, tab: OpenComparison, before: Recording, after: Recording) -> QWidget:
        from tailflame_gui.views.latency_comparison import LatencyComparison

        view = LatencyComparison(before, after, titles=(tab.before_title, tab.after_title), commits=tab.commits)
        view.failed.connect(self._controller.fail)
        return view

    def _profiles(self, tab: OpenComparison) -> CompareView:
        from tailflame_gui.views.compare_view import CompareView

        view = CompareView(
            tab.before,
            tab.after,
            selection=tab.selection,
            comparison=tab.comparison,
            titles=(tab.before_title, tab.after_title),
            commits=tab.commits,
        )
        view.open_source.connect(partial(self._controller.open_source, None))
        view.choose_requested.connect(partial(self._controller.state.set_page, Page.COMPARE))
        view.failed.connect(self._controller.fail)
        return view

    def export(self, tab: OpenResult, view: QWidget, kind: str) -> None:
        from tailflame_gui.views.result_view import ResultView

        if isinstance(view, ResultView):
            self.exporter.ask(kind, tab, view.flame)


def _folder(tab: OpenResult) -> Path:
    """Where the files of a run are: its session, or beside the file that was opened."""
    return tab.path if tab.path.is_dir() else tab.path.parent
