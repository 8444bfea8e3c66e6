"""What runs a program of a user's own as root: only the text that the dialog has shown, and in no other form."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.environment import ROOT
from tailflame.live import bpftrace_own
from tailflame.live.bpftrace_own import beginning, digest, own_argv

SOURCE = ROOT / "packaging" / "helper"
RUNNER = SOURCE / "tailflame-run-program"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as the runner does")
HELLO = 'BEGIN { printf("hello\\n"); @n = 3; exit(); }'


def run(
    program: str,
    *,
    sent: bytes | None = None,
    uid: str = "65534",
    more: tuple[str, ...] = (),
    words: tuple[str, ...] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    text = program.encode()
    argv = words if words is not None else own_argv(program, None)[3:]
    data = sent if sent is not None else json.dumps({"bytes": len(text)}).encode() + b"\n" + text
    return subprocess.run(
        [str(RUNNER), *argv, *more],
        input=data,
        capture_output=True,
        env={"PKEXEC_UID": uid, "PATH": "/tmp"},
        timeout=60,
    )


def run_to_its_end(program: str, folder: Path) -> tuple[int, bytes, bytes]:
    """With stdin open all the time: (status, stdout, stderr)."""
    text = program.encode()
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [str(RUNNER), *own_argv(program, None)[3:]], stdin=subprocess.PIPE, stdout=out, stderr=err,
            env={"PKEXEC_UID": "65534"},
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(json.dumps({"bytes": len(text)}).encode() + b"\n" + text)
        process.stdin.flush()
        status = process.wait(60)
        process.stdin.close()
    return status, (folder / "out").read_bytes(), (folder / "err").read_bytes()


@needs_root
@pytest.mark.skipif(shutil.which("bpftrace") is None, reason="bpftrace is not installed")
def test_what_was_shown_runs(tmp_path: Path) -> None:
    status, out, err = run_to_its_end(HELLO, tmp_path)
    assert status == 0, err
    kinds = [json.loads(line) for line in out.splitlines() if line.strip()]
    assert {"type": "printf", "data": "hello\n"} in kinds
    assert {"type": "map", "data": {"@n": 3}} in kinds


@needs_root
@pytest.mark.skipif(shutil.which("bpftrace") is None, reason="bpftrace is not installed")
def test_it_ends_with_its_stdin() -> None:
    """Whoever asked cannot signal what is root's: closing the pipe asks it to end, and it prints its maps."""
    program = 'BEGIN { @n = 3; printf("on\\n"); }'
    argv = own_argv(program, None)[3:]
    data = json.dumps({"bytes": len(program)}).encode() + b"\n" + program.encode()
    process = subprocess.Popen(
        [str(RUNNER), *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={"PKEXEC_UID": "65534"},
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(data)
    process.stdin.flush()
    while b'"on' not in (line := process.stdout.readline()):
        assert line
    said, _ = process.communicate(timeout=60)
    assert b'"@n": 3' in said
    assert process.returncode == 0


@needs_root
@pytest.mark.skipif(shutil.which("bpftrace") is None, reason="bpftrace is not installed")
def test_bpftrace_stays_in_its_safe_mode(tmp_path: Path) -> None:
    status, _, err = run_to_its_end(f'BEGIN {{ system("touch {tmp_path}/made"); }}', tmp_path)
    assert status != 0 and b"unsafe" in err
    assert not (tmp_path / "made").exists()


@needs_root
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace(b"hello", b"HELLO"), "SHA-256 is another"),
        (lambda text: text[:-1], "did not come"),
        (lambda _text: b"", "did not come"),
        (lambda _text: b"x" * 300, "too long"),
        (lambda _text: b"[]\n", "is none"),
        (lambda _text: b'{"bytes": 0}\n', "1 to"),
        (lambda _text: b'{"bytes": 99999999}\n', "1 to"),
        (lambda _text: b'{"bytes": true}\nx', "1 to"),
    ],
)  # fmt: skip
def test_another_text_is_refused(change: object, words: str) -> None:
    text = json.dumps({"bytes": len(HELLO)}).encode() + b"\n" + HELLO.encode()
    assert callable(change)
    done = run(HELLO, sent=change(text))
    assert done.returncode == 3 and words in done.stderr.decode()
    assert done.stdout == b""


