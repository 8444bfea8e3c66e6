"""Two runs by their latencies: the later one on the live screen, the earlier one as its baseline."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QTabWidget, QWidget

from tailflame.model import Recording
from tailflame_gui.views.latency_view import LatencyResultView
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
        layout = column(spacing=0)
        layout.addLayout(head)
        layout.addWidget(hairline())
        layout.addWidget(self.result, 1)
        self.setLayout(layout)
        self.setFocusProxy(self.result)

    @property
    def busy(self) -> bool:
        return self.result.busy


class ComparisonTabs(QTabWidget):
    """Several ways to compare the same two results, by name."""

    def __init__(self, views: Mapping[str, QWidget], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setDocumentMode(True)
        for name, view in views.items():
            self.addTab(view, name)
