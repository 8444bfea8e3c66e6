"""Install commands by distribution."""

from __future__ import annotations

import pytest

from tailflame.host.install import command_for, parse_os_release


@pytest.mark.parametrize(
    ("identity", "like", "command"),
    [
        ("debian", (), "sudo apt install linux-perf"),
        ("ubuntu", ("debian",), "sudo apt install linux-tools-common linux-tools-generic linux-tools-$(uname -r)"),
        ("linuxmint", ("ubuntu", "debian"), "linux-tools-$(uname -r)"),
        ("fedora", (), "sudo dnf install perf"),
        ("rocky", ("rhel", "centos", "fedora"), "sudo dnf install perf"),
        ("arch", (), "sudo pacman -S perf"),
        ("opensuse-tumbleweed", ("opensuse", "suse"), "sudo zypper install perf"),
        ("alpine", (), "sudo apk add perf"),
        ("nixos", (), "Install perf with this system's package manager."),
    ],
)
def test_perf(identity: str, like: tuple[str, ...], command: str) -> None:
    assert command_for("perf", identity, like).endswith(command)


def test_cargo_tools_come_from_cargo() -> None:
    assert command_for("cargo-flamegraph", "debian") == "cargo install flamegraph"
    assert "rustup" in command_for("cargo", "debian")


def test_a_tool_of_its_own_package_name() -> None:
    assert command_for("strace", "fedora") == "sudo dnf install strace"
    assert command_for("setpriv", "debian") == "sudo apt install util-linux"


def test_os_release() -> None:
    text = 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\n# a comment\n\nVERSION_ID=9.3\n'
    assert parse_os_release(text) == ("rocky", ("rhel", "centos", "fedora"))
    assert parse_os_release("") == ("", ())
