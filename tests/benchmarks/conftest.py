"""Makes the benchmarks importable, after everything else: one of them is called as a package of others."""

import sys

from repository import ROOT

sys.path.append(str(ROOT / "benchmarks"))
