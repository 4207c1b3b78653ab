import json

import pytest

import splitquant as sq
from profiling.records.profile import load_profile


@pytest.fixture
def measured(here) -> sq.ProfileResult:
    return sq.profile("scenario.yaml")


def test_a_profile_is_of_the_source_and_is_read_back(measured, tmp_path):
    assert measured.device == "camera"
    assert measured.wall_s.keys() == {"fp32", "int8"}
    assert load_profile(measured.save(tmp_path / "p.json")) == measured.profile
    measured.save(tmp_path / "p.json")
    assert json.loads((tmp_path / "p.json").read_text())["device"] == "camera"
    assert "camera" in repr(measured)
    assert "whole run ms" in measured._repr_html_()


def test_a_profile_has_a_row_per_unit_and_precision(measured):
    pytest.importorskip("pandas")
    table = measured.table()
    assert len(table) == len(measured.profile.latency.units)
    assert (table["seconds"] >= 0).all()
    assert set(table["precision"]) == {"fp32", "int8"}


def test_a_place_that_cannot_be_written_is_told(measured, tmp_path):
    with pytest.raises(sq.OutputError, match=r"p\.json: No such file or directory"):
        measured.save(tmp_path / "no" / "p.json")


def test_one_of_several_models_is_measured(here):
    assert sq.profile("two/s.yaml", "server", model="joins").device == "server"
    with pytest.raises(sq.ScenarioError, match="device toaster: no such device; devices are camera, server"):
        sq.profile("scenario.yaml", "toaster")
    with pytest.raises(sq.UsageError, match="no such model"):
        sq.profile("two/s.yaml", model="nothing")
