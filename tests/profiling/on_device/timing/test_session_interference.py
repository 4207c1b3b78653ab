from typing import NamedTuple

import pytest

from profiling.on_device.timing.session_interference import Interference, are_calm_enough, calmest


class Session(NamedTuple):
    number: int
    interference: Interference


CALM, SOME, COLD, SHARED = (Session(number, kind) for number, kind in enumerate(Interference))


def test_sessions_with_the_least_interference_count():
    other = Session(5, Interference.NONE)
    assert calmest([SHARED, COLD, SOME, CALM, SHARED, other]) == [CALM, other]
    assert calmest([SHARED, COLD, SOME]) == [SOME]
    assert calmest([SHARED, COLD]) == [COLD]
    assert calmest([SHARED, SHARED]) == [SHARED, SHARED]
    assert calmest([]) == []


@pytest.mark.parametrize("spoiled", [SHARED, COLD])
def test_sessions_go_on_while_other_work_interferes_up_to_twice_as_many(spoiled):
    assert not are_calm_enough([CALM], 2)
    assert are_calm_enough([CALM, SOME], 2)
    assert not are_calm_enough([CALM, spoiled, spoiled], 2)
    assert are_calm_enough([CALM, spoiled, spoiled, CALM], 2)
    assert are_calm_enough([spoiled] * 4, 2)
    assert not are_calm_enough([spoiled] * 4, 3)


def test_fewer_calm_sessions_than_planned_may_do():
    assert are_calm_enough([SOME, SHARED, CALM], 4, wanted=2)
    assert not are_calm_enough([SHARED, SHARED, CALM], 4, wanted=2)
