r"""Names as they are, of what strace writes in C's quotes: "/srv/m\303\274nze", and with -xx "\x2f\x73\x72\x76"."""

from __future__ import annotations

import re

_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|.)", re.DOTALL)
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f"}


def unescaped(text: str) -> str:
    """What stands in C's quotes, without its escapes; bytes that are no UTF-8 stay \\xNN."""
    if "\\" not in text:
        return text
    raw = _ESCAPE.sub(_byte, text.encode("utf-8", "backslashreplace"))
    return raw.decode("utf-8", "backslashreplace")


def name_of(text: str) -> str:
    r"""`unescaped`, for a table: signs that would break its rows or steer a terminal stay escaped.

    >>> name_of(r"\x2ftmp\x2fa\012b")
    '/tmp/a\\nb'
    """
    return visible(unescaped(text)) if "\\" in text else text


def visible(name: str) -> str:
    if name.isprintable():
        return name
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in name)


def _byte(escape: re.Match[bytes]) -> bytes:
    digits = escape[1]
    if digits[:1] == b"x" and len(digits) > 1:
        return bytes([int(digits[1:], 16)])
    return bytes([int(digits, 8) & 0xFF]) if digits[:1].isdigit() else _LETTERS.get(digits, digits)
