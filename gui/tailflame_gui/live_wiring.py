"""Makes the live page with its controllers. Imported late: its plots take long to import."""

from __future__ import annotations

from dataclasses import dataclass

from tailflame_gui.actions import Actions
from tailflame_gui.controller import Controller
from tailflame_gui.live_controller import LiveController
from tailflame_gui.live_runner import LiveRunner
from tailflame_gui.views.live_page import LivePage
from tailflame_gui.views.live_view import LiveView


@dataclass(frozen=True, slots=True, eq=False)
class LiveParts:
    page: LivePage
    runner: LiveRunner
    controller: LiveController


def build(controller: Controller, actions: Actions) -> LiveParts:
    runner = LiveRunner(controller)
    page = LivePage(LiveView())
    live_controller = LiveController(page, controller, runner, actions)
    page.setup.probes_requested.connect(actions["recipes"].trigger)
    runner.kept.connect(live_controller.kept)
    return LiveParts(page, runner, live_controller)
