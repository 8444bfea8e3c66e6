"""Two runs by their latencies: the later one on the live screen, the earlier one as its baseline."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QTabWidget, QWidget

from tailflame.model import Caution, Recording
from tailflame_gui.views.latency_view import LatencyResultView
from tailflame_gui.widgets.caution_lines import CautionLines
from tailflame_gui.widgets.parts import ElidedLabel, column, hairline, label, row


class LatencyComparison(QWidget):
    """failed(TailflameError)."""

    failed = Signal(object)

    def __init__(
        self,
        before: Recording,
        after: Recording,
        *,
        titles: tuple[str, str],
        commits: tuple[str, str] = ("", ""),
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.result = LatencyResultView(after)
        self.result.failed.connect(self.failed)
        self.result.set_baseline(before)
        head = row(margins=(16, 8, 16, 8), spacing=8)
        for words, title, commit in zip(("before", "after"), titles, commits, strict=True):
            head.addWidget(label(words, "second"))
            head.addWidget(ElidedLabel(f"{title}  {commit}".rstrip(), "heading", grows=False))
            head.addSpacing(16)
        head.addStretch()
        self.cautions = CautionLines()
        if not _have_common(before, after):
            names = "These results have no latency of the same name"
            self.cautions.set_cautions((Caution(f"{names}, so there is no percentile to compare."),))
        said = column(margins=(16, 0, 16, 4))
        said.addWidget(self.cautions)
        layout = column(spacing=0)
        layout.addLayout(head)
        layout.addLayout(said)
        layout.addWidget(hairline())
        layout.addWidget(self.result, 1)
        self.setLayout(layout)
        self.setFocusProxy(self.result)

    @property
    def busy(self) -> bool:
        return self.result.busy


def _have_common(before: Recording, after: Recording) -> bool:
    """Whether a series of one goes with one of the other: of its name, or each is the only one."""
    if before.histograms is None or after.histograms is None:
        return False
    one, other = set(before.histograms.distinct_tags()), set(after.histograms.distinct_tags())
    return bool(one & other) or len(one) == len(other) == 1


class ComparisonTabs(QTabWidget):
    """Several ways to compare the same two results, by name."""

    def __init__(self, views: Mapping[str, QWidget], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setDocumentMode(True)
        for name, view in views.items():
            self.addTab(view, name)
