"""What a view leaves out or folds, one chip each; a click takes it back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QWidget

from tailflame.analyse.filter_language import MEANINGS, Range, Term, What
from tailflame.analyse.hotspots import thread_label
from tailflame.analyse.names import module_label, short
from tailflame.analyse.sample_filter import EVERYTHING
from tailflame.analyse.tree import TreeOptions
from tailflame.model import StackProfile
from tailflame_gui import icons, plain
from tailflame_gui.models.scope import Scope


def filters_of(options: TreeOptions) -> Iterator[tuple[str, str, TreeOptions]]:
    """(text, tooltip, the options without it) of every filter and fold in `options`."""
    if options.focus is not None:
        yield f"Focus: {short(options.focus)}", f"Only stacks through {options.focus}", replace(options, focus=None)
    for name in sorted(options.hidden):
        yield (
            f"Hidden: {short(name)}",
            f"Frames of {name} are left out",
            replace(options, hidden=options.hidden - {name}),
        )
    for module in sorted(options.collapse_modules):
        yield (
            f"Collapsed: {module_label(module)}",
            f"Adjacent frames of {module} are one box",
            replace(options, collapse_modules=options.collapse_modules - {module}),
        )
    if options.collapse_recursion:
        yield (
            "Recursion collapsed",
            "Calls of a function by itself are one box",
            replace(options, collapse_recursion=False),
        )
    if not options.inlines:
        yield "Inlined code folded", "Inlined code counts for the function it is in", replace(options, inlines=True)


def cleared(options: TreeOptions) -> TreeOptions:
    """`options` without any filter or fold; event, weight, grouping and direction stay."""
    return TreeOptions(event=options.event, weight=options.weight, inverted=options.inverted, grouping=options.grouping)


class Chips(QWidget):
    """changed(value): what was clicked stands for it. Hidden while there is nothing to show."""

    changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._line = QHBoxLayout(self)
        self._line.setContentsMargins(0, 0, 0, 0)
        self._line.setSpacing(4)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._buttons: list[QPushButton] = []
        self.hide()

    def set_chips(self, found: list[tuple[str, str, object]], everything: object) -> None:
        """`found` are (text, tip, the value without it); `everything`: the value without all of them."""
        while self._line.count():
            self._line.takeAt(0)
        for button in self._buttons:
            button.hide()
            button.deleteLater()
        self._buttons = [self._chip(*one) for one in found]
        if len(found) > 1:
            clear = QPushButton("Show everything", self)
            clear.setProperty("rank", "link")
            clear.setToolTip("Take all of these back")
            clear.clicked.connect(lambda: self.changed.emit(everything))
            self._buttons.append(clear)
        for button in self._buttons:
            self._line.addWidget(button)
        self._line.addStretch(1)
        self.setVisible(bool(found))

    def texts(self) -> list[str]:
        return [button.text().replace("&&", "&") for button in self._buttons]

    def click(self, text: str) -> None:
        """Clicks the chip with this text."""
        next(button for button in self._buttons if button.text() == plain.caption(text)).click()

    def _chip(self, text: str, tip: str, without: object) -> QPushButton:
        chip = QPushButton(plain.caption(text), self)
        chip.setIcon(icons.icon("x"))
        chip.setIconSize(QSize(12, 12))
        chip.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
        chip.setToolTip(plain.tip(f"{tip}. Click to take it back."))
        chip.setProperty("rank", "chip")
        chip.clicked.connect(lambda: self.changed.emit(without))
        return chip


class FilterChips(Chips):
    """changed: TreeOptions without what was clicked."""

    def set_options(self, options: TreeOptions) -> None:
        self.set_chips(list(filters_of(options)), cleared(options))


class ScopeChips(Chips):
    """changed: Scope without what was clicked."""

    def set_scope(self, scope: Scope, profile: StackProfile) -> None:
        everything = replace(scope, threads=None, samples=EVERYTHING)
        self.set_chips(list(parts_of(scope, profile)), everything)


def parts_of(scope: Scope, profile: StackProfile) -> Iterator[tuple[str, str, Scope]]:
    """(text, tooltip, the scope without it) of everything that leaves samples out."""
    if scope.span is not None:
        start, end = scope.span
        text = f"{start:.3f} to {end:.3f} s"
        yield text, f"Only samples from {text} after the first one", scope.with_span(None)
    for thread in sorted(thread for thread in scope.threads or () if thread < len(profile.threads)):
        left = (scope.threads or frozenset()) - {thread}
        label = thread_label(profile, thread)
        yield f"Thread {label}", f"Only samples of {label}", replace(scope, threads=left or None)
    for at, term in enumerate(scope.terms):
        text = str(replace(term, excluded=False))
        without = scope.with_terms(scope.terms[:at] + scope.terms[at + 1 :])
        names = _names_of(term, profile)
        words = f"{text} ({names})" if names else text
        if term.excluded:
            yield f"not {words}", f"Without {MEANINGS[term.what]}: {text}", without
        else:
            yield words, f"Only {MEANINGS[term.what]}: {text}", without


def _names_of(term: Term, profile: StackProfile) -> str:
    """Whose numbers a term gives, as far as a chip has room."""
    if term.what is not What.TID:
        return ""
    wanted = {value.low for value in term.values if isinstance(value, Range) and value.low == value.high}
    names = list(dict.fromkeys(thread.name for thread in profile.threads if thread.tid in wanted))
    return ", ".join(names[:3]) + ("…" if len(names) > 3 else "")
