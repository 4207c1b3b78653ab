import msgspec
from made_records import made_manifest

from planner.hosts.hosted_stages import planned_seconds

STAGE = made_manifest().stages[0]


def stage(number: int, device: str, units: int):
    return msgspec.structs.replace(STAGE, number=number, device=device, units=units)


def test_seconds_of_a_device_are_shared_out_by_units_among_its_stages():
    stages = [stage(0, "a", 3), stage(1, "b", 5), stage(2, "a", 1)]
    assert planned_seconds(stages, {"a": 8.0, "b": 2.0}) == {0: 6.0, 1: 2.0, 2: 2.0}


def test_a_stage_without_units_has_its_devices_seconds_where_it_is_alone():
    assert planned_seconds([stage(0, "a", 0)], {"a": 8.0}) == {0: 8.0}
    assert planned_seconds([stage(0, "a", 0), stage(1, "a", 2)], {"a": 8.0}) == {0: 0.0, 1: 8.0}


def test_stages_without_units_share_their_devices_seconds_equally():
    stages = [stage(0, "a", 0), stage(1, "b", 3), stage(2, "a", 0)]
    assert planned_seconds(stages, {"a": 8.0, "b": 2.0}) == {0: 4.0, 1: 2.0, 2: 4.0}


def test_a_device_that_computes_nothing_takes_nothing():
    assert planned_seconds([stage(0, "a", 1)], {}) == {0: 0.0}
