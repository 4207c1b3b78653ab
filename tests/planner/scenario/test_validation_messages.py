import json
from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError  # noqa: TID251 (what it says is described)

from planner.scenario.validation_messages import describe_faults, part_in


class Wheel(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    radius: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    spokes: int = Field(8, ge=2, le=64)


class Cart(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    wheels: tuple[Wheel, ...] = Field(min_length=1, max_length=3)
    owner: str = ""
    is_new: bool = False
    spare: Wheel | None = None
    by_name: dict[str, Wheel] = Field(default_factory=dict)
    weight: float | tuple[float, ...] = 1.0
    name: str = Field("cart", min_length=1, max_length=5)
    from_: str = Field("", alias="from", pattern="^[a-z]*$")


ROUND = {"radius": 1.0}


def told(**keys) -> list[tuple[tuple, str]]:
    try:
        Cart.model_validate_json(json.dumps({"wheels": [ROUND]} | keys))
    except ValidationError as exc:
        return [(fault.key_path, fault.text) for fault in describe_faults(exc.errors(), Cart, ())]
    return []


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"wheels": []}, (("wheels",), "needs at least 1 entry")),
        ({"wheels": [ROUND] * 4}, (("wheels",), "may have at most 3 entries")),
        ({"wheels": 3}, (("wheels",), "must be a list, got 3")),
        ({"wheels": [3]}, (("wheels", 0), "must be a mapping of keys, got 3")),
        ({"wheels": [{}]}, (("wheels", 0, "radius"), "is required")),
        ({"wheels": [{"radius": 0}]}, (("wheels", 0, "radius"), "must be > 0, got 0")),
        ({"wheels": [{"radius": float("nan")}]}, (("wheels", 0, "radius"), "must be finite, got nan")),
        ({"wheels": [ROUND | {"spokes": 1}]}, (("wheels", 0, "spokes"), "must be >= 2, got 1")),
        ({"wheels": [ROUND | {"spokes": 65}]}, (("wheels", 0, "spokes"), "must be <= 64, got 65")),
        ({"wheels": [ROUND | {"spokes": 8.5}]}, (("wheels", 0, "spokes"), "must be a whole number, got 8.5")),
        (
            {"wheels": [ROUND | {"spoke": 8}]},
            (("wheels", 0, "spoke"), "is not a known key; did you mean spokes?"),
        ),
        ({"name": ""}, (("name",), "must not be empty")),
        ({"name": "barrow"}, (("name",), "is longer than 5 characters: 'barrow'")),
        ({"owner": None}, (("owner",), "must be text, got None")),
        ({"is_new": "yes"}, (("is_new",), "must be true or false, got 'yes'")),
        ({"spare": {"radius": -1}}, (("spare", "radius"), "must be > 0, got -1")),
        (
            {"spare": {"raduis": 1, "radius": 1}},
            (("spare", "raduis"), "is not a known key; did you mean radius?"),
        ),
        (
            {"by_name": {"left": {"radius": "1"}}},
            (("by_name", "left", "radius"), "must be a number, got '1'"),
        ),
        ({"by_name": []}, (("by_name",), "must be a mapping of keys, got []")),
        ({"from": "A"}, (("from",), "may hold only letters, digits and _ . -, got 'A'")),
        ({"frm": "a"}, (("frm",), "is not a known key; did you mean from?")),
        ({"color": "red"}, (("color",), "is not a known key; see `plan schema`")),
    ],
)
def test_an_error_says_which_key_and_what_would_be_right(keys, fault):
    assert told(**keys) == [fault]


def test_the_members_of_a_union_are_no_keys():
    assert {key_path for key_path, _ in told(weight="heavy")} == {("weight",)}
    assert {key_path for key_path, _ in told(weight=[1.0, "heavy"])} == {("weight",), ("weight", 1)}


def test_a_list_is_too_short_only_if_its_entries_are_right():
    """Pydantic leaves out entries that are wrong before it counts."""
    assert told(wheels=[{"radius": -1}]) == [(("wheels", 0, "radius"), "must be > 0, got -1")]


@pytest.mark.parametrize("value", ["x" * 10_000, [1.5] * 10_000, {str(n): n for n in range(10_000)}])
def test_a_long_value_is_shown_in_part(value):
    ((key_path, text),) = told(is_new=value)
    assert key_path == ("is_new",)
    assert text.startswith("must be true or false, got ")
    assert len(text) < 150
    assert "..." in text


def test_a_number_with_many_digits_is_shown_in_part():
    ((_, text),) = told(wheels=[ROUND | {"spokes": 10**400}])
    assert text.startswith("must be <= 64, got 1000")
    assert len(text) < 80


def test_many_faults_are_counted_and_the_first_ones_shown():
    found = told(by_name={str(n): {"radius": -n - 1} for n in range(70)})
    assert len(found) == 51
    assert found[0] == (("by_name", "0", "radius"), "must be > 0, got -1")
    assert found[-1] == ((), "has 20 more faults")


def test_the_part_that_a_type_holds_is_found_through_lists_and_options():
    assert part_in(Wheel) is Wheel
    assert part_in(Cart.model_fields["spare"].annotation) is Wheel
    assert part_in(Cart.model_fields["wheels"].annotation) is Wheel
    assert part_in(Cart.model_fields["by_name"].annotation) is Wheel
    assert part_in(float | None) is None
