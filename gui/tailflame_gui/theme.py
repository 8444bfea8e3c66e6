"""The one place that holds colours, type and sizes; light and dark.

`install(app)` follows the desktop's colour scheme; `set_mode` forces one. Painting code asks `current()`
when it paints, and repaints on `signals.changed`.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cache
from pathlib import Path
from string import Template

from PySide6.QtCore import QObject, Qt, QTemporaryDir, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication, QStyleFactory

from tailflame.model import FrameKind
from tailflame_resources import bundled

GRID = 4
"""Every distance is a multiple of this, in device-independent pixels."""
BASE, SMALL, FIGURE = 13, 11, 20
"""Type sizes in pixels: the interface, axes, the one figure that matters on a page."""
ROW = 24
"""Height of a table row."""
ZOOM_MS = 120

INTERFACE_FAMILY = "Inter"
MONO_FAMILY = "JetBrains Mono"


class Mode(StrEnum):
    """What the user asked for."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


@dataclass(frozen=True, slots=True)
class Tokens:
    """Every colour of the interface in one scheme."""

    dark: bool
    window: QColor
    surface: QColor
    raised: QColor
    hairline: QColor
    text: QColor
    second: QColor
    faint: QColor
    accent: QColor
    on_accent: QColor
    """Text on a primary button."""
    link: QColor
    """The accent as body text: dark enough on every surface."""
    hover: QColor
    pressed: QColor
    selection: QColor
    """Background of a selected row: the accent, thinned over the surface."""
    good: QColor
    warn: QColor
    bad: QColor
    less: QColor
    same: QColor
    more: QColor
    kind_user: QColor
    kind_kernel: QColor
    kind_inlined: QColor
    kind_other: QColor
    on_fill: QColor
    """Text on a flame-graph fill, dark in both schemes."""
    percentiles: tuple[QColor, ...]
    """p50, p90, p95, p99, p99.9, p99.99."""
    module_hues: tuple[QColor, ...]
    """Twelve fills of equal lightness; see `module_color`."""

    def kind(self, kind: FrameKind | int) -> QColor:
        """The fill of a frame by where its code lives."""
        match FrameKind(int(kind)):
            case FrameKind.KERNEL:
                return self.kind_kernel
            case FrameKind.INLINED:
                return self.kind_inlined
            case FrameKind.JIT | FrameKind.OTHER:
                return self.kind_other
            case _:
                return self.kind_user

    def ink_on(self, fill: QColor) -> QColor:
        """The text colour that reads best on `fill`: dark on light fills, light on dark ones."""
        return max((self.on_fill, _WHITE), key=lambda ink: contrast(ink, fill))

    def module_color(self, module: str) -> QColor:
        """The same module gets the same hue, in every run and on every machine."""
        return self.module_hues[module_hue(module)]

    def named(self) -> dict[str, str]:
        """Token name -> "#rrggbb", for the style sheet."""
        single = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: c.name() for name, c in single.items() if isinstance(c, QColor)}


_WHITE = QColor("#FFFFFF")


def module_hue(module: str) -> int:
    """Index into `Tokens.module_hues` by a stable hash of the module's name."""
    return zlib.crc32(module.encode("utf-8", "surrogatepass")) % 12


def oklch(lightness: float, chroma: float, hue_degrees: float) -> QColor:
    """An sRGB colour from OKLCH (Ottosson's matrices). Out-of-gamut channels are clipped."""
    a = chroma * math.cos(math.radians(hue_degrees))
    b = chroma * math.sin(math.radians(hue_degrees))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    return QColor.fromRgbF(*(_encode(min(max(channel, 0.0), 1.0)) for channel in linear))


def _encode(channel: float) -> float:
    return 12.92 * channel if channel <= 0.0031308 else 1.055 * channel ** (1 / 2.4) - 0.055


def contrast(one: QColor, other: QColor) -> float:
    """The WCAG contrast ratio, 1 to 21."""

    def luminance(color: QColor) -> float:
        parts = (color.redF(), color.greenF(), color.blueF())
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def blend(over: QColor, under: QColor, share: float) -> QColor:
    """`share` of `over` on `under`, opaque."""
    return QColor.fromRgbF(
        over.redF() * share + under.redF() * (1 - share),
        over.greenF() * share + under.greenF() * (1 - share),
        over.blueF() * share + under.blueF() * (1 - share),
    )


def _colors(*names: str) -> tuple[QColor, ...]:
    return tuple(QColor(name) for name in names)


