"""Asks for the command that opens source lines."""

from __future__ import annotations

from functools import partial

from PySide6.QtWidgets import QDialog, QLineEdit, QWidget

from tailflame_gui.widgets.parts import button, column, label, row

EXAMPLES = ("code --goto %f:%l", "zed %f:%l", "kate --line %l %f", "gvim +%l %f", "emacsclient -n +%l %f")


class EditorDialog(QDialog):
    """`command` is what the user entered, once accepted; "" for $VISUAL or $EDITOR."""

    def __init__(self, command: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Editor")
        self.setMinimumWidth(480)
        self._field = QLineEdit(command)
        self._field.setProperty("face", "mono")
        self._field.setPlaceholderText("$VISUAL, else $EDITOR")
        self._field.setAccessibleName("Editor command")
        examples = row(spacing=4)
        for example in EXAMPLES:
            name = example.partition(" ")[0]
            examples.addWidget(button(name, partial(self._field.setText, example), rank="link", tip=example))
        examples.addStretch()
        foot = row(spacing=8)
        foot.addStretch()
        foot.addWidget(button("Cancel", self.reject))
        save = button("Save", self.accept, rank="primary")
        save.setDefault(True)
        foot.addWidget(save)
        layout = column(margins=(16, 16, 16, 16), spacing=8)
        layout.addWidget(label("The command that opens a source line", "heading"))
        layout.addWidget(
            label("%f stands for the file, %l for the line. Empty: the editor of $VISUAL or $EDITOR.", "second")
        )
        layout.addWidget(self._field)
        layout.addLayout(examples)
        layout.addSpacing(8)
        layout.addLayout(foot)
        self.setLayout(layout)

    @property
    def command(self) -> str:
        return self._field.text().strip()
