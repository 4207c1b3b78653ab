"""What becomes of the test models that come with the onnx package.

Each is loaded, prepared, inspected, quantized unit by unit and altogether, and cut in each place; one row for
each kind of end. None may end in an error or in other numbers.

    python benchmarks/coverage.py [PART_OF_A_NAME]
"""

import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from onnx_cases import NOT_RUN, PASSED, Verdict, node_cases, stored_cases, verdict_apart


def main() -> None:
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    cases = [case for case in (*node_cases(), *stored_cases()) if part in case.name]
    verdicts = [verdict_apart(case) for case in track(cases, console=Console(stderr=True))]
    run = [verdict for verdict in verdicts if verdict.result != NOT_RUN]
    console = Console()
    console.print(results(run))
    for table in reasons(run):
        console.print(table)
    passed = [verdict for verdict in run if verdict.result == PASSED]
    console.print(
        f"{len(cases)} models, {len(run)} that the runtime runs, {len(passed) / max(1, len(run)):.1%} of "
        f"them passed; {sum(v.units for v in passed)} units, {sum(v.quantizable for v in passed)} of them "
        f"can be quantized, {sum(v.tried_and_refused for v in passed)} came out wrong and stay in float"
    )


def results(verdicts: list[Verdict]) -> Table:
    table = Table("end", "models")
    for result, count in Counter(verdict.result for verdict in verdicts).most_common():
        table.add_row(result, str(count))
    return table


def reasons(verdicts: list[Verdict]) -> list[Table]:
    tables = []
    for result in sorted({verdict.result for verdict in verdicts if verdict.reason}):
        groups: dict[str, list[str]] = defaultdict(list)
        for verdict in verdicts:
            if verdict.result == result:
                groups[re.sub(r"'[^']*'", "'...'", verdict.reason)[:200]].append(verdict.name)
        table = Table(result, "models", "such as")
        for reason, names in sorted(groups.items(), key=lambda item: -len(item[1])):
            table.add_row(reason, str(len(names)), names[0])
        tables.append(table)
    return tables


if __name__ == "__main__":
    main()
