"""Debug information from a server: only with consent, and within limits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from helpers.environment import DATA
from tailflame.errors import Cancelled
from tailflame.parse.symbolize import Module, State, Symbolizer
from tailflame.parse.symbolize.debuginfod import Debuginfod, debuginfod
from tailflame.parse.symbolize.files import fetch_nothing
from tailflame.parse.symbolize.index_store import IndexStore

SPIN = DATA / "perf" / "6.1.187" / "spin"
BUILD_ID = "9d9ebfec8cc613ccc231a03e13e0f00e75b72fc6"
INLINED_AT = 0x124D


@dataclass
class Server:
    url: str
    answer: str = "file"
    asked: list[str] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def server() -> Iterator[Server]:
    """A debuginfod server that has one binary, and misbehaves as it is told."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            if not self.path.startswith(f"/buildid/{BUILD_ID}/") or found.answer == "none":
                self.send_error(404)
            elif found.answer in ("to a file", "on and on"):
                self.send_response(302)
                self.send_header("Location", "file:///etc/passwd" if found.answer == "to a file" else self.path)
                self.end_headers()
            else:
                body = b"no ELF" if found.answer == "nonsense" else SPIN.read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body) + (100 if found.answer == "cut" else 0)))
                self.end_headers()
                if found.answer == "silent":
                    found.release.wait(60)
                self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Server(f"http://127.0.0.1:{web.server_address[1]}")
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield found
    found.release.set()
    web.shutdown()
    thread.join()
    web.server_close()


def test_a_binary_that_is_gone_comes_from_the_server(server: Server, tmp_path: Path) -> None:
    module = Module("/nowhere/spin", BUILD_ID)
    offsets = np.array([INLINED_AT], dtype=np.uint64)
    fetch = Debuginfod((server.url,), tmp_path / "fetched")
    with Symbolizer(home=tmp_path, store=IndexStore(tmp_path / "indexes"), fetch=fetch) as symbolizer:
        assert symbolizer.strings[symbolizer.names(module, offsets).name[0]] == "churn"
        lines = symbolizer.inlined(module, offsets, np.ones(1, bool))
        assert [symbolizer.strings[name] for name in lines.name.tolist()] == ["churn", "blend", "twist"]
        assert symbolizer.states == {"/nowhere/spin": State.READ}
    assert server.asked == [f"/buildid/{BUILD_ID}/executable"]
    # It is kept.
    assert Debuginfod(("http://127.0.0.1:9",), tmp_path / "fetched")(BUILD_ID, "executable") is not None
    assert (tmp_path / "fetched").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("answer", ["none", "to a file", "on and on", "nonsense", "cut"])
def test_a_server_that_has_it_not(server: Server, tmp_path: Path, answer: str) -> None:
    server.answer = answer
    fetch = Debuginfod((server.url,), tmp_path / "fetched")
    assert fetch(BUILD_ID, "debuginfo") is None
    asked = len(server.asked)
    assert asked
    assert fetch(BUILD_ID, "debuginfo") is None
    assert len(server.asked) == asked  # not asked again
    assert not list((tmp_path / "fetched").iterdir())


def test_the_next_server_is_asked(server: Server, tmp_path: Path) -> None:
    fetch = Debuginfod(("http://127.0.0.1:9", server.url), tmp_path / "fetched")
    assert fetch(BUILD_ID, "debuginfo") == tmp_path / "fetched" / f"{BUILD_ID}.debuginfo"


def test_limits(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "fetched"
    assert Debuginfod((server.url,), folder, file_limit=1000)(BUILD_ID, "debuginfo") is None
    assert Debuginfod((server.url,), folder, file_s=-1.0)(BUILD_ID, "debuginfo") is None
    asked = len(server.asked)
    assert Debuginfod((server.url,), folder, all_s=0.0)(BUILD_ID, "debuginfo") is None
    assert len(server.asked) == asked
    server.answer = "silent"
    assert Debuginfod((server.url,), folder, silence_s=0.2)(BUILD_ID, "debuginfo") is None
    assert not list(folder.iterdir())


def test_only_build_ids_are_asked_for(server: Server, tmp_path: Path) -> None:
    fetch = Debuginfod((server.url,), tmp_path / "fetched")
    for build_id, kind in (
        ("../../etc", "debuginfo"),
        ("", "debuginfo"),
        (BUILD_ID, "../x"),
        (BUILD_ID.upper(), "debuginfo"),
    ):
        assert fetch(build_id, kind) is None
    assert not server.asked


def test_it_can_be_cancelled(server: Server, tmp_path: Path) -> None:
    def cancel() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        Debuginfod((server.url,), tmp_path / "fetched", watch=cancel)(BUILD_ID, "debuginfo")
    assert not list((tmp_path / "fetched").iterdir())


def test_nobody_is_asked_without_consent(server: Server) -> None:
    assert debuginfod({}) is fetch_nothing
    assert debuginfod({"DEBUGINFOD_URLS": server.url}) is fetch_nothing
    assert debuginfod({"DEBUGINFOD_URLS": server.url, "TAILFLAME_DEBUGINFOD": "no"}) is fetch_nothing
    assert debuginfod({"TAILFLAME_DEBUGINFOD": "yes"}) is fetch_nothing
    assert debuginfod({"DEBUGINFOD_URLS": "file:///etc ftp://x", "TAILFLAME_DEBUGINFOD": "yes"}) is fetch_nothing
    asks = debuginfod({"DEBUGINFOD_URLS": f"{server.url}/ https://x", "TAILFLAME_DEBUGINFOD": "yes"})
    assert isinstance(asks, Debuginfod) and asks.urls == (server.url, "https://x")
    assert fetch_nothing(BUILD_ID, "debuginfo") is None
    assert not server.asked
