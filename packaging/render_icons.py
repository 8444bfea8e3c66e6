"""Renders the icon's SVG to the sizes desktops ask for. Run after changing the SVG; the PNGs are committed."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QGuiApplication, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

SIZES = (16, 24, 32, 48, 64, 128, 256, 512)


def main() -> None:
    folder = Path(__file__).resolve().parent / "icons"
    application = QGuiApplication([])
    renderer = QSvgRenderer(str(folder / "tailflame.svg"))
    for size in SIZES:
        image = QImage(size, size, QImage.Format.Format_ARGB32)
        image.fill(Qt.GlobalColor.transparent)
        painter = QPainter(image)
        renderer.render(painter, QRectF(0, 0, size, size))
        painter.end()
        image.save(str(folder / f"tailflame-{size}.png"))
    application.quit()


if __name__ == "__main__":
    main()
