"""A function's name as a label: where room is short its path gives way and not the name."""

from __future__ import annotations

from tailflame_gui import plain
from tailflame_gui.widgets.parts import ElidedLabel
from tailflame_gui.widgets.symbol import SymbolWriter


class SymbolLabel(ElidedLabel):
    """As ElidedLabel, cut as symbols are cut in every table."""

    def _fit(self) -> None:
        path, tail, _offset = SymbolWriter(self.font()).fitted(self._whole, max(self.width(), 24))
        shown = f"{path}{tail}"
        if shown != self.text():
            self.setText(shown)
        self.setToolTip(plain.tip(self._whole) if shown != self._whole else "")
