"""What others read as JSON keeps its keys: they are only added, whatever the classes are called."""

from pathlib import Path

KEYS = Path(__file__).parent / "json_keys.txt"
