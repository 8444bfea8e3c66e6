"""The boxes of a flame-graph SVG: a tolerant, streaming scan that knows the few tags these files use.

It is not an XML parser, on purpose: files in use are not always well-formed (nameattr leaves "&" bare, the
oldest leave "<" bare), some have hundreds of megabytes on one line, and a scan that knows no entities cannot be
made to expand them. Nothing in the file is executed or fetched.
"""

from __future__ import annotations

import codecs
import math
import re
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from tailflame.errors import ParseError
from tailflame.model import FrameKind
from tailflame.parse.frames import Numbers
from tailflame.parse.source import Source, encoding_of
from tailflame.units import size as size_text

OWN_MARK = "data-tailflame"
"""Attribute of the frames' element in files that report.svg wrote."""
KIND_CLASSES = {
    "user": FrameKind.USER,
    "kernel": FrameKind.KERNEL,
    "inlined": FrameKind.INLINED,
    "jit": FrameKind.JIT,
    "other": FrameKind.OTHER,
}
"""Anything else, or no class, is UNKNOWN."""

_MOST = 1e16
"""No weight reaches it: 400 processors do not run so many cycles in an hour and a half."""
_TAG_LIMIT = 16 * 1024 * 1024
_JOIN_LIMIT = 64 * 1024

# flamegraph.pl:  <rect x="37.6" y="49" width="100.2" height="15.0" fill="rgb(248,149,12)" rx="2" ry="2" />
_PLAIN = re.compile(
    r'rect x="(\d{1,9}(?:\.\d{1,9})?)" y="(\d{1,9}(?:\.\d{1,9})?)" width="(\d{1,9}(?:\.\d{1,9})?)"'
    r' height="[\d.]+" fill="[^"]*" r'
)
# inferno: <rect x="2.3355%" y="53" width="8.4926%" height="15" fill="rgb(221,193,54)" fg:x="33" fg:w="120"/>
_FLUID = re.compile(
    r'rect x="(\d{1,9}\.\d{4})%" y="(\d{1,9})" width="(\d{1,9}\.\d{4})%" height="\d+" fill="[^"]*"'
    r' fg:x="(\d{1,16})" fg:w="(\d{1,16})"/?>'
)
# report.svg: <g class="user" data-p="12" data-module="libc.so.6">
_OWN_GROUP = re.compile(r'g class="(\w+)"(?: data-p="(\d+)")?(?: data-module="([^"]*)")?>')
_ATTRIBUTE = re.compile(r"""([\w:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_LENGTH = re.compile(r"\s*(-?\d{1,9}(?:\.(\d{1,20}))?)(%|px)?\s*")
# "parse (1,250 samples, 88.46%)", with "; +1.91%" in differential graphs
_TITLE = re.compile(
    r"(.*) \((?:-?[\d,.]+ sample weight, )?(-?\d[\d,]*(?:\.\d+)?) ([^,]*), ([\d.]+)%(?:; ?([+-]?[\d.]+)%)?\)",
    re.DOTALL,
)
# 2011 to 2015: onmouseover="s('parse (30 samples, 19.35%)')"
_HOVER = re.compile(r"""onmouseover\s*=\s*"s\('(.*)'\)\"""", re.DOTALL)
_ENTITY = re.compile(r"&(#\d{1,7}|#x[0-9A-Fa-f]{1,6}|lt|gt|amp|quot|apos);")
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}
_OPENING_GROUPS = ("g ", "g\n", "g\t", "a ", "a\n", "a\t", "a>")
_KNOWN_TAGS = ("g", "/g", "a ", "/a", "rect", "text", "/text", "title", "/title", "svg", "/svg")

# The usual group of either, whole and in its parts: name, count, unit, x, y, width, fg:x, fg:w.
_TITLED = r"(<g ?>\n?<title>([^<]*) \((\d[\d,]{0,14}) (\w+), \d\d?\.\d\d%\)</title><rect"
_PLAIN_GROUP = re.compile(
    rf'{_TITLED} x="(\d{{1,9}}\.\d)" y="(\d{{1,9}}(?:\.\d{{1,9}})?)" width="(\d{{1,9}}\.\d)" height="[\d.]+"'
    r' fill="[^"<>]*" r()x="[\d.]+" r()y="[\d.]+" />\n<text  x="[^"<>]*" y="[^"<>]*" >[^<]*</text>\n</g>\n?)'
)
_FLUID_GROUP = re.compile(
    rf'{_TITLED} x="(\d{{1,9}}\.\d{{4}})%" y="(\d{{1,9}})" width="(\d{{1,9}}\.\d{{4}})%" height="\d+"'
    r' fill="[^"<>]*" fg:x="(\d{1,16})" fg:w="(\d{1,16})"/><text x="[^"<>]*" y="[^"<>]*">[^<]*</text></g>\n?)'
)
_GROUP_PARTS = 9


