"""Tailflame's headless core: everything the window can do, a script can do."""

from importlib.metadata import version

__version__ = version("tailflame")
