"""Makes the view of a tab that is ready, and connects what it asks for."""

from __future__ import annotations

from functools import partial

from PySide6.QtWidgets import QWidget

from tailflame.model import Recording
from tailflame_gui.actions import Actions
from tailflame_gui.controller import Controller
from tailflame_gui.exporting import Exporter
from tailflame_gui.state import OpenComparison, OpenResult, Page, Tab
from tailflame_gui.views.compare_view import CompareView
from tailflame_gui.views.latency_comparison import ComparisonTabs, LatencyComparison
from tailflame_gui.views.result_view import ResultView


class TabViews:
    """`exporter` asks over the window, so it is set once that stands."""

    def __init__(self, controller: Controller, actions: Actions) -> None:
        self._controller = controller
        self._actions = actions
        self.exporter: Exporter | None = None

    def result(self, tab: Tab) -> QWidget:
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
        view.flame_range_requested.connect(partial(controller.open_range, tab))
        self.mark(tab, view)
        return view

    def mark(self, tab: OpenResult, view: QWidget | None) -> None:
        """Tells the view of a result whether it is the baseline, or has one."""
        if isinstance(view, ResultView):
            view.set_baseline(tab.baseline, has_baseline=self._controller.baseline_of(tab) is not None)

    def comparison(self, tab: Tab) -> QWidget:
        assert isinstance(tab, OpenComparison) and tab.before is not None and tab.after is not None
        if tab.comparison is None:
            return self._latencies(tab, tab.before, tab.after)
        view = self._profiles(tab)
        if tab.before.histograms is None or tab.after.histograms is None:
            return view
        return ComparisonTabs({"CPU time": view, "Latency": self._latencies(tab, tab.before, tab.after)})

    def _latencies(self, tab: OpenComparison, before: Recording, after: Recording) -> QWidget:
        view = LatencyComparison(before, after, titles=(tab.before_title, tab.after_title), commits=tab.commits)
        view.failed.connect(self._controller.fail)
        return view

    def _profiles(self, tab: OpenComparison) -> CompareView:
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

    def export(self, tab: OpenResult, view: ResultView, kind: str) -> None:
        if self.exporter is not None:
            self.exporter.ask(kind, tab, view.flame)
