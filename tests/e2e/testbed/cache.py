"""Where built things live between runs, and where one run keeps its state."""

import os
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = HERE.parents[2]


def cache_dir() -> Path:
    """Return the folder that outlives runs: `$SECRET_INJECTOR_CACHE`/e2e.

    The default of the variable is `~/.cache/secret-injector`.
    """
    root = os.environ.get("SECRET_INJECTOR_CACHE") or Path.home() / ".cache" / "secret-injector"
    return Path(root) / "e2e"


def bin_dir() -> Path:
    """Return the folder of the built binaries."""
    return cache_dir() / "bin"


def logs_dir() -> Path:
    """Return the folder that keeps the logs of failed runs."""
    return cache_dir() / "logs"
