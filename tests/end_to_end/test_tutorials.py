"""The tutorials run as they stand, from beginning to end."""

import runpy
import shutil

import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt
from repository import ROOT

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.py"))


@pytest.fixture
def repository_copy(tmp_path, monkeypatch):
    """The working directory of a reader: the scenarios, and room for what a page writes."""
    (tmp_path / "scenarios").mkdir()
    shutil.copy(ROOT / "scenarios" / "quickstart.yaml", tmp_path / "scenarios")
    shutil.copytree(ROOT / "scenarios" / "quickstart", tmp_path / "scenarios" / "quickstart")
    monkeypatch.chdir(tmp_path)
    mpl.use("agg")
    yield tmp_path
    plt.close("all")


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_page_is_in_percent_format(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# %% [markdown]"
    assert lines.count("# %%") > 3


def test_the_notebook_gives_what_it_says(repository_copy, capsys):
    pytest.importorskip("pandas")
    names = runpy.run_path(str(ROOT / "docs" / "tutorials" / "notebook.py"))
    assert names["result"].is_delivered
    assert "solving and trying out plans" in names["steps"]
    assert "budget.latency_ms: 0.01 ms cannot be kept" in names["tight"].reason
    assert sum(row[3] for row in names["crossing"]) > 0
    assert set(names["table"]["unit"]) <= set(names["graph"])
    assert names["accuracy"] > 0.9
    assert names["solution"].devices == {"features": "camera", "classes": "server"}
    assert [row.bandwidth for row in names["comparison"].record.rows] == [0.5, 5, 50]
    assert (repository_copy / "plans" / "notebook" / "report.html").is_file()
    assert "budgett is not a known key; did you mean budget?" in capsys.readouterr().out
