"""Names as they are, wherever Qt would read signs in them: Rust writes `Box<A>::f` and `<&mut I as Iterator>::next`.

A tool tip takes text that begins like HTML for HTML, so that `<A>` vanishes and an `<img>` in a foreign file would be
loaded. A button or a menu takes `&` for the mark of a shortcut.
"""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import Qt as Text  # the functions on rich text stand here


def tip(text: str) -> str:
    """`text` as a tool tip that shows exactly this text."""
    if not Text.mightBeRichText(text):
        return text
    return Text.convertFromPlainText(text, Qt.WhiteSpaceMode.WhiteSpaceNormal)


def caption(text: str) -> str:
    """`text` as the words of a button, a menu's line or a tab that shows exactly this text."""
    return text.replace("&", "&&")
