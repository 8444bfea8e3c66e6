"""One question over HTTP: what goes wrong is a phrase, and nothing is unbounded."""

from __future__ import annotations

import base64
import contextlib
import gzip
import socket
import threading
from collections.abc import Callable

import pytest

from helpers.web import Answer, Question, answering
from tailflame.errors import ParseError
from tailflame.live.fetch import NoPage, Page, address, fetch, shown


def ask(answer: Answer | Callable[[Question], Answer], path: str = "/metrics", limit: int = 10_000) -> Page | NoPage:
    with answering(answer if callable(answer) else lambda _: answer) as port:
        return fetch(f"http://127.0.0.1:{port}{path}", accept="text/plain", timeout_s=20, limit=limit)


def refused(answer: Answer | Callable[[Question], Answer], limit: int = 10_000) -> NoPage:
    page = ask(answer, limit=limit)
    assert isinstance(page, NoPage)
    return page


def test_a_page() -> None:
    page = ask(Answer(b"a\xff", headers={"Content-Type": "text/plain; version=0.0.4"}))
    assert isinstance(page, Page)
    assert (page.text, page.content_type) == ("a\ufffd", "text/plain; version=0.0.4")


def test_packed() -> None:
    page = ask(Answer(gzip.compress(b"x" * 5000), headers={"Content-Encoding": "gzip"}))
    assert isinstance(page, Page)
    assert page.text == "x" * 5000


def test_what_is_too_large_or_cut_off() -> None:
    packed = gzip.compress(b"x" * 50_000_000)
    assert refused(Answer(b"x" * 20_000)).reason == "it answers with more than 10.0 kB"
    assert refused(Answer(packed, headers={"Content-Encoding": "gzip"})).reason == "it answers with more than 10.0 kB"
    half = Answer(packed[: len(packed) // 2], headers={"Content-Encoding": "gzip"})
    assert refused(half, limit=100_000_000).reason == "its answer is cut off"
    assert refused(Answer(b"nonsense", headers={"Content-Encoding": "gzip"})).reason == "its answer does not unpack"
    assert "cut off" in refused(Answer(b"short", headers={"Content-Length": "100", "Connection": "close"})).reason


def test_errors_of_the_server() -> None:
    page = refused(Answer(b"no such page", status=404))
    assert (page.reason, page.status, page.body) == ("it answers with 404 Not Found", 404, "no such page")


def test_redirected_but_not_into_files() -> None:
    def answer(question: Question) -> Answer:
        if question.path == "/metrics":
            return Answer(status=302, headers={"Location": "/other"})
        return Answer(b"here")

    page = ask(answer)
    assert isinstance(page, Page)
    assert page.text == "here"
    assert refused(Answer(status=302, headers={"Location": "file:///etc/passwd"})).status == 302


def test_who_asks_and_for_what(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    seen: list[Question] = []

    def answer(question: Question) -> Answer:
        seen.append(question)
        return Answer(b"{}")

    with answering(answer) as port:
        url = f"http://me:p%40ss@127.0.0.1:{port}/api"
        fetch(url, accept="application/json", timeout_s=20, limit=100, form=b"query=up")
        assert shown(url) == f"http://127.0.0.1:{port}/api"
    (question,) = seen
    assert (question.method, question.path, question.body) == ("POST", "/api", b"query=up")
    assert question.headers["Authorization"] == "Basic " + base64.b64encode(b"me:p@ss").decode()
    assert question.headers["Accept"] == "application/json"


def test_nobody_there() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    page = fetch(f"http://127.0.0.1:{port}/", accept="*/*", timeout_s=20, limit=100)
    assert isinstance(page, NoPage)
    assert page.reason == "connection refused"


def test_somebody_who_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        page = fetch(f"http://127.0.0.1:{server.getsockname()[1]}/", accept="*/*", timeout_s=0.05, limit=100)
    assert isinstance(page, NoPage)
    assert page.reason == "no answer within 0.05 s"


def test_somebody_who_answers_byte_by_byte() -> None:
    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while not gone.wait(0.02):
                    connection.sendall(b"#")

        thread = threading.Thread(target=drip)
        thread.start()
        page = fetch(f"http://127.0.0.1:{server.getsockname()[1]}/", accept="*/*", timeout_s=0.2, limit=1000)
        gone.set()
        thread.join()
    assert isinstance(page, NoPage)
    assert page.reason == "no answer within 0.2 s"


def test_somebody_who_speaks_another_language() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 mail.example ESMTP\r\n\r\n")

        thread = threading.Thread(target=speak)
        thread.start()
        page = fetch(f"http://127.0.0.1:{server.getsockname()[1]}/", accept="*/*", timeout_s=20, limit=100)
        thread.join()
    assert isinstance(page, NoPage)
    assert page.reason == "what answers speaks no HTTP"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("127.0.0.1:9000", "http://127.0.0.1:9000/metrics"),
        (" localhost:9000/ ", "http://localhost:9000/metrics"),
        ("https://host/own/path?x=1", "https://host/own/path?x=1"),
        ("[::1]:9000", "http://[::1]:9000/metrics"),
    ],
)
def test_addresses(text: str, url: str) -> None:
    assert address(text, path="/metrics") == url


@pytest.mark.parametrize(
    "text", ["", "file:///etc/passwd", "http://", "http://host:99999", "a b", "ftp://x", "http://[x"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ParseError, match="is not the address of a web server") as error:
        address(text, path="/metrics")
    assert error.value.advice == "Give it as http://HOST:PORT/metrics."
