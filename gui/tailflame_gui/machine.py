"""What this machine lets a profiler do, probed in a thread, as lines for the start page."""

from __future__ import annotations

import shlex

from PySide6.QtCore import QObject

from tailflame.host.system import forget_host, probe_host
from tailflame.tools import Finding, doctor
from tailflame.tools import Level as Grade
from tailflame_gui.controller import Controller
from tailflame_gui.rows import FindingRow, Level
from tailflame_gui.tasks import Latest

_LEVELS = {
    Grade.OK: Level.OK,
    Grade.NOTE: Level.NOTE,
    Grade.WARNING: Level.WARNING,
    Grade.BLOCKER: Level.ERROR,
}


class Machine(QObject):
    """Fills the state's findings."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self._probing = Latest(self)

    def check(self) -> None:
        self._probing.ask(
            lambda _progress: tuple(finding_row(finding) for finding in doctor(probe_host())),
            self._controller.state.set_findings,
            name="looking at this machine",
            on_error=self._controller.fail,
        )

    def check_again(self) -> None:
        """After something was installed or a setting changed."""
        forget_host()
        self.check()


def finding_row(finding: Finding) -> FindingRow:
    return FindingRow(
        level=_LEVELS[finding.level],
        title=finding.title,
        detail=finding.detail,
        fix="" if finding.fix_argv else finding.fix,
        command=shlex.join(finding.fix_argv),
    )