@cache
def light() -> Tokens:
    return Tokens(
        dark=False,
        window=QColor("#F6F6F4"),
        surface=QColor("#FFFFFF"),
        raised=QColor("#FFFFFF"),
        hairline=QColor("#E1E0DB"),
        text=QColor("#1E1D1A"),
        second=QColor("#5C5A54"),
        faint=QColor("#8A8880"),
        accent=QColor("#2F6FDE"),
        on_accent=QColor("#FFFFFF"),
        link=QColor("#2864CC"),
        hover=blend(QColor("#1E1D1A"), QColor("#F6F6F4"), 0.05),
        pressed=blend(QColor("#1E1D1A"), QColor("#F6F6F4"), 0.10),
        selection=blend(QColor("#2F6FDE"), QColor("#FFFFFF"), 0.12),
        good=QColor("#1A7F4B"),
        warn=QColor("#9A5F0A"),
        bad=QColor("#B93A2B"),
        less=QColor("#2B6CB0"),
        same=QColor("#D8D7D2"),
        more=QColor("#D9730D"),
        kind_user=QColor("#F2C14E"),
        kind_kernel=QColor("#E8825A"),
        kind_inlined=QColor("#9AD1C4"),
        kind_other=QColor("#B9C98A"),
        on_fill=QColor("#1E1D1A"),
        percentiles=_colors("#7292BF", "#5B86C2", "#4472C0", "#6C4FC0", "#A63B9A", "#C92A64"),
        module_hues=tuple(oklch(0.85, 0.068, 20 + 30 * step) for step in range(12)),
    )


@cache
def dark() -> Tokens:
    return Tokens(
        dark=True,
        window=QColor("#15171A"),
        surface=QColor("#1C1F23"),
        raised=QColor("#24282D"),
        hairline=QColor("#32363C"),
        text=QColor("#E7E7E4"),
        second=QColor("#A8ABAF"),
        faint=QColor("#767A80"),
        accent=QColor("#6EA8FE"),
        on_accent=QColor("#15171A"),
        link=QColor("#6EA8FE"),
        hover=blend(QColor("#E7E7E4"), QColor("#15171A"), 0.07),
        pressed=blend(QColor("#E7E7E4"), QColor("#15171A"), 0.13),
        selection=blend(QColor("#6EA8FE"), QColor("#1C1F23"), 0.18),
        good=QColor("#4CC38A"),
        warn=QColor("#E3A341"),
        bad=QColor("#F0705F"),
        less=QColor("#62A0EA"),
        same=QColor("#3A3E44"),
        more=QColor("#F0953F"),
        kind_user=QColor("#C89A35"),
        kind_kernel=QColor("#CE7A55"),
        kind_inlined=QColor("#5E9A8C"),
        kind_other=QColor("#8A9A5E"),
        on_fill=QColor("#15171A"),
        percentiles=_colors("#C9D8EA", "#9BBCE6", "#74A3E8", "#A18BF0", "#D97CCB", "#FF7FA6"),
        module_hues=tuple(oklch(0.70, 0.066, 20 + 30 * step) for step in range(12)),
    )


class Signals(QObject):
    """changed: the tokens are others now; ask `current()`."""

    changed = Signal()


signals = Signals()


@dataclass(slots=True)
class _State:
    mode: Mode = Mode.SYSTEM
    tokens: Tokens | None = None
    glyphs: QTemporaryDir | None = None
    follows: bool = False


_state = _State()


def current() -> Tokens:
    """The tokens in force; light before `install`."""
    return _state.tokens or light()


def mode() -> Mode:
    return _state.mode


def install(app: QApplication, mode: Mode = Mode.SYSTEM) -> None:
    """Loads the fonts, puts palette and style sheet on `app`, and follows the desktop's colour scheme."""
    load_fonts()
    app.setFont(interface_font())
    app.setStyle(QStyleFactory.create("Fusion"))
    if not _state.follows:
        QGuiApplication.styleHints().colorSchemeChanged.connect(_scheme_changed)
        _state.follows = True
    _state.tokens = None
    set_mode(mode)


def set_mode(mode: Mode) -> None:
    """Forces light or dark, or follows the system again."""
    _state.mode = mode
    _apply(dark() if _wants_dark(mode) else light())


def _wants_dark(mode: Mode) -> bool:
    if mode is Mode.SYSTEM:
        return QGuiApplication.styleHints().colorScheme() is Qt.ColorScheme.Dark
    return mode is Mode.DARK


def _scheme_changed(scheme: Qt.ColorScheme) -> None:
    if _state.mode is Mode.SYSTEM:
        _apply(dark() if scheme is Qt.ColorScheme.Dark else light())


