"""The hash by which a file is known again."""

import hashlib
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Return a file's hash in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
