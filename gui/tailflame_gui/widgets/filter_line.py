"""The line that filters samples by an expression: completes names, and underlines what cannot be read."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QStringListModel, Qt, Signal
from PySide6.QtGui import QInputMethodEvent, QKeyEvent, QTextCharFormat
from PySide6.QtWidgets import QAbstractItemView, QApplication, QCompleter, QWidget

from tailflame.analyse.filter_completion import Completer, Completion, help_text
from tailflame.analyse.filter_language import FilterError, Term, parse, text_of
from tailflame_gui import plain, theme
from tailflame_gui.widgets.filter_field import FilterField


class FilterLine(FilterField):
    """terms_changed(terms): another expression that can be read stands here. told(sentence): why it cannot be read,
    "" where it can.
    """

    terms_changed = Signal(object)
    told = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Filter samples: thread:worker* -thread:logger", icon="filter", tip=help_text(), parent=parent)
        self.setAccessibleName("Filter samples")
        self.error: FilterError | None = None
        self._terms: tuple[Term, ...] = ()
        self._source: Completer | None = None
        self._completion = Completion(0, 0, ())
        self._options = QStringListModel(self)
        self._popup = QCompleter(self._options, self)
        self._popup.setWidget(self)
        self._popup.setCompletionMode(QCompleter.CompletionMode.UnfilteredPopupCompletion)
        self._popup.activated.connect(self._take)
        self.textEdited.connect(lambda _text: self.offer())
        self.query_changed.connect(self._read)

    @property
    def _list(self) -> QAbstractItemView:
        popup = self._popup.popup()
        assert popup is not None
        return popup

    def set_completer_of(self, source: Completer | None) -> None:
        """Where completions come from."""
        self._source = source

    @property
    def terms(self) -> tuple[Term, ...]:
        return self._terms

    def show_terms(self, terms: tuple[Term, ...]) -> None:
        """Writes them, silently, where they are others: what was typed stays as it was typed."""
        if terms != self._terms or self.error is not None:
            self._terms = terms
            self.setText(text_of(terms))  # not with signals blocked: the button that clears it follows them
            self._timer.stop()
            self._complain(None)

    def offer(self) -> None:
        """Shows what can stand where the cursor is."""
        if self._source is None:
            return
        self._completion = self._source.complete(self.text(), self.cursorPosition())
        self._options.setStringList(list(self._completion.options))
        popup = self._list
        if not self._completion.options:
            popup.hide()
            return
        place = self.cursorRect()
        place.moveLeft(max(place.left() - 8, 0))
        place.setWidth(max(popup.sizeHintForColumn(0) + 32, 160))
        self._popup.complete(place)

    @property
    def options(self) -> list[str]:
        """What is offered now."""
        return self._options.stringList()

    def _take(self, option: str) -> None:
        text, at = self.text(), self._completion
        # The next letter is of the same word after "thread:", and of another after a name.
        tail = text[at.end :]
        self.setText(text[: at.start] + option + tail)
        self.setCursorPosition(at.start + len(option))
        if option.endswith(":"):
            self.offer()
        else:
            self.commit()

    def _read(self, text: str) -> None:
        try:
            terms = parse(text)
        except FilterError as error:
            self._complain(error)
            return
        self._complain(None)
        if terms != self._terms:
            self._terms = terms
            self.terms_changed.emit(terms)

    def _complain(self, error: FilterError | None) -> None:
        self.error = error
        state = "bad" if error else ""
        if self.property("state") != state:
            self.setProperty("state", state)
            self.style().unpolish(self)
            self.style().polish(self)
        self.setToolTip(plain.tip(str(error) if error else help_text()))
        self._underline(error)
        self.told.emit(str(error) if error else "")

    def _underline(self, error: FilterError | None) -> None:
        """Marks the place. A line edit formats a part of its text only as an input method's."""
        found = []
        if error is not None:
            wave = QTextCharFormat()
            wave.setUnderlineStyle(QTextCharFormat.UnderlineStyle.WaveUnderline)
            wave.setUnderlineColor(theme.current().bad)
            wave.setForeground(theme.current().bad)
            start, length = error.start - self.cursorPosition(), max(error.end - error.start, 1)
            kind = QInputMethodEvent.AttributeType.TextFormat
            found.append(QInputMethodEvent.Attribute(kind, start, length, wave))
        self.blockSignals(True)
        QApplication.sendEvent(self, QInputMethodEvent("", found))
        self.blockSignals(False)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        popup = self._list
        if popup.isVisible() and event.key() in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab):
            index = popup.currentIndex()
            row = index.row() if index.isValid() else 0
            popup.hide()
            self._take(self.options[row])
        elif event.key() == Qt.Key.Key_Down and not popup.isVisible():
            self.offer()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            popup.hide()
            self.commit()
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        # Tab would leave the field.
        if (
            isinstance(event, QKeyEvent)
            and event.type() is QEvent.Type.KeyPress
            and event.key() == Qt.Key.Key_Tab
            and self._list.isVisible()
        ):
            self.keyPressEvent(event)
            return True
        return super().event(event)
