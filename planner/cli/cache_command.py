"""The command `plan cache`: what is kept, where, and how to be rid of it."""

import time

import msgspec
from cyclopts import App

from planner.cli.command_parameters import Json
from planner.cli.process.terminal import print_text, terminal
from planner.errors import OutputError
from planner.formatting import size_text
from planner.json_record import to_json
from planner.report.tables.table_style import PlainTable, line, new_table
from profiling.directories import cache_location
from profiling.records.cache_eviction import CacheEntry, Removal, clear, limit_bytes, list_entries

cache_app = App(
    name="cache",
    help="Show what is kept of measurements, conversions and solved problems, and where.",
    help_epilogue="Examples:\n\n```\nplan cache\nplan cache --json\nplan cache clear\n```",
)


class KindRow(msgspec.Struct, frozen=True):
    """The entries of one kind; `last_used` in Unix seconds."""

    kind: str
    entries: int
    size_bytes: int
    last_used: float


class CacheRecord(msgspec.Struct, frozen=True):
    """What lies in the cache folder."""

    location: str
    limit_bytes: int
    size_bytes: int
    entries: int
    kinds: tuple[KindRow, ...]


class ClearedRecord(msgspec.Struct, frozen=True):
    """What became of the cache: what was removed, and what stays since a running command may use it."""

    location: str
    removed_entries: int
    removed_bytes: int
    kept_entries: int
    kept_bytes: int


@cache_app.default
def show(*, json: Json = False) -> int:
    """Show what is kept of measurements, conversions and solved problems, and where.

    Beyond 20 GiB, or SPLITQUANT_CACHE_GIB, what was used longest ago is removed at the end of a command.
    """
    record = _record(list_entries(cache_location()))
    if json:
        print_text(to_json(record))
        return 0
    console = terminal()
    console.print(line(record.location), soft_wrap=True)
    console.print(_table(record))
    return 0


@cache_app.command(name="clear")
def clear_cache(*, json: Json = False) -> int:
    """Remove everything that is kept, except for what another running command uses."""
    location = cache_location()
    done = clear(location) if location.is_dir() else Removal((), ())
    if done.failure:
        raise OutputError(f"cache {done.failure}")
    record = ClearedRecord(
        location=str(location),
        removed_entries=len(done.removed),
        removed_bytes=_bytes(done.removed),
        kept_entries=len(done.in_use),
        kept_bytes=_bytes(done.in_use),
    )
    if json:
        print_text(to_json(record))
        return 0
    text = f"removed: {record.removed_entries} ({size_text(record.removed_bytes)})"
    if done.in_use:
        text += f"; in use by another command: {record.kept_entries} ({size_text(record.kept_bytes)})"
    terminal().print(line(text), soft_wrap=True)
    return 0


def _record(entries: list[CacheEntry]) -> CacheRecord:
    kinds: dict[str, list[CacheEntry]] = {}
    for entry in entries:
        kinds.setdefault(entry.kind, []).append(entry)
    rows = (
        KindRow(kind, len(own), _bytes(own), max(entry.used_s for entry in own))
        for kind, own in kinds.items()
    )
    return CacheRecord(
        location=str(cache_location()),
        limit_bytes=limit_bytes(),
        size_bytes=_bytes(entries),
        entries=len(entries),
        kinds=tuple(sorted(rows, key=lambda row: (-row.size_bytes, row.kind))),
    )


def _bytes(entries: list[CacheEntry] | tuple[CacheEntry, ...]) -> int:
    return sum(entry.size_bytes for entry in entries)


def _table(record: CacheRecord) -> PlainTable:
    limit = f"{size_text(record.size_bytes)} of at most {size_text(record.limit_bytes)}"
    table = new_table(limit, ("what",), ("entries", "size", "last used"))
    for row in record.kinds:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(row.last_used))
        table.add_row(row.kind, str(row.entries), size_text(row.size_bytes), used)
    return table
