import json
import re

import pytest
from repository import ROOT
from ruamel.yaml import YAML

from planner.scenario.validation import check_scenario

SCENARIOS = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("text", SCENARIOS)
def test_scenarios_in_readme_are_right(text):
    scenario, faults = check_scenario(json.dumps(YAML(typ="safe").load(text)))
    assert not faults
    assert scenario is not None


def test_readme_shows_a_scenario():
    assert SCENARIOS