@needs_root
@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--sha256", "0" * 64),
        ("--sha256", "0" * 63, "--begins", "B"),
        ("--sha256", "G" * 64, "--begins", "B"),
        ("--sha256", digest(HELLO), "--begins", "something harmless"),
        ("--sha256", digest(HELLO), "--pid", "0", "--begins", beginning(HELLO)),
        ("--sha256", digest(HELLO), "--pid", "1 -o /etc/x", "--begins", beginning(HELLO)),
        ("--sha256", digest(HELLO), "--begins", beginning(HELLO), "--unsafe"),
        ("--unsafe", "--sha256", digest(HELLO), "--begins", beginning(HELLO)),
    ],
)
def test_another_command_line_is_refused(words: tuple[str, ...]) -> None:
    done = run(HELLO, words=words)
    assert done.returncode == 3 and done.stdout == b"" and b"refused" in done.stderr


@needs_root
@pytest.mark.parametrize("text", [b"\xff\xfe", b"   \n ", b"BEGIN {\0}"])
def test_what_is_no_text_is_refused(text: bytes) -> None:
    words = ("--sha256", hashlib.sha256(text).hexdigest(), "--begins", "")
    done = run("", sent=json.dumps({"bytes": len(text)}).encode() + b"\n" + text, words=words)
    assert done.returncode == 3 and done.stdout == b""


@needs_root
@pytest.mark.parametrize("uid", ["", "-1", "root", "1000\n"])
def test_it_serves_nobody_in_particular_not_at_all(uid: str) -> None:
    assert run(HELLO, uid=uid).returncode == 2


def test_it_is_of_no_use_without_root(tmp_path: Path) -> None:
    options = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    copy = Path("/tmp", f"tailflame-run-program-{os.getpid()}")
    try:
        shutil.copy(RUNNER, copy)
        done = subprocess.run(
            ["/usr/bin/python3", "-I", str(copy), *own_argv(HELLO, None)[3:]], input=b"", capture_output=True,
            env={"PKEXEC_UID": "65534"}, cwd="/", **options,  # type: ignore[call-overload]
        )  # fmt: skip
    finally:
        copy.unlink(missing_ok=True)
    assert done.returncode == 2


def test_an_administrator_is_asked_each_time_and_sees_what_runs() -> None:
    action = ET.parse(SOURCE / "org.tailflame.run-program.policy").getroot().find("action")
    assert action is not None and action.get("id") == "org.tailflame.run-program"
    defaults = action.find("defaults")
    assert defaults is not None
    assert [one.text for one in defaults] == ["auth_admin"] * 3, "nothing is kept"
    message = action.findtext("message") or ""
    assert "$(command_line)" in message and "SHA-256" in message
    notes = {note.get("key"): note.text for note in action.findall("annotate")}
    assert notes["org.freedesktop.policykit.exec.path"] == str(bpftrace_own.RUNNER)
    # Another path than the helper's: its session permission says nothing for this.
    helper = (SOURCE / "org.tailflame.helper.policy").read_text()
    assert str(bpftrace_own.RUNNER) not in helper


def test_the_runner_is_small_and_needs_no_packages() -> None:
    text = RUNNER.read_text()
    assert text.startswith("#!/usr/bin/python3 -I\n") and len(text.splitlines()) < 200
    assert "shell" not in text and "tailflame." not in text.replace("tailflame-", "").replace("org.tailflame.", "")


@settings(max_examples=100)
@given(st.text())
def test_both_find_the_same_beginning(program: str) -> None:
    """The window's and the runner's: what is compared has to be the same words."""
    code = {"__name__": "runner"}
    exec(compile(RUNNER.read_text(), str(RUNNER), "exec"), code)
    assert code["beginning"](program) == beginning(program)  # type: ignore[operator]
    assert len(beginning(program)) <= bpftrace_own.SHOWN and "\n" not in beginning(program)
