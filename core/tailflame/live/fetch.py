"""One question over HTTP, asked in a thread: bounded in time and size, and what went wrong as a phrase."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from dataclasses import dataclass

from tailflame.errors import ParseError
from tailflame.units import size

_PIECE = 64 << 10
_BODY_OF_ERRORS = 64 << 10


@dataclass(frozen=True, slots=True)
class Page:
    text: str
    content_type: str
    asked_s: float
    """When the question was sent, CLOCK_MONOTONIC."""


@dataclass(frozen=True, slots=True)
class NoPage:
    """`reason` is the rest of a sentence: "connection refused"."""

    reason: str
    asked_s: float
    status: int = 0
    """The HTTP status, 0 without one."""
    body: str = ""


def address(text: str, *, path: str) -> str:
    """A full URL for what a person types: "127.0.0.1:9000" gets its scheme, and `path` where it has none.

    ParseError where it is no address of a web server.
    """
    url = text.strip()
    if "://" not in url:
        url = f"http://{url}"
    try:
        parts = urllib.parse.urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine or any(c.isspace() or ord(c) < 32 for c in url):
        raise ParseError(f"“{text}” is not the address of a web server.", advice=f"Give it as http://HOST:PORT{path}.")
    if parts.path in ("", "/"):
        parts = parts._replace(path=path)
    return urllib.parse.urlunsplit(parts)


def shown(url: str) -> str:
    """Without the password that it may hold."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def fetch(url: str, *, accept: str, timeout_s: float, limit: int, form: bytes | None = None) -> Page | NoPage:
    """GET, or POST of a `form`. Takes `timeout_s` at most, up to twice in bad cases; `limit` is in bytes, unpacked."""
    parts = urllib.parse.urlsplit(url)
    request = urllib.request.Request(shown(url), data=form, headers={"Accept": accept, "Accept-Encoding": "gzip"})
    if parts.username is not None:
        user, password = (urllib.parse.unquote(part or "") for part in (parts.username, parts.password))
        request.add_header("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())
    # Not the environment's proxy: it is there for the web, and knows no loopback address of ours. Nor file: and ftp:.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    asked_s = time.monotonic()
    deadline = asked_s + timeout_s
    try:
        with opener.open(request, timeout=timeout_s) as answer:
            body = _body(answer, deadline, limit)
            return Page(body.decode("utf-8", errors="replace"), answer.headers.get("Content-Type", ""), asked_s)
    except urllib.error.HTTPError as problem:
        with problem:
            try:
                words = _body(problem, deadline, _BODY_OF_ERRORS).decode("utf-8", errors="replace")
            except (OSError, http.client.HTTPException, ValueError, zlib.error):
                words = ""
        reason = f"it answers with {problem.code} {problem.reason}".rstrip()
        return NoPage(reason, asked_s, problem.code, words)
    except (OSError, http.client.HTTPException, ValueError, zlib.error) as problem:
        return NoPage(_reason(problem, timeout_s), asked_s)


def _body(answer: http.client.HTTPResponse | urllib.error.HTTPError, deadline: float, limit: int) -> bytes:
    """ValueError, phrased for people, where it is cut off or too large; TimeoutError."""
    packed = answer.headers.get("Content-Encoding", "").lower() in ("gzip", "x-gzip")
    unpacker = zlib.decompressobj(wbits=31) if packed else None
    pieces: list[bytes] = []
    held = came = 0
    # read1: what has come, whenever it comes. read() would wait for a whole piece from one that drips.
    while piece := answer.read1(_PIECE):
        came += len(piece)
        if unpacker is not None:
            piece = unpacker.decompress(piece, limit + 1)
            if unpacker.unconsumed_tail:
                held = limit
        held += len(piece)
        if held > limit:
            raise ValueError(f"it answers with more than {size(limit)}")
        pieces.append(piece)
        if time.monotonic() > deadline:
            raise TimeoutError
    told = answer.headers.get("Content-Length")
    if (told is not None and told.isdigit() and came < int(told)) or (unpacker is not None and not unpacker.eof):
        raise ValueError("its answer is cut off")
    return b"".join(pieces)


def _reason(problem: Exception, timeout_s: float) -> str:
    if isinstance(problem, urllib.error.URLError) and isinstance(problem.reason, Exception):
        problem = problem.reason
    match problem:
        case ConnectionRefusedError():
            return "connection refused"
        case TimeoutError():
            return f"no answer within {timeout_s:g} s"
        case socket.gaierror():
            return "there is no host of this name"
        case ssl.SSLError():
            return f"no TLS connection ({problem.reason or problem})"
        case http.client.IncompleteRead():
            return "its answer is cut off"
        case http.client.HTTPException():
            return "what answers speaks no HTTP"
        case zlib.error():
            return "its answer does not unpack"
        case OSError() if problem.strerror:
            return problem.strerror.lower()
    return str(problem) or type(problem).__name__
