"""Icons are tinted from the tokens, sharp at 2x, and all there."""

import re

import pytest
from PySide6.QtCore import QSize
from PySide6.QtGui import QColor, QIcon, QImage
from PySide6.QtWidgets import QApplication

from helpers.environment import ROOT
from tailflame_gui import icons, theme
from tailflame_resources import bundled


def _inks(image: QImage) -> set[str]:
    pixels = (image.pixelColor(x, y) for x in range(image.width()) for y in range(image.height()))
    return {QColor(p.red(), p.green(), p.blue()).name() for p in pixels if p.alpha() == 255}


@pytest.mark.parametrize("mode", [theme.Mode.LIGHT, theme.Mode.DARK])
def test_an_icon_has_the_colour_of_its_token(qapp: QApplication, mode: theme.Mode) -> None:
    theme.set_mode(mode)
    assert _inks(icons.pixmap("square", "accent", scale=2).toImage()) == {theme.current().accent.name()}
    theme.set_mode(theme.Mode.LIGHT)


def test_an_icon_follows_the_theme_and_the_screen(qapp: QApplication) -> None:
    icon = icons.icon("square")
    theme.set_mode(theme.Mode.LIGHT)
    light = icon.pixmap(QSize(16, 16), 2.0)
    assert (light.width(), light.devicePixelRatio()) == (32, 2.0)
    assert _inks(light.toImage()) == {theme.light().second.name()}
    theme.set_mode(theme.Mode.DARK)
    assert _inks(icon.pixmap(QSize(16, 16), 2.0).toImage()) == {theme.dark().second.name()}
    assert _inks(icon.pixmap(QSize(16, 16), 2.0, QIcon.Mode.Disabled).toImage()) == {theme.dark().faint.name()}
    theme.set_mode(theme.Mode.LIGHT)


def test_every_bundled_icon_draws(qapp: QApplication) -> None:
    for name in bundled.icon_names():
        assert icons.pixmap(name).toImage() != icons.pixmap("square").toImage() or name == "square"


def test_an_unknown_icon_is_an_error_at_once(qapp: QApplication) -> None:
    with pytest.raises(FileNotFoundError):
        icons.icon("no-such-icon")


def test_only_icons_that_are_used_are_bundled() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "gui").rglob("*.py"))
    quoted = set(re.findall(r'"([a-z0-9-]+)"', source))
    assert [name for name in bundled.icon_names() if name not in quoted] == []


def test_the_licence_of_the_icons_is_bundled() -> None:
    assert "ISC License" in bundled.licence("icons/LICENSE")
