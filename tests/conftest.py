"""Fixtures: an own cache, small prepared graphs, the shared models where they are."""

import os
from pathlib import Path

import models
import onnx
import pytest
import text_models
from prepared_models import Prepared
from repository import ROOT


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="write the golden files anew")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _own_weights() -> None:
    """Draw the same weights for a test whichever others ran before it."""
    text_models.restart()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = Path(os.environ.get("SPLITQUANT_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("the shared models are not here: set SPLITQUANT_DATA to their folder")
    os.environ["SPLITQUANT_DATA"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def residual(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return Prepared(models.residual(), tmp_path_factory.mktemp("residual"), "residual")


@pytest.fixture(scope="session")
def branches(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return Prepared(models.branches(), tmp_path_factory.mktemp("branches"), "branches")


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    model = onnx.load(ROOT / "scenarios" / "quickstart" / "digits.onnx")
    return Prepared(model, tmp_path_factory.mktemp("digits"), "digits")
