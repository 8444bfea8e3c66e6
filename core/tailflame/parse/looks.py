"""What an unknown file looks like, so that a refusal can say more than "unknown"."""

from __future__ import annotations

import re
import tarfile

from tailflame.parse.source import decode_head

_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"\x7fELF", "a program or library (ELF)", "To profile it, record it instead of opening it."),
    (b"#!", "a script", "To profile it, record it instead of opening it."),
    (b"PERFILE2", "perf.data", "Record it again: its contents do not fit its name."),
    (b"2ELIFREP", "perf.data of a machine of the other byte order", "Run perf script there, open its text here."),
    (b"\x89PNG", "a PNG picture", "Open the SVG it was made from, or the recording itself."),
    (b"\xff\xd8\xff", "a JPEG picture", "Open the SVG it was made from, or the recording itself."),
    (b"GIF8", "a GIF picture", "Open the SVG it was made from, or the recording itself."),
    (b"%PDF", "a PDF document", ""),
    (b"PK\x03\x04", "a zip archive", "Unpack it and open what is inside."),
    (b"\x1f\x8b", "compressed data (gzip) within compressed data", "Unpack it once and open it again."),
    (b"\x28\xb5\x2f\xfd", "compressed data (zstd) within compressed data", "Unpack it once and open it again."),
    (b"SQLite format 3", "an SQLite database", ""),
    (b"HEAP PROFILE", "a heap profile of tcmalloc or jemalloc", ""),
    (b"heap_v2", "a heap profile of jemalloc", ""),
    (b"desc: ", "a massif log", ""),
)


_RULED = r"-{80}\n(?:--.*\n)*"
_REPORTS: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern), tool, made_from)
    for pattern, tool, made_from in (
        (_RULED + r"Command: .*\nMassif arguments: ", "ms_print", "massif.out"),
        (r'reading file ".*" - please wait', "heaptrack_print", "the file of heaptrack"),
        (_RULED + r"Profile data file '.*' \(creator: callgrind", "callgrind_annotate", "callgrind.out"),
        (
            _RULED + r"(?:\S+ cache: .*\n|Files compared: .*\n|Command: .*\n|Data file: .*\n)+Events recorded: ",
            "cg_annotate",
            "cachegrind.out",
        ),
        (
            r"Total: [\d.]+(?: [A-Z]+)?\n +-?[\d.]+ +-?[\d.]+% +-?[\d.]+% +-?[\d.]+ +-?[\d.]+% ",
            "jeprof",
            "the .heap file",
        ),
    )
)


def report_of(head: bytes) -> tuple[str, str] | None:
    """What made the report that a file begins with, and what to open in its place; None where it is no report.

    Its columns of numbers could be taken for stacks or samples.
    """
    text = decode_head(head[:4096]).replace("\r\n", "\n")
    for pattern, tool, made_from in _REPORTS:
        if pattern.match(text):
            return f"a report of {tool}", f"Open what it was made from: {made_from}."
    return None


def archive_of(head: bytes) -> tuple[str, str] | None:
    """A tar archive and what to do about it; None for all else.

    It has no mark at its beginning, and its files lie there as they are: their lines could be taken for a result.
    """
    try:
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")  # checks a sum of the header
    except tarfile.HeaderError:
        return None
    return "a tar archive", "Unpack it first and open what is inside."


def looks_like(head: bytes) -> tuple[str, str]:
    """What a file that begins with `head` seems to be ("a PNG picture"), and what to do about it (may be "")."""
    for magic, what, advice in _MAGIC:
        if head.startswith(magic):
            return what, advice
    text = decode_head(head[:4096])
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith(("{", "[{", "[[", '["')):
        if "traceEvents" in text:
            return "a Chrome trace (JSON)", "Open the file that it was made from."
        return "JSON", "Open the file that it was made from."
    if start[:15].lower().startswith(("<!doctype html", "<html")):
        return "a web page", "Save the picture or the data in it by itself."
    if start.startswith("<"):
        return "XML, but no flame graph", ""
    if b"\0" in head[:4096] and "\0" in text:
        return "binary data of a kind unknown to it", ""
    return "text, but neither stacks nor samples", "A line of folded stacks looks like this: main;parse;read 42"
