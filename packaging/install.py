"""Installs Tailflame for the current user, with icon, file types and menu entry; or takes all of it away again.

    install.py install | uninstall
    install.py install-helper | uninstall-helper      as root; packages set DESTDIR

Everything goes below $XDG_DATA_HOME (~/.local/share) and ~/.local/bin; the list of what was put there is kept in
share/tailflame/installed.txt, and uninstall removes exactly that. Sessions and settings are never touched.
The privileged helper belongs to root and is not part of that: it goes to /usr/libexec, with its polkit action.
Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
APP_ID = "org.tailflame.Tailflame"
DATA = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
BIN = Path.home() / ".local" / "bin"
HOME = DATA / "tailflame"
VENV = HOME / "venv"
RECEIPT = HOME / "installed.txt"
DESTDIR = os.environ.get("DESTDIR", "")
HELPER = Path(f"{DESTDIR}/usr/libexec/tailflame")
ACTIONS = Path(f"{DESTDIR}/usr/share/polkit-1/actions")
POLICIES = ("org.tailflame.helper.policy", "org.tailflame.run-program.policy")
HELPER_FILES = {
    "tailflame-helper": (HERE / "helper" / "tailflame-helper", 0o755),
    "rules.py": (HERE / "helper" / "rules.py", 0o644),
    # The same text that Tailflame composes its programs with: the helper does not take them from anybody.
    "probe_program.py": (ROOT / "core" / "tailflame" / "live" / "probe_program.py", 0o644),
    "bpftrace_recipe.py": (ROOT / "core" / "tailflame" / "parse" / "bpftrace_recipe.py", 0o644),
    "tailflame-run-program": (HERE / "helper" / "tailflame-run-program", 0o755),
    **{
        f"recipes/{recipe.name}": (recipe, 0o644)
        for recipe in sorted((ROOT / "resources" / "tailflame_resources" / "bpftrace").glob("*.bt"))
    },
}


def install() -> int:
    HOME.mkdir(parents=True, exist_ok=True)
    print(f"installing the application into {VENV}")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, str(ROOT)], check=True)
    placed = []
    BIN.mkdir(parents=True, exist_ok=True)
    for name in ("tailflame", "tailflame-gui"):
        link = BIN / name
        if link.is_symlink() or not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(VENV / "bin" / name)
            placed.append(link)
        else:
            print(f"left alone: {link} is not ours")
    # The absolute path: a desktop's PATH need not hold ~/.local/bin.
    # Quoted: a home folder may have a blank in its name.
    program = f'"{VENV}/bin/tailflame-gui"'
    entry = (HERE / f"{APP_ID}.desktop").read_text().replace("Exec=tailflame-gui", f"Exec={program}")
    placed += [
        put(DATA / "applications" / f"{APP_ID}.desktop", entry.encode()),
        put(DATA / "mime" / "packages" / f"{APP_ID}.xml", (HERE / f"{APP_ID}.mime.xml").read_bytes()),
        put(DATA / "metainfo" / f"{APP_ID}.metainfo.xml", (HERE / f"{APP_ID}.metainfo.xml").read_bytes()),
    ]
    icons = DATA / "icons" / "hicolor"
    placed.append(put(icons / "scalable" / "apps" / f"{APP_ID}.svg", (HERE / "icons" / "tailflame.svg").read_bytes()))
    for png in sorted((HERE / "icons").glob("tailflame-*.png")):
        size = png.stem.rpartition("-")[2]
        placed.append(put(icons / f"{size}x{size}" / "apps" / f"{APP_ID}.png", png.read_bytes()))
    RECEIPT.write_text("".join(f"{path}\n" for path in placed))
    refresh()
    print(f"installed. Start Tailflame from the menu, or with {BIN / 'tailflame-gui'}")
    return 0


def uninstall() -> int:
    if not RECEIPT.exists():
        print(f"nothing to take away: {RECEIPT} does not exist")
        return 0
    for line in RECEIPT.read_text().splitlines():
        Path(line).unlink(missing_ok=True)
    shutil.rmtree(VENV, ignore_errors=True)
    RECEIPT.unlink()
    if not any(HOME.iterdir()):
        HOME.rmdir()
    refresh()
    print("uninstalled. Your sessions and settings were left where they are.")
    return 0


def install_helper() -> int:
    """What root runs belongs to root alone, whatever the umask and whoever owns this checkout."""
    if os.geteuid() != 0 and not DESTDIR:
        raise SystemExit("the helper belongs to root: sudo make install-helper")
    os.umask(0o022)
    HELPER.mkdir(parents=True, exist_ok=True)
    (HELPER / "recipes").mkdir(exist_ok=True)
    for name, (source, mode) in HELPER_FILES.items():
        place(source.read_bytes(), HELPER / name, mode)
    ACTIONS.mkdir(parents=True, exist_ok=True)
    for name in POLICIES:
        place((HERE / "helper" / name).read_bytes(), ACTIONS / name, 0o644)
    print(f"installed {HELPER / 'tailflame-helper'} and its polkit actions")
    return 0


def uninstall_helper() -> int:
    if os.geteuid() != 0 and not DESTDIR:
        raise SystemExit("the helper belongs to root: sudo make uninstall-helper")
    for path in (*(ACTIONS / name for name in POLICIES), *(HELPER / name for name in HELPER_FILES)):
        path.unlink(missing_ok=True)
    if (HELPER / "recipes").is_dir() and not any((HELPER / "recipes").iterdir()):
        (HELPER / "recipes").rmdir()
    if HELPER.exists() and not any(HELPER.iterdir()):
        HELPER.rmdir()
    print("uninstalled the helper")
    return 0


def place(content: bytes, path: Path, mode: int) -> None:
    """A new file in the place of `path`, complete before it has that name."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        if os.geteuid() == 0:
            os.fchown(file.fileno(), 0, 0)
        os.fchmod(file.fileno(), mode)
    new.replace(path)


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def refresh() -> None:
    """Lets the desktop see the change at once; without these programs it does so at the next login."""
    for command in (
        ["update-mime-database", str(DATA / "mime")],
        ["update-desktop-database", str(DATA / "applications")],
        ["gtk-update-icon-cache", "--quiet", "--ignore-theme-index", str(DATA / "icons" / "hicolor")],
    ):
        if shutil.which(command[0]) and Path(command[-1]).exists():
            subprocess.run(command, check=False, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    verbs = {
        "install": install,
        "uninstall": uninstall,
        "install-helper": install_helper,
        "uninstall-helper": uninstall_helper,
    }
    if len(sys.argv) != 2 or sys.argv[1] not in verbs:
        raise SystemExit(__doc__)
    sys.exit(verbs[sys.argv[1]]())
