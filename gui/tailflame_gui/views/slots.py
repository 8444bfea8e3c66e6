"""The place of the record page."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from tailflame_gui.widgets.empty_state import EmptyState


def record_page(_controller: object, _recorder: object) -> QWidget:
    return EmptyState("circle-dot", "Record", "Choose a program.")
