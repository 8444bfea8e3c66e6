"""Tailflame's headless core: everything the window can do, a script can do."""

__version__: str


def __getattr__(name: str) -> str:
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Looking it up takes longer than all else that `tailflame --help` does.
    from importlib.metadata import version

    return version("tailflame")
