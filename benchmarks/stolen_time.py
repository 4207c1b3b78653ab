"""The share of the processors' time that the host of a virtual machine gave to others; Linux only."""

from dataclasses import dataclass
from pathlib import Path

_STOLEN = 7  # place of the column in /proc/stat; those behind it are parts of the ones before


@dataclass(frozen=True, slots=True)
class ProcessorTimes:
    """Ticks of all processors so far."""

    stolen: int
    all: int

    def stolen_since(self, before: "ProcessorTimes") -> float:
        """Return the share that was stolen since then, of the time in which there was something to do."""
        total = self.all - before.all
        return (self.stolen - before.stolen) / total if total else 0.0


def processor_times() -> ProcessorTimes:
    """Return the ticks until now, idle ones left out."""
    user, nice, system, _, _, *rest = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
    return ProcessorTimes(rest[_STOLEN - 5], user + nice + system + sum(rest))