@dataclass(slots=True)
class OwnBoxes:
    """What only Tailflame's files tell, per box: kind, module (into `modules`), the box it stands on (-1: none),
    its own weight and its own samples (NaN: not told). event, unit: what the weights are, unit a Unit's value.
    """

    event: str
    unit: str
    kind: array[int] = field(default_factory=lambda: array("b"))
    module: array[int] = field(default_factory=lambda: array("i"))
    parent: array[int] = field(default_factory=lambda: array("i"))
    weight: array[float] = field(default_factory=lambda: array("d"))
    samples: array[float] = field(default_factory=lambda: array("d"))
    modules: Numbers = field(default_factory=Numbers)


@dataclass(slots=True)
class Boxes:
    """One entry per box that has a name, in the order of the file.

    name: into `names`; x, width: in px or %, as the file has them; y: px; count: as the title tells, NaN where
    it tells none; start, weight: inferno's exact fg:x and fg:w, -1 where there is none.
    """

    names: Numbers = field(default_factory=Numbers)
    name: array[int] = field(default_factory=lambda: array("i"))
    x: array[float] = field(default_factory=lambda: array("d"))
    width: array[float] = field(default_factory=lambda: array("d"))
    y: array[float] = field(default_factory=lambda: array("d"))
    count: array[float] = field(default_factory=lambda: array("d"))
    start: array[int] = field(default_factory=lambda: array("q"))
    weight: array[int] = field(default_factory=lambda: array("q"))
    own: OwnBoxes | None = None

    title: str = ""
    units: Counter[str] = field(default_factory=Counter)
    whole: set[int] = field(default_factory=set)
    """Boxes whose title ends in ", 100%)" without decimals: what all these tools write for the root."""
    differential: bool = False
    ended: bool = False
    """The closing tag of an svg element was seen."""
    inverted: bool = False
    """What the file's script says."""
    decimals: int = 0
    """Most decimals of any x."""
    percent: bool = False
    unplaced: int = 0
    """Named boxes whose place is no number."""

    def __len__(self) -> int:
        return len(self.name)


def scan(source: Source) -> Boxes:
    """Reads every box. ParseError for entity definitions and for a tag without end."""
    scanner = _Scanner(source.name)
    decoder = codecs.getincrementaldecoder(encoding_of(source.head))(errors="backslashreplace")
    pending = ""  # a tag whose end is not yet read
    for chunk in source.chunks():
        pending = scanner.take(pending + decoder.decode(chunk))
        if len(pending) > _TAG_LIMIT:
            raise ParseError(
                f"{source.name} has a tag of more than {size_text(_TAG_LIMIT)}: it is not a flame graph.",
                source=source.name,
            )
    scanner.feed((pending + decoder.decode(b"", final=True)).split("<")[1:])
    return scanner.boxes


def unescape(text: str) -> str:
    """The five XML entities and character references; anything else stays as it is."""
    return _ENTITY.sub(_character, text) if "&" in text else text


def _character(match: re.Match[str]) -> str:
    word = match[1]
    if word[0] != "#":
        return _NAMED[word]
    code = int(word[2:], 16) if word[1] == "x" else int(word[1:])
    return chr(code) if 0 < code < 0xD800 or 0xDFFF < code < 0x110000 else match[0]


