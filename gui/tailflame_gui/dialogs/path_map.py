"""Asks where sources are that were built in another place: pairs of how a path began there and begins here."""

from __future__ import annotations

from functools import partial
from pathlib import PurePosixPath

from PySide6.QtWidgets import QDialog, QFileDialog, QGridLayout, QLineEdit, QWidget

from tailflame_gui.widgets.parts import button, column, icon_button, label, row

_ROWS = 20
PathPairs = tuple[tuple[str, str], ...]


class PathMapDialog(QDialog):
    """`pairs` is what the user entered, once accepted. `missing`: the name of a source that was not found, if any."""

    def __init__(self, pairs: PathPairs, *, missing: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Path map")
        self.setMinimumWidth(640)
        self._lines: list[tuple[QLineEdit, QLineEdit]] = []
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(8)
        self._grid.setVerticalSpacing(4)
        self._grid.addWidget(label("Built in", "small"), 0, 0)
        self._grid.addWidget(label("Now in", "small"), 0, 1)
        foot = row(spacing=8)
        foot.addWidget(button("Add", self._add, rank="quiet", icon="plus", tip="One more pair"))
        foot.addStretch()
        foot.addWidget(button("Cancel", self.reject))
        save = button("Save", self.accept, rank="primary")
        save.setDefault(True)
        foot.addWidget(save)
        layout = column(margins=(16, 16, 16, 16), spacing=8)
        layout.addWidget(label("Where sources are now", "heading"))
        layout.addWidget(
            label(
                "A source whose name begins with the folder on the left is looked for in the folder on the right;"
                " the first that fits is taken.",
                "second",
                wrap=True,
            )
        )
        layout.addLayout(self._grid)
        layout.addSpacing(8)
        layout.addLayout(foot)
        self.setLayout(layout)
        for old, new in pairs[:_ROWS]:
            self._add(old, new)
        if missing or not pairs:
            self._add(_folder_of(missing))
            self._lines[-1][1].setFocus()

    @property
    def pairs(self) -> PathPairs:
        entered = ((old.text().strip(), new.text().strip()) for old, new in self._lines)
        return tuple((old, new) for old, new in entered if old and new)

    def _add(self, old: str = "", new: str = "") -> None:
        if len(self._lines) >= _ROWS:
            return
        at = self._grid.rowCount()
        fields = QLineEdit(old), QLineEdit(new)
        for place, (field, name) in enumerate(zip(fields, ("Built in", "Now in"), strict=True)):
            field.setProperty("face", "mono")
            field.setAccessibleName(name)
            self._grid.addWidget(field, at, place)
        fields[0].setPlaceholderText("/build/engine")
        fields[1].setPlaceholderText("/home/me/engine")
        self._grid.addWidget(icon_button("folder-open", partial(self._choose, fields[1]), tip="Choose a folder"), at, 2)
        self._lines.append(fields)

    def _choose(self, field: QLineEdit) -> None:
        dialog = QFileDialog(self, "The folder that the sources are in now", field.text())
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.fileSelected.connect(field.setText)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()


def _folder_of(name: str) -> str:
    """What is likely to have moved: the folder above src, or the source's own."""
    path = PurePosixPath(name)
    above = next((folder for folder in path.parents if folder.name in ("src", "source", "lib", "include")), None)
    folder = above.parent if above is not None else path.parent
    return str(folder) if str(folder) not in (".", "/") else ""
