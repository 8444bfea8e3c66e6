"""Errors are a sentence, a fix and an exit status; never a traceback."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tailflame as package
from tailflame.cli import main as cli
from tailflame.cli.exit_codes import MEANING, ExitCode, UsageError, exit_code_of
from tailflame.cli.terminal import finite, printable
from tailflame.errors import (
    Cancelled,
    ParseError,
    StoreError,
    StoreVersionError,
    TailflameError,
    TargetError,
    ToolDenied,
    ToolFailed,
    ToolMissing,
    UnknownFormat,
)
from tailflame.store import Library

Run = Callable[..., Any]


@pytest.mark.parametrize(
    ("words", "sentence", "fix"),
    [
        ((), "Which command?", "One of record, bench, live, attach"),
        (("paint",), "Argument COMMAND: invalid choice: 'paint'", "tailflame --help"),
        (("show", "--colour"), "Unrecognized arguments: --colour.", "tailflame --help"),
        (("show", "-n", "many"), "Argument -n/--number: invalid int value: 'many'.", "tailflame show --help"),
        (("record",), "Which program?", "tailflame record [options] -- PROGRAM"),
        (("show", "x", "--", "y"), "`show` takes nothing after --.", "tailflame show --help"),
        (("record", "--frequency", "0", "--", "true"), "--frequency must be above zero.", ""),
        (("record", "--env", "X", "--", "true"), "“X” does not set a variable.", "NAME=VALUE"),
        (("record", "-C", "/nowhere", "--", "true"), "/nowhere is not a folder.", ""),
        (("diff", "--tolerate", "-1", "a", "b"), "takes a percentage from 0 on", "--tolerate 5"),
        (("diff", "--tolerate", "nan", "a", "b"), "takes a percentage from 0 on", "--tolerate 5"),
        (("gate", "--tolerate", "nan"), "takes a percentage from 0 on", "--tolerate 5"),
        (("gate", "--tolerate", "inf"), "takes a percentage from 0 on", "--tolerate 5"),
    ],
)
def test_a_wrong_command_line_is_status_2(tailflame: Run, words: tuple[str, ...], sentence: str, fix: str) -> None:
    run = tailflame(*words)
    assert run.code == ExitCode.USAGE
    assert run.out == ""
    first, *rest = run.err.splitlines()
    assert first.startswith("tailflame: ")
    assert sentence in first
    assert fix in "".join(rest)


def test_words_may_stand_on_either_side_of_an_option(tailflame: Run, before: Path, after: Path) -> None:
    wanted = tailflame("diff", before, after, "--json", "-n", "3")
    for words in ((before, "--json", after, "-n", "3"), ("--json", before, "-n", "3", after)):
        assert tailflame("diff", *words).document == wanted.document
    for words, left in (((before, "--json", after, "more"), "more"), ((before, "--jsn", after), "--jsn")):
        run = tailflame("diff", *words)
        assert run.code == ExitCode.USAGE and f"Unrecognized arguments: {left}" in run.err
    assert tailflame("diff", before, "--tolerate", "1", after, "--filter").code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (ParseError("x"), 3),
        (UnknownFormat("x"), 3),
        (StoreError("x"), 3),
        (StoreVersionError("x"), 3),
        (ToolMissing("x"), 4),
        (ToolDenied("x"), 4),
        (ToolFailed("x"), 4),
        (TargetError("x"), 5),
        (Cancelled(), 130),
        (TailflameError("x"), 70),
    ],
)
def test_each_kind_of_error_has_its_status(error: TailflameError, code: int) -> None:
    assert exit_code_of(error) == code


def test_help_documents_every_status_and_every_command(tailflame: Run) -> None:
    run = tailflame("--help")
    assert run.code == 0
    for code in ExitCode:
        assert f"{code.value}  {MEANING[code]}" in run.out
    for command in cli.COMMANDS:
        assert f"    {command.name}" in run.out
        inner = tailflame(command.name, "--help")
        assert inner.code == 0
        assert "exit status:" in inner.out
        assert "--json" in inner.out
        assert "JSON: " in inner.out, "every command documents what --json prints"


@pytest.mark.parametrize("entry", cli.COMMANDS, ids=lambda entry: entry.name)
def test_the_table_of_commands_says_what_they_say_of_themselves(entry: cli.Entry) -> None:
    command = entry.command()
    assert command.name == entry.name
    assert (type(command).__doc__ or "").splitlines()[0] == entry.summary


def test_help_does_not_wait_for_what_it_does_not_need() -> None:
    watched = "numpy", "rich", "asyncio", "platformdirs", "tailflame.parse", "tailflame.store"
    code = (
        "import sys; from tailflame.cli.main import main; main(['--help']);"
        f"print(sorted(set(sys.modules) & {set(watched)!r}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_a_file_is_shown_without_what_recording_takes(before: Path) -> None:
    code = (
        "import sys; from tailflame.cli.main import main; assert main(sys.argv[1:]) == 0;"
        "print(sorted(set(sys.modules) & {'asyncio', 'psutil', 'tailflame.tools', 'tailflame.run', 'rich.progress'}),"
        "file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, "show", str(before)], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


@pytest.mark.parametrize("words", [["list"], ["show", "somewhere"], ["list", "--profiles", "~/x"]])
def test_a_user_without_a_home_is_told_so(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(*_: object, **__: object) -> str:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.delenv("TAILFLAME_CONFIG_DIR", raising=False)
    for name in ("user_config_dir", "user_data_dir", "user_log_dir"):
        monkeypatch.setattr(f"platformdirs.{name}", homeless)
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    assert cli.main(words) == ExitCode.INPUT
    assert "Your home folder is not known" in said.getvalue()
    assert "fix: Set HOME" in said.getvalue()


def test_version(tailflame: Run) -> None:
    assert tailflame("--version").out == f"tailflame {package.__version__}\n"


@pytest.mark.parametrize(
    ("content", "name"),
    [(b"", "empty"), (b"\x00\x01\x02 neither one nor the other", "noise.bin"), (None, "gone")],
)
def test_a_file_that_cannot_be_read_is_status_3(
    tailflame: Run, tmp_path: Path, content: bytes | None, name: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    run = tailflame("show", path)
    assert run.code == ExitCode.INPUT
    assert run.err.startswith("tailflame: ")
    assert str(path) in run.err
    assert "Traceback" not in run.err


def test_a_fault_of_our_own_is_written_down_and_no_traceback_is_shown(
    tailflame: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Library) -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(Library, "sessions", broken)
    run = tailflame("list")
    assert run.code == ExitCode.INTERNAL
    assert "A fault of Tailflame: ZeroDivisionError: by nought." in run.err
    assert "Traceback" not in run.err
    (report,) = tmp_path.rglob("fault_*.txt")
    assert str(report) in run.err
    assert "Traceback" in report.read_text()
    assert "  | " in tailflame("list", "--details").err


@pytest.mark.parametrize(
    ("fault", "code", "sentence"),
    [
        (KeyboardInterrupt(), 130, "Cancelled."),
        (PermissionError(13, "Permission denied", "/etc/x"), 3, "/etc/x: Permission denied."),
        (MemoryError(), 3, "not enough memory"),
    ],
)
def test_what_the_system_throws_is_a_sentence(
    tailflame: Run, monkeypatch: pytest.MonkeyPatch, fault: BaseException, code: int, sentence: str
) -> None:
    def broken(self: Library) -> None:
        raise fault

    monkeypatch.setattr(Library, "sessions", broken)
    run = tailflame("list")
    assert run.code == code
    assert sentence in run.err


def test_damaged_settings_are_a_notice_and_the_command_goes_on(tailflame: Run) -> None:
    folder = Path(os.environ["TAILFLAME_CONFIG_DIR"])
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text("{")
    run = tailflame("list", "--json")
    assert run.code == 0
    assert run.document["sessions"] == []
    assert "damaged" in run.err


def test_the_profiles_folder_may_be_named(tailflame: Run, tmp_path: Path) -> None:
    assert tailflame("list", "--json", "--profiles", tmp_path / "p").document["profiles"] == str(tmp_path / "p")


def console_script() -> str:
    return str(Path(sys.executable).with_name("tailflame"))


def test_the_console_script_is_installed(before: Path) -> None:
    done = subprocess.run([console_script(), "show", str(before)], capture_output=True, text=True, check=True)
    assert "match_order" in done.stdout
    assert done.stderr == ""


def test_a_reader_that_goes_away_is_quiet(before: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [console_script(), "show", str(before)], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert done.stderr == ""
    assert done.returncode == 128 + signal.SIGPIPE == ExitCode.BROKEN_PIPE


def test_names_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[31mb\udcff") == "a\\x1b[31mb\\udcff"
    assert printable("größe\tx") == "größe\tx"
    assert printable("two\nlines") == "two\\nlines"


def test_a_name_of_two_lines_stays_on_one(tailflame: Run, tmp_path: Path) -> None:
    path = tmp_path / "new\nline.folded"
    path.write_text("main;work 5\n")
    run = tailflame("show", path)
    assert run.out.splitlines()[0].endswith("new\\nline.folded")
    assert run.out.count("new\\nline.folded") == 2, "title and source"
    path.write_text("")
    assert len(tailflame("show", path).err.splitlines()) == 2, "a sentence and a fix"


def test_an_empty_name_is_no_folder(tailflame: Run) -> None:
    run = tailflame("show", "")
    assert (run.code, "“” is neither a file nor a session." in run.err) == (3, True)


def test_a_name_that_is_too_long_is_none(tailflame: Run) -> None:
    run = tailflame("show", "x" * 5000)
    assert (run.code, "is neither a file nor a session." in run.err) == (3, True)


def test_a_closed_folder_is_named(tailflame: Run, before: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As it is for whoever is not root.
    folder = str(before.parent)

    def closed(true: Callable[..., Any]) -> Callable[..., Any]:
        def ask(path: Any, *rest: Any, **options: Any) -> Any:
            if str(path).startswith(folder):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return true(path, *rest, **options)

        return ask

    for owner, name in ((Path, "is_file"), (Path, "exists"), (Path, "stat"), (os, "open")):
        monkeypatch.setattr(owner, name, closed(getattr(owner, name)))
    run = tailflame("show", before)
    assert run.code == 3
    assert f"You may not read {before}." in run.err
    assert "namei -l" in run.err


def test_awkward_names_of_files_and_functions_are_printed(tailflame: Run, tmp_path: Path) -> None:
    path = tmp_path / "b\udcffok\x1b[31m.folded"
    path.write_text("main;\x1b[31mred 900\nmain;größe 700\n")
    for words in (("show",), ("diff", path), ("export", "--to", "json", "-o", tmp_path / "x.json")):
        run = tailflame(*words, path)
        assert run.code == 0, run.err
        assert "\x1b" not in run.out
    assert "\\x1b[31mred" in tailflame("show", path).out
    assert tailflame("show", path, "--json").document["result"]["label"].endswith(".folded")
    run = tailflame("show", tmp_path / "g\udcffne")
    assert (run.code, "neither a file nor a session" in run.err) == (3, True)


def test_json_holds_no_infinity() -> None:
    assert finite({"a": [float("inf"), 1.5, float("nan")], "b": ("\udcff", None)}) == {
        "a": [None, 1.5, None],
        "b": ["\\udcff", None],
    }


@pytest.mark.parametrize(("words", "shown"), [((), "gr\\xf6\\xdfe"), (("--json",), "größe")])
def test_a_locale_without_umlauts_is_no_fault(tmp_path: Path, words: tuple[str, ...], shown: str) -> None:
    path = tmp_path / "stacks.folded"
    path.write_text("main;größe 700\n", encoding="utf-8")
    done = subprocess.run(
        [console_script(), "show", str(path), *words],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=True,
    )
    assert shown in done.stdout.decode("utf-8")
    assert done.stderr == b""


def test_an_export_to_stdout_is_utf8_in_any_locale(tmp_path: Path) -> None:
    path = tmp_path / "stacks.folded"
    path.write_text("main;größe 700\n", encoding="utf-8")
    done = subprocess.run(
        [console_script(), "export", str(path), "--to", "folded", "-o", "-"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=True,
    )
    assert done.stdout.decode("utf-8") == path.read_text(encoding="utf-8")
