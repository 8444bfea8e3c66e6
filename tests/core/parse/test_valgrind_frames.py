"""Frames as valgrind's heap tools write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailflame.model import NONE, FrameKind
from tailflame.parse.valgrind_frames import UNKNOWN, ValgrindFrame, valgrind_frame


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("0x109359: leak (leaky.cc:6)", ValgrindFrame("0x109359", "leak", file="leaky.cc", line=6)),
        ("0x1: main (in /opt/engine)", ValgrindFrame("0x1", "main", "/opt/engine")),
        ("0x1: ??? (in /lib (old)/x.so)", ValgrindFrame("0x1", UNKNOWN, "/lib (old)/x.so", kind=FrameKind.OTHER)),
        ("0x0: ???", ValgrindFrame("0x0", UNKNOWN, kind=FrameKind.OTHER)),
        ("0x1: f(int (*)(long)) (a b.cc:9)", ValgrindFrame("0x1", "f(int (*)(long))", file="a b.cc", line=9)),
        ("0x1: <T as a::B>::c: d (src/b.rs:95:9)", ValgrindFrame("0x1", "<T as a::B>::c: d", file="src/b.rs", line=95)),
        ("0x1: f (/a:3/b.c:12)", ValgrindFrame("0x1", "f", file="/a:3/b.c", line=12)),
        ("0x1: operator()", ValgrindFrame("0x1", "operator()")),
        ("0x1: f (unknown)", ValgrindFrame("0x1", "f", file="unknown")),
        ("0x1: (below main) (libc-start.c:308)", ValgrindFrame("0x1", "(below main)", file="libc-start.c", line=308)),
    ],
)  # fmt: skip
def test_frames(text: str, frame: ValgrindFrame) -> None:
    assert valgrind_frame(text) == frame


@pytest.mark.parametrize(
    "text", ["", "[root]", "main (a.c:1)", "in 3 places, all below", "0x: f (a.c:1)", "0x1:f (a.c:1)"]
)
def test_what_is_no_frame(text: str) -> None:
    assert valgrind_frame(text) is None


@given(st.text())
def test_any_text(text: str) -> None:
    frame = valgrind_frame(f"0x5: {text}")
    assert frame is not None
    assert frame.line == NONE or frame.line >= 0
