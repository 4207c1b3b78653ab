import logging

import pytest

from profiling.runtime.log_filter import quiet


def test_nothing_is_logged_inside_and_everything_outside(caplog):
    log = logging.getLogger("some.tool")
    with quiet():
        log.critical("inside")
        logging.critical("inside, on the root")
    log.warning("outside")
    assert [record.message for record in caplog.records] == ["outside"]


def test_an_error_ends_the_silence_too(caplog):
    def fail() -> None:
        with quiet():
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    logging.getLogger("some.tool").warning("outside")
    assert len(caplog.records) == 1


def test_silence_that_was_before_stays():
    logging.disable(logging.INFO)
    try:
        with quiet(), quiet():
            assert logging.root.manager.disable == logging.CRITICAL
        assert logging.root.manager.disable == logging.INFO
    finally:
        logging.disable(logging.NOTSET)
