"""A folder as a user has it: a scenario with its files, and a plan that was made and saved there."""

from pathlib import Path

import pytest
from small_scenarios import write_small_scenario
from two_models import write_two_models

import splitquant as sq

PIN = {"Conv_0": "camera", "Gemm_9": "server"}


@pytest.fixture(scope="session")
def _prepared(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    write_small_scenario(folder)
    (folder / "s.yaml").rename(folder / "scenario.yaml")
    (folder / "two").mkdir()
    write_two_models(folder / "two")
    return folder


@pytest.fixture
def here(_prepared, monkeypatch) -> Path:
    """The working directory of a test; what lies there is shared, so tests write elsewhere."""
    monkeypatch.chdir(_prepared)
    return _prepared


@pytest.fixture(scope="session")
def planned(_prepared) -> sq.PlanResult:
    """A plan over two devices."""
    return sq.plan(sq.load_scenario(_prepared / "scenario.yaml", placement={"pin": PIN}))


@pytest.fixture(scope="session")
def saved(planned, _prepared) -> Path:
    return planned.save(_prepared / "plans" / "mine")


@pytest.fixture
def infeasible(here) -> sq.PlanResult:
    return sq.plan(sq.load_scenario("scenario.yaml", budget__latency_ms=1e-3))
