"""What is dear to make is made by the process that asks first, and used by all."""

import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

Once = Callable[[str, Callable[[Path], object]], Path]
"""The fixture `once`: name and maker of a folder."""


def made_once(above: Path, name: str, make: Callable[[Path], object]) -> Path:
    """Return the folder of a name; made where no process has made it whole."""
    folder, whole = above / f"once-{name}", above / f"once-{name}.whole"
    with FileLock(above / f"once-{name}.lock"):
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            whole.touch()
    return folder
