"""The order of the tests; fixtures: their cache, small prepared graphs, the shared models where they are."""

import os
from pathlib import Path

import models
import onnx
import pytest
import text_models
from longest_files import LONGEST_FILES
from prepared_models import Prepared
from repository import ROOT

from profiling.on_device.clock import core_contention


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="write the golden files anew")


def pytest_configure(config: pytest.Config) -> None:
    # By itself, `--dist loadfile` begins with the files of most tests: those that take longest have few.
    config.option.loadscopereorder = False


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Return one more than there are cores: tests of hosts and of interrupts wait for other processes."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return 1 + (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {ROOT / "tests" / name: rank for rank, name in enumerate(LONGEST_FILES)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Begin with an empty cache that all workers share: what one of them measured serves the others."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared-cache"
    folder.mkdir(exist_ok=True)
    os.environ["XDG_CACHE_HOME"] = str(folder)


@pytest.fixture(scope="session", autouse=True)
def _no_patience() -> None:
    """Take seconds as they come, in processes that tests start, too: no test is about how true they are."""
    core_contention._PATIENCE = core_contention.Patience(0.0, 0.0)
    paths = str(ROOT / "tests" / "support" / "no_patience"), os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))


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