def _apply(tokens: Tokens) -> None:
    if tokens is _state.tokens:
        return
    _state.tokens = tokens
    app = QApplication.instance()
    if isinstance(app, QApplication):
        app.setPalette(palette(tokens))
        app.setStyleSheet(style_sheet(tokens))
    signals.changed.emit()


@cache
def load_fonts() -> tuple[str, ...]:
    """Makes the bundled families known to Qt; returns them."""
    families: dict[str, None] = {}
    for name in bundled.FONTS:
        handle = QFontDatabase.addApplicationFontFromData(bundled.font_data(name))
        families.update(dict.fromkeys(QFontDatabase.applicationFontFamilies(handle)))
    return tuple(families)


def interface_font(size: int = BASE, *, weight: QFont.Weight = QFont.Weight.Normal) -> QFont:
    """Inter with tabular figures; `size` in pixels."""
    font = QFont(INTERFACE_FAMILY)
    font.setPixelSize(size)
    font.setWeight(weight)
    font.setFeature(QFont.Tag("tnum"), 1)
    # Letters keep their own widths; hinted horizontally they would snap to whole pixels and look uneven.
    font.setHintingPreference(QFont.HintingPreference.PreferVerticalHinting)
    return font


def mono_font(size: int = BASE, *, weight: QFont.Weight = QFont.Weight.Normal) -> QFont:
    """JetBrains Mono without ligatures (`->` in a symbol stays two signs); `size` in pixels."""
    font = QFont(MONO_FAMILY)
    font.setStyleHint(QFont.StyleHint.Monospace)
    font.setPixelSize(size)
    font.setWeight(weight)
    font.setFeature(QFont.Tag("calt"), 0)
    return font


def palette(tokens: Tokens) -> QPalette:
    """What widgets without a style rule of their own paint with."""
    roles = QPalette.ColorRole
    made = QPalette()
    for role, color in (
        (roles.Window, tokens.window),
        (roles.WindowText, tokens.text),
        (roles.Base, tokens.surface),
        (roles.AlternateBase, tokens.window),
        (roles.Text, tokens.text),
        (roles.PlaceholderText, tokens.faint),
        (roles.Button, tokens.raised),
        (roles.ButtonText, tokens.text),
        (roles.ToolTipBase, tokens.raised),
        (roles.ToolTipText, tokens.text),
        (roles.Highlight, tokens.selection),
        (roles.HighlightedText, tokens.text),
        (roles.Link, tokens.link),
        (roles.LinkVisited, tokens.link),
        (roles.Accent, tokens.accent),
        (roles.Light, tokens.raised),
        (roles.Midlight, tokens.hairline),
        (roles.Mid, tokens.hairline),
        (roles.Dark, tokens.hairline),
        (roles.Shadow, tokens.hairline),
        (roles.BrightText, tokens.bad),
    ):
        made.setColor(role, color)
    for role in (roles.WindowText, roles.Text, roles.ButtonText, roles.HighlightedText):
        made.setColor(QPalette.ColorGroup.Disabled, role, tokens.faint)
    return made


def style_sheet(tokens: Tokens) -> str:
    """The bundled style sheet with the tokens' colours and glyphs filled in."""
    return Template(bundled.style_sheet()).substitute(
        tokens.named(),
        base=BASE,
        small=SMALL,
        figure=FIGURE,
        mono=MONO_FAMILY,
        glyphs=_write_glyphs(tokens).as_posix(),
    )


def _write_glyphs(tokens: Tokens) -> Path:
    """Tints the few glyphs a style sheet needs into a private folder: it takes images only as files."""
    if _state.glyphs is None:
        _state.glyphs = QTemporaryDir()
    folder = Path(_state.glyphs.path()) / ("dark" if tokens.dark else "light")
    if not folder.is_dir():
        folder.mkdir()
        for file, icon, color in (
            ("down", "chevron-down", tokens.second),
            ("up", "chevron-up", tokens.second),
            ("right", "chevron-right", tokens.second),
            ("down-faint", "chevron-down", tokens.faint),
            ("check", "check", tokens.on_accent),
            ("check-menu", "check", tokens.text),
            ("dot", "circle-small", tokens.on_accent),
            ("close", "x", tokens.faint),
            ("close-hover", "x", tokens.text),
        ):
            svg = bundled.icon_svg(icon).replace("currentColor", color.name())
            (folder / f"{file}.svg").write_text(svg, encoding="utf-8")
    return folder
