"""Colours meet their contrast, the theme follows the system, and the bundled fonts are found."""

import math

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFontInfo, QGuiApplication
from PySide6.QtWidgets import QApplication, QLabel

from tailflame.model import FrameKind
from tailflame_gui import theme
from tailflame_resources import bundled

BOTH = pytest.mark.parametrize("tokens", [theme.light(), theme.dark()], ids=["light", "dark"])
BACKGROUNDS = ("window", "surface", "raised")


@BOTH
@pytest.mark.parametrize("background", BACKGROUNDS)
def test_body_text_reads_on_every_background(tokens: theme.Tokens, background: str) -> None:
    for name in ("text", "second", "link", "good", "warn", "bad"):
        ratio = theme.contrast(getattr(tokens, name), getattr(tokens, background))
        assert ratio >= 4.5, f"{name} on {background}: {ratio:.2f}"
    assert theme.contrast(tokens.faint, getattr(tokens, background)) >= 3


@BOTH
def test_text_reads_on_selected_and_hovered_rows(tokens: theme.Tokens) -> None:
    for background in (tokens.selection, tokens.hover, tokens.pressed):
        assert theme.contrast(tokens.text, background) >= 4.5
        assert theme.contrast(tokens.second, background) >= 4.5
    assert theme.contrast(tokens.on_accent, tokens.accent) >= 4.5


@BOTH
def test_text_reads_on_every_flame_fill(tokens: theme.Tokens) -> None:
    kinds = [tokens.kind(kind) for kind in FrameKind]
    for fill in (*tokens.module_hues, *kinds):
        assert theme.contrast(tokens.on_fill, fill) >= 4.5
    for fill in (tokens.less, tokens.same, tokens.more):
        assert theme.contrast(tokens.ink_on(fill), fill) >= 4.5


def _oklch(color: QColor) -> tuple[float, float]:
    """(lightness, chroma), the inverse of theme.oklch written out on its own."""
    channels = (color.redF(), color.greenF(), color.blueF())
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    long = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    medium = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    short = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    lightness = 0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short
    red_green = 1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short
    yellow_blue = 0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short
    return lightness, math.hypot(red_green, yellow_blue)


@BOTH
def test_module_hues_share_lightness_and_chroma(tokens: theme.Tokens) -> None:
    lightness, chroma = zip(*(_oklch(hue) for hue in tokens.module_hues), strict=True)
    assert len({hue.name() for hue in tokens.module_hues}) == 12
    assert max(lightness) - min(lightness) < 0.01
    assert max(chroma) - min(chroma) < 0.01
    assert max(chroma) < 0.1


def test_a_module_keeps_its_hue() -> None:
    assert theme.module_hue("libc.so.6") == 9
    assert {theme.module_hue(f"module-{n}") for n in range(500)} == set(range(12))
    assert theme.light().module_color("a") == theme.light().module_hues[theme.module_hue("a")]


def test_bundled_fonts_are_what_the_window_uses(qapp: QApplication) -> None:
    assert {theme.INTERFACE_FAMILY, theme.MONO_FAMILY} <= set(theme.load_fonts())
    for font, family in ((theme.interface_font(), "Inter"), (theme.mono_font(), "JetBrains Mono")):
        assert QFontInfo(font).family() == family
        assert QFontInfo(font).pixelSize() == theme.BASE


def test_fonts_stay_small_and_carry_their_licences() -> None:
    assert sum(len(bundled.font_data(name)) for name in bundled.FONTS) < 2_000_000
    for licence in ("OFL-Inter.txt", "OFL-JetBrainsMono.txt"):
        assert "SIL OPEN FONT LICENSE" in bundled.licence(f"fonts/{licence}")


def test_figures_are_tabular(qapp: QApplication) -> None:
    from PySide6.QtGui import QFontMetricsF

    for font in (theme.interface_font(), theme.mono_font()):
        metrics = QFontMetricsF(font)
        assert len({round(metrics.horizontalAdvance(digit * 8), 2) for digit in "0123456789"}) == 1


def test_forcing_a_scheme_repaints_everything(qapp: QApplication, qtbot) -> None:  # type: ignore[no-untyped-def]
    label = QLabel("x")
    qtbot.addWidget(label)
    theme.install(qapp, theme.Mode.LIGHT)
    assert theme.current() is theme.light()
    with qtbot.waitSignal(theme.signals.changed):
        theme.set_mode(theme.Mode.DARK)
    assert theme.current() is theme.dark()
    assert label.palette().color(label.foregroundRole()) == theme.dark().text
    with qtbot.assertNotEmitted(theme.signals.changed):
        theme.set_mode(theme.Mode.DARK)
    theme.set_mode(theme.Mode.LIGHT)


def test_the_system_scheme_is_followed(qapp: QApplication) -> None:
    theme.install(qapp, theme.Mode.SYSTEM)
    # The offscreen platform has no desktop to ask, so the desktop's word is given here.
    said = QGuiApplication.styleHints().colorSchemeChanged
    said.emit(Qt.ColorScheme.Dark)
    assert theme.current() is theme.dark()
    said.emit(Qt.ColorScheme.Light)
    assert theme.current() is theme.light()
    theme.set_mode(theme.Mode.LIGHT)
    said.emit(Qt.ColorScheme.Dark)
    assert theme.current() is theme.light()


def test_every_placeholder_of_the_style_sheet_is_filled() -> None:
    for tokens in (theme.light(), theme.dark()):
        sheet = theme.style_sheet(tokens)
        assert "${" not in sheet
        assert tokens.accent.name() in sheet
