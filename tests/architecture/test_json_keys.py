"""What others read as JSON keeps its keys: they are only added, whatever the classes are called."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
from json_records import RECORDS
from msgspec import inspect

KEYS = Path(__file__).parent / "json_keys.txt"
