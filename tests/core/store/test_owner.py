"""Whether the process that writes a session still lives."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tailflame.store.owner import Owner, start_ticks


def test_this_process_is_alive_and_its_number_alone_is_not_enough(tmp_path: Path) -> None:
    me = Owner.of_this_process()
    assert me.is_alive(tmp_path)
    assert not replace(me, started=me.started - 1).is_alive(tmp_path)
    assert not replace(me, boot="an earlier boot").is_alive(tmp_path)


def test_a_process_that_has_ended_is_not_alive(tmp_path: Path) -> None:
    child = subprocess.Popen((sys.executable, "-c", "input()"), stdin=subprocess.PIPE)
    owner = Owner.of(child.pid)
    assert owner.is_alive(tmp_path)
    child.communicate()
    assert not owner.is_alive(tmp_path)


def test_a_process_on_another_host_counts_as_alive_while_its_files_change(tmp_path: Path) -> None:
    elsewhere = replace(Owner.of_this_process(), host="elsewhere", boot="other", pid=1)
    data = tmp_path / "perf.data"
    data.write_bytes(b"")
    assert elsewhere.is_alive(tmp_path)
    os.utime(data, (0, 0))
    assert not elsewhere.is_alive(tmp_path)
    assert not elsewhere.is_alive(tmp_path / "gone")
    assert not replace(Owner.of_this_process(), space="pid:[1]").is_alive(tmp_path)


@pytest.mark.parametrize("pid", [0, -1, 2**31])
def test_there_is_no_such_process(pid: int) -> None:
    assert start_ticks(pid) is None
