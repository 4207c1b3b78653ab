"""The folder of a comparison of several models over request rates."""

from pathlib import Path

from planner.comparison.request_rates import RateComparison
from planner.output.atomic_folder import atomic_directory, check_replaceable, list_files
from planner.report.tables.rates_table import rates_csv
from profiling.records.json_files import save_json

RATES, RATES_TABLE = "rates.json", "rates.csv"


def check_rates(folder: Path) -> None:
    """Fail early if a comparison over request rates cannot go into `folder`.

    Raises
    ------
    OutputError
        If it is a file, or holds something else.
    """
    check_replaceable(folder, f"--out {folder}", "comparison of rates", {RATES, RATES_TABLE}, RATES)


def write_rates(record: RateComparison, folder: Path) -> None:
    """Write a comparison over request rates into `folder`, replacing an older one there."""
    check_rates(folder)
    with atomic_directory(folder, f"--out {folder}") as fresh:
        save_json(record, fresh / RATES)
        (fresh / RATES_TABLE).write_text(rates_csv(record), encoding="utf-8")
        list_files(fresh, RATES)
