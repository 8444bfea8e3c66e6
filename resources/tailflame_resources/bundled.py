"""Reads what ships with Tailflame: fonts, icons, the style sheet, a target for probes. Works from a wheel and a zip."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

FONTS = (
    "Inter-Regular.otf",
    "Inter-Medium.otf",
    "Inter-SemiBold.otf",
    "JetBrainsMono-Regular.ttf",
    "JetBrainsMono-Medium.ttf",
)


def font_data(name: str) -> bytes:
    """The font file `name`, one of FONTS."""
    return files(__package__).joinpath("fonts", name).read_bytes()


def licence(name: str) -> str:
    """The licence of what was taken from others: "icons/LICENSE", "fonts/OFL-Inter.txt"."""
    return files(__package__).joinpath(*name.split("/")).read_text("utf-8")


@cache
def icon_svg(name: str) -> str:
    """The Lucide icon `name` as SVG text whose stroke is `currentColor`. FileNotFoundError for others."""
    return files(__package__).joinpath("icons", f"{name}.svg").read_text("utf-8")


@cache
def icon_names() -> tuple[str, ...]:
    """Every bundled icon, sorted."""
    folder = files(__package__).joinpath("icons")
    return tuple(sorted(f.name.removesuffix(".svg") for f in folder.iterdir() if f.name.endswith(".svg")))


def style_sheet() -> str:
    """The window's style sheet with `$token` placeholders."""
    return files(__package__).joinpath("style.qss").read_text("utf-8")


def calibration_target() -> bytes:
    """The program that function probes are calibrated on, an ELF file for x86-64; bpftrace/calibrate.S tells how."""
    return files(__package__).joinpath("bpftrace", "calibrate.x86_64").read_bytes()
