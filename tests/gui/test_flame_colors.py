"""What the colours mean: stable hues, kinds, self weight, differences, and a legend that says so."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtGui import QColor

from helpers.stacks import profile
from tailflame.analyse.tree import CallTree, TreeOptions, build_tree
from tailflame_gui import theme
from tailflame_gui.theme import Tokens, contrast
from tailflame_gui.widgets.flame_colors import (
    HUES,
    KERNEL,
    PROCESS,
    RAMP,
    TONES,
    ColorBy,
    FlameColors,
    color_difference,
    color_tree,
    crate_of,
    fill_of,
    rgb,
)
from tailflame_gui.widgets.flame_paint import blend
from tailflame_gui.widgets.flame_render import FADE, ink_of, inks

MIXED = """
    main@/usr/bin/app;app::risk::check@/usr/bin/app;malloc@/usr/lib/libc.so.6 30
    main@/usr/bin/app;app::risk::check@/usr/bin/app;inlined_part_[i]@/usr/bin/app 20
    main@/usr/bin/app;do_syscall_64_[k]@[kernel.kallsyms] 10
    main@/usr/bin/app;jitted_[j] 40
"""


def tree(text: str = MIXED, **options: bool) -> CallTree:
    return build_tree(profile(text), TreeOptions(**options))  # type: ignore[arg-type]


def color_of(colors: FlameColors, made: CallTree, name: str) -> str:
    node = next(n for n in range(len(made)) if made.name(n) == name)
    return QColor(*map(int, colors.palette[colors.index[node]])).name()


@pytest.mark.parametrize("tokens", [theme.light(), theme.dark()], ids=["light", "dark"])
def test_modules_have_the_hue_of_their_name(tokens: Tokens) -> None:
    made = tree()
    colors = color_tree(made, ColorBy.MODULE, tokens)
    assert color_of(colors, made, "malloc") == tokens.module_color("libc.so.6").name()
    assert color_of(colors, made, "main") == tokens.module_color("app").name()
    assert color_of(colors, made, "do_syscall_64") == tokens.kind_kernel.name()
    shares = {entry.label: entry.share for entry in colors.entries}
    assert shares["libc.so.6"] == pytest.approx(0.3) and shares["kernel"] == pytest.approx(0.1)
    assert sum(share or 0 for share in shares.values()) == pytest.approx(1)


def test_crates_are_told_apart_by_their_modules() -> None:
    made = tree()
    colors = color_tree(made, ColorBy.CRATE, theme.light())
    for name, label in (("app::risk::check", "app::risk"), ("malloc", "libc.so.6"), ("main", "app")):
        node = next(n for n in range(len(made)) if made.name(n) == name)
        assert colors.index[node] == fill_of(label, ColorBy.CRATE)


def test_the_same_crate_has_the_same_colour_in_every_run() -> None:
    # Written down, because Python's own hash differs from run to run.
    labels = ("trading_system::risk", "core", "libc.so.6")
    assert [fill_of(label, ColorBy.CRATE) for label in labels] == [22, 31, 9]
    assert [fill_of(label, ColorBy.MODULE) for label in labels] == [theme.module_hue(label) for label in labels]


@pytest.mark.parametrize(
    ("name", "crate"),
    [
        ("trading_system::risk::Risk::check_risk", "trading_system::risk"),
        ("trading_system::Engine::run", "trading_system"),
        ("trading_system::run", "trading_system"),
        ("<alloc::vec::Vec<T> as core::ops::Drop>::drop", "alloc"),
        ("<T as hashbrown::raw::Hasher>::hash", "hashbrown"),
        ("&mut std::io::Write::write", "std"),
        ("core::ptr::drop_in_place<alloc::string::String>", "core"),
        ("std::vector<int, std::allocator<int> >::push_back(int)", "std"),
        ("<i64>::wrapping_abs", "core"),
        ("<[T]>::len", "core"),
        ("malloc", ""),
        ("", ""),
        ("_ZN4core3fmt", ""),
    ],
)
def test_crate_of_a_name(name: str, crate: str) -> None:
    assert crate_of(name) == crate


def test_kinds_have_the_colours_of_the_theme() -> None:
    made, tokens = tree(), theme.light()
    colors = color_tree(made, ColorBy.KIND, tokens)
    assert color_of(colors, made, "main") == tokens.kind_user.name()
    assert color_of(colors, made, "do_syscall_64") == tokens.kind_kernel.name()
    assert color_of(colors, made, "inlined_part") == tokens.kind_inlined.name()
    assert color_of(colors, made, "jitted") == tokens.kind_other.name()
    assert [e.label for e in colors.entries] == ["user", "kernel", "inlined", "JIT"]
    assert [e.share for e in colors.entries] == pytest.approx([0.3, 0.1, 0.2, 0.4])


def test_self_weight_is_a_ramp_up_to_the_heaviest_leaf() -> None:
    made = tree()
    colors = color_tree(made, ColorBy.SELF, theme.light())
    index = {made.name(n): int(colors.index[n]) for n in range(len(made))}
    assert index["jitted"] == RAMP - 1 and index["main"] == 0
    assert index["main"] < index["do_syscall_64"] < index["malloc"] < index["jitted"]
    assert colors.ramp and [e.label for e in colors.entries] == ["0", "40.0%"]


def test_read_from_the_leaves_the_roots_hold_all_self_weight() -> None:
    made = tree(inverted=True)
    colors = color_tree(made, ColorBy.KIND, theme.light())
    assert {e.label: e.share for e in colors.entries}["user"] == pytest.approx(0.3)
    heat = color_tree(made, ColorBy.SELF, theme.light())
    callers = made.parent >= 0
    assert (heat.index[callers] == 0).all() and (heat.index[~callers] > 0).all()


def test_plain_is_one_colour() -> None:
    colors = color_tree(tree(), ColorBy.PLAIN, theme.light())
    assert not colors.index.any() and len(colors.palette) == 1


def test_the_difference_runs_from_less_over_same_to_more() -> None:
    tokens = theme.light()
    colors = color_difference(np.array([-1.0, 0.0, 1.0, np.nan, 2.0, 0.9]), tokens, least="−50%", most="+50%",
                              within_noise=np.array([False] * 5 + [True]))  # fmt: skip
    shown = [QColor(*map(int, colors.palette[i])) for i in colors.index]
    assert shown == [tokens.less, tokens.same, tokens.more, tokens.same, tokens.more, tokens.same]
    assert [e.label for e in colors.entries] == ["−50%", "same", "+50%"]


@pytest.mark.parametrize("tokens", [theme.light(), theme.dark()], ids=["light", "dark"])
@pytest.mark.parametrize("by", list(ColorBy))
def test_labels_can_be_read_on_every_fill(by: ColorBy, tokens: Tokens) -> None:
    palette = color_tree(tree(), by, tokens).palette
    faded = blend(palette, rgb(tokens.surface), FADE)
    for fills in (palette, faded):
        for color, ink in zip(fills, ink_of(fills, tokens), strict=True):
            assert contrast(inks(tokens)[ink], QColor(*map(int, color))) >= 4.5


def test_special_entries_stay_after_the_hues() -> None:
    palette = color_tree(tree(), ColorBy.CRATE, theme.light()).palette
    assert len(theme.light().module_hues) == HUES and KERNEL == HUES * TONES and PROCESS == KERNEL + 1
    assert len(palette) == KERNEL + 3 and len({tuple(c) for c in palette.tolist()}) == len(palette)
