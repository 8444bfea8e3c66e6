"""A flame graph as one SVG file: interactive in any browser, and a tree again for whoever reads it.

The boxes carry inferno's fg:x, fg:w and total_samples, so that every reader of inferno's graphs reads these, and
beside them what inferno cannot tell: kinds, modules, and weights that are not whole numbers.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TextIO

from tailflame.analyse.layout import Order, lay_out
from tailflame.analyse.tree import CallTree, TreeOptions, build_tree
from tailflame.model import FrameKind, StackProfile, Weight
from tailflame.model.stacks import UInt8
from tailflame.report.boxes import DrawnBoxes, drawn_boxes
from tailflame.report.output import opened
from tailflame.units import Unit, count

_WIDTH = 1200
_PAD = 10
_ROW = 16
_TOP = 40
_BOTTOM = 30
_CHARACTER = 7.2

_CLASSES = {
    FrameKind.USER: "user",
    FrameKind.KERNEL: "kernel",
    FrameKind.INLINED: "inlined",
    FrameKind.JIT: "jit",
    FrameKind.OTHER: "other",
    FrameKind.UNKNOWN: "unknown",
}
_FILLS = {
    FrameKind.USER: (242, 193, 78),
    FrameKind.KERNEL: (232, 130, 90),
    FrameKind.INLINED: (154, 209, 196),
    FrameKind.JIT: (185, 201, 138),
    FrameKind.OTHER: (201, 199, 192),
    FrameKind.UNKNOWN: (242, 193, 78),
}
_WORDS: dict[Unit, str] = {unit: unit.value for unit in Unit if unit is not Unit.EVENTS}
# What XML 1.0 has no way to write, not even as a reference.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

_STYLE = """
text { font-family: monospace; font-size: 12px; fill: #1E1D1A; }
#title { font-size: 17px; text-anchor: middle; }
#search, #matched { text-anchor: end; }
#search, #reset { cursor: pointer; fill: #2F6FDE; }
#frames g { cursor: pointer; }
#frames text { pointer-events: none; }
#frames g:hover rect { stroke: #1E1D1A; stroke-width: 1; }
.hide { display: none; }
.parent { opacity: 0.5; }
.match rect { fill: #6C4FC0; }
.match text { fill: #FFFFFF; }
"""


def write(
    what: StackProfile | CallTree,
    target: Path | TextIO,
    *,
    event: int = 0,
    weight: Weight = Weight.SAMPLES,
    event_name: str = "",
    title: str = "",
    order: Order = Order.NAME,
    icicle: bool = False,
    least_share: float = 0.0,
) -> None:
    """Writes the flame graph of a profile, or of a tree as it is shown.

    event, weight: a profile's column (a tree has chosen). event_name: what a tree's weights count, if they are
    an event's. icicle: root at the top. least_share: frames below this share of the whole are left out, 0 keeps
    every one. StoreError where it cannot be written.
    """
    if isinstance(what, CallTree):
        tree = what
    else:
        tree = build_tree(what, TreeOptions(event=event, weight=weight))
        event_name = what.events[event].name
    boxes = drawn_boxes(tree, lay_out(tree, order), least_share=least_share)
    graph = _Graph(tree, boxes, _word(tree.unit, event_name), tree.kinds())
    height = _TOP + _BOTTOM + _ROW * (boxes.rows + 1)
    title = title or ("Icicle Graph" if icicle else "Flame Chart" if order is Order.TIME else "Flame Graph")
    with opened(target) as stream:
        stream.write('<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n')
        stream.write(
            f'<svg version="1.1" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
            ' xmlns="http://www.w3.org/2000/svg" xmlns:fg="http://github.com/jonhoo/inferno">\n'
            f"<style>{_STYLE}</style>\n"
            f'<rect x="0" y="0" width="100%" height="{height}" fill="#F6F6F4"/>\n'
            f'<text id="title" x="50%" y="24">{_text(title)}</text>\n'
            '<text id="reset" class="hide" x="10" y="24">Reset zoom</text>\n'
            '<text id="search" x="99%" y="24">Search</text>\n'
            f'<text id="details" x="10" y="{height - 10}"> </text>\n'
            f'<text id="matched" x="99%" y="{height - 10}"> </text>\n'
            f'<svg id="frames" x="{_PAD}" width="{_WIDTH - 2 * _PAD}" total_samples="{boxes.places}"'
            f" data-tailflame={_attribute(event_name or 'samples')} data-unit={_attribute(tree.unit)}>\n"
        )
        graph.write(stream, height=height, icicle=icicle)
        stream.write("</svg>\n<script><![CDATA[\n")
        stream.write(files("tailflame.report").joinpath("flamegraph.js").read_text(encoding="utf-8"))
        stream.write("]]></script>\n</svg>\n")


@dataclass(frozen=True, slots=True, eq=False)
class _Graph:
    tree: CallTree
    boxes: DrawnBoxes
    word: str
    kinds: UInt8

    def write(self, stream: TextIO, *, height: int, icicle: bool) -> None:
        """Every box, the root first; box n of the file is box n - 1 of `boxes`."""
        tree, boxes = self.tree, self.boxes
        in_places, in_samples = boxes.in_places, tree.unit.is_count
        loose = max(tree.total - float(boxes.weight[boxes.depth == 0].sum()), 0.0)
        whole = f"all ({count(tree.total)} {self.word}, 100%)"
        lowest = _TOP if icicle else height - _BOTTOM - _ROW
        step = _ROW if icicle else -_ROW
        about = "" if in_places else f' data-self="{loose!r}"'
        if not in_samples:
            about += f' data-n="{max(tree.total_samples - float(tree.self_samples.sum()), 0.0)!r}"'
        stream.write(self._element("all", FrameKind.OTHER, whole, about, 0, boxes.places, lowest))
        functions, columns = tree.functions, zip(
            boxes.node.tolist(), boxes.depth.tolist(), boxes.parent.tolist(), boxes.start.tolist(),
            boxes.width.tolist(), boxes.weight.tolist(), boxes.own.tolist(), boxes.samples.tolist(),
            strict=True,
        )  # fmt: skip
        for node, depth, parent, start, width, weight, own, samples in columns:
            name = functions.names[tree.function[node]]
            share = weight / tree.total if tree.total else 0.0
            heading = f"{name} ({count(weight)} {self.word}, {100 * share:.2f}%)"
            about = f' data-p="{parent + 1}"'
            if module := tree.module(node):
                about += f" data-module={_attribute(module)}"
            if not in_places:
                about += f' data-self="{own!r}"'
            if not in_samples and samples == samples:
                about += f' data-n="{samples!r}"'
            y = lowest + step * (depth + 1)
            stream.write(self._element(name, FrameKind(int(self.kinds[node])), heading, about, start, width, y))

    def _element(self, name: str, kind: FrameKind, heading: str, about: str, start: int, width: int, y: int) -> str:
        places = self.boxes.places or 1
        x, w = 100 * start / places, 100 * width / places
        room = int((w / 100 * (_WIDTH - 2 * _PAD) - 6) / _CHARACTER)
        label = "" if room < 3 else name if len(name) <= room else f"{name[: room - 2]}.."
        return (
            f'<g class="{_CLASSES[kind]}"{about}><title>{_text(heading)}</title>'
            f'<rect x="{x:.4f}%" y="{y}" width="{w:.4f}%" height="{_ROW - 1}" fill="{_fill(name, kind)}"'
            f' fg:x="{start}" fg:w="{width}"/>'
            f'<text x="{x + 0.25:.4f}%" y="{y + 11.5}">{_text(label)}</text></g>\n'
        )


def _word(unit: Unit, event_name: str) -> str:
    """What titles count. Readers take it to end at a comma."""
    return _WORDS.get(unit) or re.sub(r"[,()%\s]+", " ", event_name).strip() or "events"


def _writable(text: str) -> str:
    return _UNWRITABLE.sub("\ufffd", text)


def _text(text: str) -> str:
    return escape(_writable(text), quote=False)


def _attribute(text: str) -> str:
    """In quotes. Line ends and tabs as numbers: a reader makes blanks of them otherwise."""
    kept = escape(_writable(text)).replace("\n", "&#10;").replace("\r", "&#13;").replace("\t", "&#9;")
    return f'"{kept}"'


def _fill(name: str, kind: FrameKind) -> str:
    """The kind's colour, a little lighter or darker by the name, so that neighbours can be told apart."""
    shade = 0.92 + 0.16 * (zlib.crc32(name.encode(errors="replace")) % 256) / 255
    red, green, blue = (min(255, round(part * shade)) for part in _FILLS[kind])
    return f"rgb({red},{green},{blue})"
