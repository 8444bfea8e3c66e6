"""The rates of the whole program, each against the target of the method: a figure, a shape and a word."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSizePolicy, QWidget

from tailflame_gui import plain
from tailflame_gui.models.cache_figures import RateTile
from tailflame_gui.widgets.parts import ElidedLabel, Icon, column, label, row

_MET = {True: ("circle-check", "good"), False: ("triangle-alert", "warn")}


class CacheBand(QWidget):
    """One block for each rate, side by side; the keyboard reaches each, so that its explanation is for everybody."""

    def __init__(self, tiles: Sequence[RateTile] = ()) -> None:
        super().__init__()
        line = row(margins=(16, 8, 16, 4), spacing=24)
        self.blocks = [_Block(tile) for tile in tiles]
        for block in self.blocks:
            line.addWidget(block, 1)
        self.setLayout(line)
        self.setVisible(bool(tiles))

    def texts(self) -> dict[str, str]:
        """name -> figure and what stands below it."""
        return {block.tile.name: f"{block.tile.text} {block.tile.below}".rstrip() for block in self.blocks}


class _Block(QWidget):
    def __init__(self, tile: RateTile) -> None:
        super().__init__()
        self.tile = tile
        figure = row(spacing=6)
        figure.addWidget(label(tile.text, "figure", mono=True))
        if tile.met is not None:
            figure.addWidget(Icon(*_MET[tile.met]))
        figure.addStretch()
        lines = column(spacing=0)
        lines.addWidget(ElidedLabel(tile.name, "small"))
        lines.addLayout(figure)
        lines.addWidget(ElidedLabel(tile.below, "small" if tile.met is not False else "warn"))
        self.setLayout(lines)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setToolTip(plain.tip(tile.tip))
        self.setAccessibleName(f"{tile.name}: {tile.text} {tile.below}".rstrip())
        self.setAccessibleDescription(tile.tip)
