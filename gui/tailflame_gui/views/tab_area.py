"""Tabs over their pages: loading with progress and cancel, failed with a sentence and a fix, or the view itself."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QGuiApplication, QMouseEvent
from PySide6.QtWidgets import QMenu, QProgressBar, QStackedWidget, QTabBar, QWidget

from tailflame import units
from tailflame_gui import icons, plain
from tailflame_gui.state import OpenResult, Stage, Tab, Tabs
from tailflame_gui.widgets.parts import Icon, button, column, label, row, selectable

_MARKS = {Stage.LOADING: ("loader", "second"), Stage.FAILED: ("octagon-alert", "bad")}

_NARROWEST = 144
"""Pixels of a tab with its icon and cross."""


class LoadingPage(QWidget):
    """What a tab shows while its file is read."""

    def __init__(self, tab: Tab) -> None:
        super().__init__()
        self._job = tab.job
        self._bar = QProgressBar()
        self._bar.setFixedWidth(320)
        self._bar.setTextVisible(False)
        self._percent = label("", "second")
        line = row(spacing=8)
        line.addStretch()
        line.addWidget(self._bar)
        line.addWidget(self._percent)
        line.addStretch()
        layout = column(margins=(24, 24, 24, 24), spacing=12)
        layout.addStretch(2)
        title = label(tab.job.title if tab.job else "Reading", "title")
        layout.addWidget(title, alignment=Qt.AlignmentFlag.AlignHCenter)
        layout.addLayout(line)
        if tab.job is not None:
            cancel = button("Cancel", tab.job.cancel, icon="x")
            layout.addWidget(cancel, alignment=Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(3)
        self.setLayout(layout)
        self.refresh()

    def refresh(self) -> None:
        fraction = self._job.fraction if self._job is not None else None
        self._bar.setRange(0, 0 if fraction is None else 1000)
        if fraction is not None:
            self._bar.setValue(round(fraction * 1000))
        self._percent.setText("" if fraction is None else units.percent(fraction, digits=0))


class FailedPage(QWidget):
    """What a tab shows when its file could not be read. retry(), close()"""

    retry = Signal()
    closed = Signal()

    def __init__(self, tab: Tab) -> None:
        super().__init__()
        error = tab.failure
        assert error is not None
        self._copied = "\n\n".join(part for part in (error.sentence, error.advice, tab.tip, error.details) if part)
        words = column(spacing=8)
        sentence = selectable(label(error.sentence, "title", wrap=True))
        words.addWidget(sentence)
        if error.advice:
            words.addWidget(selectable(label(error.advice, wrap=True)))
        words.addWidget(selectable(label(tab.tip, "faint", mono=True, wrap=True)))
        buttons = row(spacing=8)
        buttons.addWidget(button("Try again", self.retry.emit, icon="rotate-ccw"))
        buttons.addWidget(button("Copy details", self._copy, icon="copy"))
        buttons.addWidget(button("Close", self.closed.emit, icon="x"))
        buttons.addStretch()
        words.addSpacing(8)
        words.addLayout(buttons)
        block = QWidget()
        block.setMaximumWidth(640)
        inside = row(spacing=12)
        inside.addWidget(Icon("octagon-alert", "bad", size=20), alignment=Qt.AlignmentFlag.AlignTop)
        inside.addLayout(words, 1)
        block.setLayout(inside)
        across = row(margins=(24, 24, 24, 24))
        across.addStretch(1)
        across.addWidget(block, 4)
        across.addStretch(1)
        layout = column()
        layout.addStretch(2)
        layout.addLayout(across)
        layout.addStretch(3)
        self.setLayout(layout)
        self.setAccessibleName(str(error))

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._copied)


class _Bar(QTabBar):
    """Closes on a middle click. Tabs are scrolled rather than cut to a letter."""

    def minimumTabSizeHint(self, index: int) -> QSize:
        whole = self.tabSizeHint(index)
        return QSize(min(whole.width(), _NARROWEST), whole.height())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.MiddleButton:
            index = self.tabAt(event.position().toPoint())
            if index >= 0:
                self.tabCloseRequested.emit(index)
                return
        super().mouseReleaseEvent(event)


class TabArea(QWidget):
    """Shows `tabs`; `make(tab)` builds the view of a tab that is ready, once.

    closed(tab), retried(tab): the user asks for it. menu(tab, QMenu): fill the context menu of a tab.
    """

    closed = Signal(object)
    retried = Signal(object)
    menu = Signal(object, object)

    def __init__(
        self, tabs: Tabs, make: Callable[[Tab], QWidget], empty: QWidget, *, corner: QWidget | None = None
    ) -> None:
        super().__init__()
        self._tabs = tabs
        self._make = make
        self._empty = empty
        self._pages: dict[int, QWidget] = {}
        self._stages: dict[int, object] = {}
        self._bar = _Bar()
        self._bar.setTabsClosable(True)
        self._bar.setMovable(True)
        self._bar.setExpanding(False)
        self._bar.setUsesScrollButtons(True)
        self._bar.setElideMode(Qt.TextElideMode.ElideMiddle)
        self._bar.setDocumentMode(True)
        self._bar.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self._strip = QWidget()
        self._strip.setProperty("surface", "window")
        self._strip.setProperty("edge", "bottom")
        self._strip.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        strip = row(margins=(0, 0, 8, 1), spacing=8)
        strip.addWidget(self._bar, 1)
        if corner is not None:
            strip.addWidget(corner)
        self._strip.setLayout(strip)
        self._stack = QStackedWidget()
        self._stack.addWidget(empty)
        layout = column(spacing=0)
        layout.addWidget(self._strip)
        layout.addWidget(self._stack, 1)
        self.setLayout(layout)
        self._bar.currentChanged.connect(self._bar_changed)
        self._bar.tabCloseRequested.connect(self._close_asked)
        self._bar.tabMoved.connect(self._moved)
        self._bar.customContextMenuRequested.connect(self._menu_asked)
        tabs.added.connect(self._added)
        tabs.removed.connect(self._removed)
        tabs.current_changed.connect(self._show)
        self._strip.hide()

    @property
    def bar(self) -> QTabBar:
        return self._bar

    def page_of(self, tab: Tab) -> QWidget | None:
        """The widget that shows `tab` now."""
        return self._pages.get(tab.key)

    @property
    def page(self) -> QWidget:
        """The widget that is shown now."""
        return self._stack.currentWidget() or self._empty

    def refresh_progress(self) -> None:
        """Called at the display's pace while jobs run."""
        page = self.page
        if isinstance(page, LoadingPage):
            page.refresh()

    def show_empty(self) -> None:
        """The page without tabs, though there are some."""
        self._stack.setCurrentWidget(self._empty)

    def _tab_at(self, index: int) -> Tab | None:
        key = self._bar.tabData(index)
        return next((tab for tab in self._tabs.all if tab.key == key), None)

    def _index_of(self, tab: Tab) -> int:
        return next((i for i in range(self._bar.count()) if self._bar.tabData(i) == tab.key), -1)

    def _added(self, tab: Tab) -> None:
        self._bar.blockSignals(True)
        index = self._bar.addTab(tab.title)
        self._bar.setTabData(index, tab.key)
        self._bar.blockSignals(False)
        self._strip.show()
        tab.changed.connect(self._tab_changed)
        self._refresh(tab)

    def _removed(self, tab: Tab) -> None:
        index = self._index_of(tab)
        tab.changed.disconnect(self._tab_changed)
        self._bar.blockSignals(True)
        self._bar.removeTab(index)
        self._bar.blockSignals(False)
        self._drop_page(tab)
        self._strip.setVisible(self._bar.count() > 0)
        self._show(self._tabs.current)

    def _drop_page(self, tab: Tab) -> None:
        page = self._pages.pop(tab.key, None)
        self._stages.pop(tab.key, None)
        if page is not None:
            self._stack.removeWidget(page)
            page.hide()
            page.deleteLater()

    def _tab_changed(self) -> None:
        tab = self.sender()
        if isinstance(tab, Tab):
            self._refresh(tab)

    def _refresh(self, tab: Tab) -> None:
        index = self._index_of(tab)
        if index < 0:
            return
        icon, color = _MARKS.get(tab.stage, ("", ""))
        if tab.stage is Stage.READY and isinstance(tab, OpenResult) and tab.baseline:
            icon, color = "pin", "accent"
        self._bar.setTabIcon(index, icons.icon(icon, color) if icon else icons.nothing())
        self._bar.setTabText(index, plain.caption(tab.title))
        baseline = " (baseline)" if isinstance(tab, OpenResult) and tab.baseline else ""
        self._bar.setTabToolTip(index, plain.tip(f"{tab.tip}{baseline}"))
        shown = (tab.stage, tab.job)
        if self._stages.get(tab.key) != shown:
            page = self._page_for(tab)  # which may look at the one before
            self._drop_page(tab)
            self._stages[tab.key] = shown
            self._pages[tab.key] = page
            self._stack.addWidget(page)
        if tab is self._tabs.current:
            self._show(tab)

    def _page_for(self, tab: Tab) -> QWidget:
        match tab.stage:
            case Stage.LOADING:
                return LoadingPage(tab)
            case Stage.FAILED:
                failed = FailedPage(tab)
                failed.retry.connect(lambda: self.retried.emit(tab))
                failed.closed.connect(lambda: self.closed.emit(tab))
                return failed
            case Stage.READY:
                return self._make(tab)

    def _show(self, tab: object) -> None:
        if not isinstance(tab, Tab):
            self._stack.setCurrentWidget(self._empty)
            return
        index = self._index_of(tab)
        if index < 0:
            return
        self._bar.blockSignals(True)
        self._bar.setCurrentIndex(index)
        self._bar.blockSignals(False)
        page = self._pages.get(tab.key)
        if page is not None:
            self._stack.setCurrentWidget(page)

    def _bar_changed(self, index: int) -> None:
        tab = self._tab_at(index)
        if tab is not None:
            self._tabs.show(tab)
            self._show(tab)

    def _close_asked(self, index: int) -> None:
        tab = self._tab_at(index)
        if tab is not None:
            self.closed.emit(tab)

    def _moved(self, _from: int, to: int) -> None:
        tab = self._tab_at(to)
        if tab is not None:
            self._tabs.move(tab, to)

    def _menu_asked(self, at: QPoint) -> None:
        tab = self._tab_at(self._bar.tabAt(at))
        if tab is None:
            return
        self._tabs.show(tab)
        menu = QMenu(self)
        self.menu.emit(tab, menu)
        menu.exec(self._bar.mapToGlobal(at))
        menu.deleteLater()