class _Scanner:
    def __init__(self, source_name: str) -> None:
        self.boxes = Boxes()
        self._source_name = source_name
        self._until = ""  # inside a script, style or comment: what ends it
        self._title: str | None = None
        self._in_title = False
        self._hover = ""
        self._attributes: dict[str, str | None] = {}  # of the group, in our own files
        self._half = ""  # a tag cut at a bare "<" inside an attribute

    def take(self, text: str) -> str:
        """Reads all whole tags, and gives back what is left: text begins with a tag, or with what is no matter."""
        fluid = " fg:w=" in text
        # What stands before, between and after usual groups, and between these the groups: nearly all of a large file.
        pieces = (_FLUID_GROUP if fluid else _PLAIN_GROUP).split(text) if self.boxes.own is None else [text]
        step = _GROUP_PARTS + 1
        between = pieces[::step]
        edges = [0, *(i for i, gap in enumerate(between[:-1]) if gap and i), len(between) - 1]
        for begin, end in pairwise(edges):
            if begin == end:
                continue  # there are none
            self.feed(between[begin].split("<")[1:])
            if self._until or self._in_title or self._half:  # they stand in a comment, or in a name
                return self._tags("".join(pieces[i] for i in range(begin * step + 1, len(pieces)) if i % step < 2))
            self._groups([pieces[begin * step + part : end * step : step] for part in range(2, step)], fluid=fluid)
        return self._tags(between[-1])

    def _tags(self, text: str) -> str:
        parts = text.split("<")
        left = f"<{parts.pop()}" if len(parts) > 1 else ""
        self.feed(parts[1:])
        return left

    def feed(self, parts: list[str]) -> None:
        """Tags with attributes, each with its ">" and the text after it."""
        for part in parts:
            if self._until:
                self._skip(part)
                continue
            if self._half:
                part = self._joined(part)
            tag = part[:2]  # enough to tell the usual ones, a million times over
            if self._in_title:
                if tag != "/t" and not part.startswith(_KNOWN_TAGS):
                    self._title = f"{self._title}<{part}"
                    self._in_title = len(self._title) < _JOIN_LIMIT
                    continue
                self._in_title = False
            if tag == "/t":
                pass
            elif tag == "re":
                if _is_half(part):
                    self._half = part
                else:
                    self._rect(part)
            elif tag == "te":
                if not self.boxes.title and not self.boxes.name:
                    self.boxes.title = unescape(part[part.find(">") + 1 :]).strip()
            elif tag == "ti":
                self._title = part[part.find(">") + 1 :]
                self._in_title = True
            elif tag in ("/g", "g>", "/a"):
                self._title, self._hover = None, ""
            elif tag in _OPENING_GROUPS:
                if _is_half(part):
                    self._half = part
                else:
                    self._group(part)
            else:
                self._other(part)

    def _joined(self, part: str) -> str:
        half, self._half = self._half, ""
        if part.startswith(_KNOWN_TAGS) or len(half) > _JOIN_LIMIT:
            return part  # the quote was simply missing: go on with the next tag
        return f"{half}<{part}"

    def _skip(self, part: str) -> None:
        if self._until == "/script":
            # inferno: "var inverted = true;", flamegraph.pl: "if (1 == 0) {"
            if "inverted = true" in part or "if (1 == 0)" in part:
                self.boxes.inverted = True
            if part.startswith("/script"):
                self._until = ""
        elif self._until in part:
            self._until = ""

    def _other(self, part: str) -> None:
        if part.startswith("!--"):
            self._until = "" if "-->" in part else "-->"
        elif part.startswith("script"):
            self._until = "" if part.rstrip().endswith("/>") else "/script"
            self._skip(part)
        elif part.startswith("style"):
            self._until = "" if part.rstrip().endswith("/>") else "/style"
        elif part.startswith("![CDATA["):
            self._until = "" if "]]>" in part else "]]>"
        elif part.startswith("svg"):
            if OWN_MARK in part and not len(self.boxes):
                told = dict(_attributes(part))
                event = unescape(told.get(OWN_MARK, ""))
                self.boxes.own = OwnBoxes(event=event, unit=told.get("data-unit", ""))
        elif part.startswith("/svg"):
            self.boxes.ended = True
        elif part.startswith("!ENTITY"):
            raise ParseError(
                f"{self._source_name} defines entities of its own, which flame graphs never do:"
                " it was not read, because such files can grow without bound.",
                source=self._source_name,
                advice="Do not open it in other programs either, unless you know who made it.",
            )

    def _group(self, part: str) -> None:
        self._title = None
        hover = _HOVER.search(part) if "onmouseover" in part else None
        self._hover = hover[1] if hover else ""
        if self.boxes.own is not None:
            usual = _OWN_GROUP.fullmatch(part)
            self._attributes = (
                {"class": usual[1], "data-p": usual[2], "data-module": usual[3] or ""}
                if usual
                else dict(_attributes(part))
            )

    def _own(self, own: OwnBoxes) -> None:
        told, self._attributes = self._attributes, {}
        own.kind.append(KIND_CLASSES.get(told.get("class") or "", FrameKind.UNKNOWN))
        own.module.append(own.modules[unescape(told.get("data-module") or "")])
        parent = _whole_number(told.get("data-p"))
        own.parent.append(parent if parent < len(own.parent) else -1)
        own.weight.append(_fraction(told.get("data-self")))
        own.samples.append(_fraction(told.get("data-n")))

    def _rect(self, part: str) -> None:
        title = self._title
        if title is None:
            if "onmouseover" in part and (hover := _HOVER.search(part)):
                title = hover[1]
            elif self._hover:
                title = self._hover
            else:
                return  # the background
            title = title.replace("\\'", "'")
        self._title = None
        boxes = self.boxes
        start = weight = -1
        if (fluid := _FLUID.match(part)) is not None:
            x, y, width = float(fluid[1]), float(fluid[2]), float(fluid[3])
            start, weight = int(fluid[4]), int(fluid[5])
            decimals, percent = 4, True
        elif (plain := _PLAIN.match(part)) is not None:
            x, y, width = float(plain[1]), float(plain[2]), float(plain[3])
            decimals, percent = len(plain[1].partition(".")[2]), False
        else:
            attributes = dict(_attributes(part))
            # A browser that saves a zoomed graph keeps the true geometry aside.
            place = _LENGTH.fullmatch(attributes.get("_orig_x", attributes.get("x", "")))
            extent = _LENGTH.fullmatch(attributes.get("_orig_width", attributes.get("width", "")))
            row = _LENGTH.fullmatch(attributes.get("y", ""))
            start, weight = _whole_number(attributes.get("fg:x")), _whole_number(attributes.get("fg:w"))
            if row is None or ((place is None or extent is None) and (start < 0 or weight < 0)):
                boxes.unplaced += 1
                return
            x = float(place[1]) if place else math.nan
            width = float(extent[1]) if extent else math.nan
            y = float(row[1])
            decimals, percent = (len(place[2] or ""), place[3] == "%") if place else (0, False)
        boxes.decimals = max(boxes.decimals, decimals)
        boxes.percent |= percent
        boxes.x.append(x)
        boxes.y.append(y)
        boxes.width.append(width)
        boxes.start.append(start)
        boxes.weight.append(weight)
        if boxes.own is not None:
            self._own(boxes.own)
        self._named(unescape(title))

    def _groups(self, columns: list[list[str]], *, fluid: bool) -> None:
        """Usual groups, by their parts."""
        name, count, unit, x, y, width, start, weight = columns
        boxes = self.boxes
        boxes.name.extend([boxes.names[unescape(title)] for title in name])
        boxes.count.extend([float(figure.replace(",", "")) for figure in count])
        boxes.units.update(unit)
        if fluid:
            boxes.percent = True
            boxes.start.extend(list(map(int, start)))
            boxes.weight.extend(list(map(int, weight)))
        else:
            none = array("q", [-1]) * len(name)
            boxes.start.extend(none)
            boxes.weight.extend(none)
        boxes.decimals = max(boxes.decimals, 4 if fluid else 1)
        boxes.x.extend(list(map(float, x)))
        boxes.y.extend(list(map(float, y)))
        boxes.width.extend(list(map(float, width)))
        self._title, self._hover = None, ""

    def _named(self, title: str) -> None:
        boxes = self.boxes
        match = _TITLE.fullmatch(title)
        if match is None:
            boxes.count.append(math.nan)
            boxes.name.append(boxes.names[title])
            return
        name, count, unit, share, change = match.groups()
        if change is not None:
            boxes.differential = True
        if share == "100":
            boxes.whole.add(len(boxes.name))
        figure = float(count.replace(",", ""))
        boxes.count.append(figure if abs(figure) < _MOST else math.nan)
        boxes.units[unit] += 1
        boxes.name.append(boxes.names[name])


def _is_half(part: str) -> bool:
    """Whether a tag was cut at a bare "<" inside an attribute."""
    return ">" not in part or part.count('"') & 1 == 1


def _attributes(part: str) -> Iterator[tuple[str, str]]:
    for key, double, single in _ATTRIBUTE.findall(part):
        yield key, double or single


def _whole_number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 16 else -1


def _fraction(text: str | None) -> float:
    """A weight of our own files; NaN where there is none."""
    try:
        weight = float(text or "nan")
    except ValueError:
        return math.nan
    return weight if 0 <= weight < _MOST else math.nan
