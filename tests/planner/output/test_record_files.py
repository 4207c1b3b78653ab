import pytest

from planner.errors import OutputError
from planner.hosts.deployment_record import Deployment
from planner.output.record_files import read_record
from planner.plan.manifest import Manifest


@pytest.mark.parametrize(
    ("file", "record", "folder"),
    [("manifest.json", Manifest, "of a plan"), ("deploy.json", Deployment, "that `plan deploy` wrote")],
)
def test_a_folder_of_another_kind_is_told(tmp_path, file, record, folder):
    with pytest.raises(OutputError) as told:
        read_record(tmp_path / file, record)
    assert str(told.value) == (f"{tmp_path}: is no folder {folder}: it has no {file}")


def test_a_folder_that_is_not_there_is_only_that(tmp_path):
    with pytest.raises(OutputError) as told:
        read_record(tmp_path / "none" / "plan.json", Manifest)
    assert str(told.value) == f"{tmp_path / 'none' / 'plan.json'}: No such file or directory"


@pytest.mark.parametrize("name", ["plan.json", "manifest.json"])
def test_a_comparison_given_as_one_plan_is_told_what_to_type(tmp_path, name):
    (tmp_path / "compare.json").write_text("{}")
    with pytest.raises(OutputError) as told:
        read_record(tmp_path / name, Manifest)
    assert str(told.value).startswith(f"{tmp_path} is a comparison, not one plan: `plan SCENARIO --out DIR`")
    (tmp_path / "plans.json").write_text('{"plans": [{"plan": 3}, {"plan": 7}]}')
    with pytest.raises(
        OutputError, match="it holds plans 3, 7: `plan run .* --plan 3` runs one, `plan deploy"
    ):
        read_record(tmp_path / name, Manifest)
