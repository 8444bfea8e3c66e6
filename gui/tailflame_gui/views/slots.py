"""The one place that knows which view shows a tab."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from tailflame_gui.state import Tab
from tailflame_gui.widgets.empty_state import EmptyState


def result_view(tab: Tab) -> QWidget:
    return EmptyState("flame", tab.title, tab.tip)


def comparison_view(tab: Tab) -> QWidget:
    return EmptyState("git-compare", tab.title, tab.tip)


def record_page(_controller: object, _recorder: object) -> QWidget:
    return EmptyState("circle-dot", "Record", "Choose a program.")
