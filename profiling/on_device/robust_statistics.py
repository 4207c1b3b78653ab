"""Middle and spread of noisy seconds, and how often to measure: a few slow runs move none of them far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# The standard error of a median of n runs is 0.93 of their interquartile range over sqrt(n), if they err
# normally: a third of it for 8 rounds, a tenth for the most. Between, what a model takes decides.
_OF_MEDIAN, _NOISY = 0.93, 0.05
_MOST_CONTENDED = 0.25
_OF_DEVIATION = 1.25  # a median errs by so many times what a mean does
_OF_ONE = 0.03  # where a session's memory lies makes a few percent
_LEAST_SESSIONS, _LEAST_SESSIONS_OF_LARGE, _MOST_SESSIONS, _CLOSE = 3, 2, 7, 0.01
# Sessions of a quarter of a millisecond differ by 2 %, which is much of what plans differ by, and are cheap.
_MOST_SESSIONS_OF_SHORT, _CLOSE_OF_SHORT = 12, 0.005
_TIMED_S, _LEAST_ROUNDS, MOST_ROUNDS = 0.25, 8, 100
_LARGE_S, _FEWEST_ROUNDS = 2.0, 2
_SLOW_S = 1.0
_MOST_DIVIDED, _ROUNDS_OF_SESSION = 5, 4


def interquartile_mean(values: Sequence[float]) -> float:
    """Return the mean of the middle half: as robust as a median, but finer than the clock's tick."""
    ordered = np.sort(np.asarray(values, dtype=float))
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def relative_iqr(values: Sequence[float]) -> float:
    """Return the width of the middle half over the median; 0 for fewer than two values."""
    if len(values) < 2:
        return 0.0
    low, middle, high = np.quantile(np.asarray(values, dtype=float), [0.25, 0.5, 0.75])
    return float((high - low) / middle) if middle else 0.0


def median_error(values: Sequence[float]) -> float:
    """Return the standard error of the median of some runs, as a fraction of it; 0 for fewer than two."""
    return _OF_MEDIAN * relative_iqr(values) / float(np.sqrt(len(values))) if len(values) else 0.0


def are_noisy(values: Sequence[float]) -> bool:
    """Return whether runs spread so far that their median errs by more than 5 % (standard error)."""
    return median_error(values) > _NOISY


def are_contended(share: float | None) -> bool:
    """Return whether so many runs shared their core that their median may be of another pace."""
    return share is not None and share > _MOST_CONTENDED


def middle_error(values: Sequence[float]) -> float:
    """Return the standard error of the median of a few values that err normally, as a fraction of it.

    A single value is taken to err by what sessions differ by; where there is none, nothing errs.
    """
    if len(values) < 2:
        return _OF_ONE * len(values)
    own = np.asarray(values, dtype=float)
    middle = float(np.median(own))
    return _OF_DEVIATION * float(own.std(ddof=1)) / (middle * float(np.sqrt(len(own)))) if middle else 0.0


def session_count(rounds: int) -> int:
    """Return among how many sessions of a model so many rounds are divided: 1 to 5, of 4 rounds at least."""
    return max(1, min(_MOST_DIVIDED, rounds // _ROUNDS_OF_SESSION))


def is_slow(run_s: float) -> bool:
    """Return whether a model takes a second or more, so that it is timed in as few runs as will do."""
    return run_s >= _SLOW_S


def least_sessions(run_s: float) -> int:
    """Return in how many sessions a model is timed at least: 3, or 2 if it is slow."""
    return _LEAST_SESSIONS_OF_LARGE if is_slow(run_s) else _LEAST_SESSIONS


def are_enough(sessions: Sequence[float], run_s: float = 0.0, taken: int = 0) -> bool:
    """Return whether no more sessions are needed: enough of them give a median within 1 %, or there are 7.

    Of models so short that their rounds do not fill the time there is for them, 0.5 % is wanted, of at most
    12 sessions.

    Parameters
    ----------
    sessions
        What each session that counts showed. Where its memory lies makes a few percent.
    run_s
        What the fp32 model takes; 0 if that is not known.
    taken
        How many sessions there are, if some do not count.
    """
    is_short = 0 < run_s * MOST_ROUNDS < _TIMED_S
    most, close = (_MOST_SESSIONS_OF_SHORT, _CLOSE_OF_SHORT) if is_short else (_MOST_SESSIONS, _CLOSE)
    if max(taken, len(sessions)) >= most:
        return True
    return len(sessions) >= least_sessions(run_s) and middle_error(sessions) <= close


def sufficient_rounds(run_s: float) -> int:
    """Return how often to time what takes so many seconds: as often as fits into 0.25 s, 8 to 100 times.

    Small models need many rounds, since a few microseconds make a percent. Large ones can do with few: what
    takes longer than a quarter of a second is timed as often as fits into 2 s, at least twice.
    """
    least = max(_FEWEST_ROUNDS, min(_LEAST_ROUNDS, int(_LARGE_S / run_s)))
    return int(min(MOST_ROUNDS, max(least, _TIMED_S / run_s)))
