"""Chooses which event, weighed how, of which thread every view of a result shows."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtWidgets import QWidget

from tailflame.model.stacks import StackProfile
from tailflame.units import count
from tailflame_gui.models.scope import (
    ResultScope,
    Scope,
    counted_in,
    thread_choices,
    weight_for,
    weight_label,
    weights_of,
)
from tailflame_gui.widgets.fitting_box import FittingBox
from tailflame_gui.widgets.parts import row

_BETWEEN = 4


class ScopeBar(QWidget):
    """Shows only the choices that the profile has. Writes to and follows its ResultScope."""

    def __init__(self, scope: ResultScope, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scope = scope
        self._profile: StackProfile | None = None
        self._threads: tuple[int, tuple[tuple[int, str, float], ...]] | None = None
        """Of which event, and the choices: a range that is dragged does not count them anew."""
        self.event_box = FittingBox("activity", "Event that was sampled or counted: every view weighs by it", self)
        self.weight_box = FittingBox("gauge", "What a sample weighs", self)
        self.thread_box = FittingBox("cpu", "Threads whose samples every view shows", self)
        self._room: int | None = None
        layout = row(spacing=_BETWEEN)
        for box in (self.event_box, self.weight_box, self.thread_box):
            layout.addWidget(box)
            box.currentIndexChanged.connect(lambda _at: self._chosen())
        self.setLayout(layout)
        scope.changed.connect(self._show)

    def set_profile(self, profile: StackProfile) -> None:
        self._profile, self._threads = profile, None
        self.event_box.offer([(index, event.name, "") for index, event in enumerate(profile.events)])
        self._show(self._scope.scope)

    def fit(self, room: int) -> None:
        """Takes `room` pixels: what is chosen least often shows its icon alone first."""
        self._room = room
        boxes = [box for box in (self.weight_box, self.thread_box, self.event_box) if not box.isHidden()]
        needed = sum(box.width_needed(compact=False) + _BETWEEN for box in boxes)
        for box in boxes:
            compact = needed > room
            if compact:
                needed += box.width_needed(compact=True) - box.width_needed(compact=False)
            box.set_compact(compact)

    def _chosen(self) -> None:
        profile, old = self._profile, self._scope.scope
        if profile is None:
            return
        event: int = self.event_box.currentData()
        weight = self.weight_box.currentData() if event == old.event else weight_for(profile, event, old)
        thread = self.thread_box.currentData()
        threads = None if thread is None else frozenset({thread})
        self._scope.set(replace(old, event=event, weight=weight, threads=threads))

    def _show(self, scope: Scope) -> None:
        profile = self._profile
        if profile is None:
            return
        self.event_box.choose(scope.event)
        weights = weights_of(profile, scope.event)
        self.weight_box.offer([(w, weight_label(profile, scope.event, w).capitalize(), "") for w in weights])
        self.weight_box.choose(scope.weight)
        if self._threads is None or self._threads[0] != scope.event:
            self._threads = (scope.event, thread_choices(profile, scope.event))
        threads = self._threads[1]
        only = next(iter(scope.threads)) if scope.threads else None
        if only is not None and only not in {index for index, _label, _samples in threads}:
            # The thread has no sample of this event: everything is better than nothing.
            self._scope.set(replace(scope, threads=None))
            return
        word = counted_in(profile, scope.event)
        everyone = [(None, f"All {count(len(threads))} threads", "")]
        self.thread_box.offer(
            [*everyone, *((index, label, f"{count(samples)} {word}") for index, label, samples in threads)]
        )
        self.thread_box.choose(only)
        self.event_box.setVisible(len(profile.events) > 1)
        self.weight_box.setVisible(len(weights) > 1)
        self.thread_box.setVisible(len(threads) > 1)
        if self._room is not None:
            self.fit(self._room)
