"""Threads inside the engine: who is waited for, and who is not."""

import threading

from planner.hosts.on_host.engine_calls import EngineCalls

SHORT_S, LONG_S = 0.05, 20.0


def inside(calls: EngineCalls) -> tuple[threading.Thread, threading.Event]:
    """Start a thread that is inside until it may leave; return both."""
    entered, may_leave = threading.Event(), threading.Event()

    def work() -> None:
        with calls.entered(), calls.entered():
            entered.set()
            may_leave.wait(LONG_S)

    thread = threading.Thread(target=work)
    thread.start()
    assert entered.wait(LONG_S)
    return thread, may_leave


def test_a_thread_that_is_inside_is_waited_for():
    calls = EngineCalls()
    thread, may_leave = inside(calls)
    calls.close()
    assert not calls.wait(SHORT_S)
    threading.Timer(SHORT_S, may_leave.set).start()
    assert calls.wait(LONG_S)
    assert may_leave.is_set()
    thread.join()


def test_nobody_comes_in_once_it_is_closed():
    calls = EngineCalls()
    with calls.entered() as is_open:
        assert is_open
    calls.close()
    with calls.entered() as is_open:
        assert not is_open
        assert calls.wait(SHORT_S)


def test_who_comes_after_closing_is_not_waited_for():
    calls = EngineCalls()
    calls.close()
    thread, may_leave = inside(calls)
    assert calls.wait(SHORT_S)
    may_leave.set()
    thread.join()
    assert calls.wait(SHORT_S)


def test_a_thread_inside_does_not_wait_for_itself():
    calls = EngineCalls()
    with calls.entered():
        calls.close()
        assert calls.wait(SHORT_S)


def test_an_error_inside_leaves_as_well():
    calls = EngineCalls()
    try:
        with calls.entered():
            raise OSError
    except OSError:
        pass
    thread = threading.Thread(target=calls.close)
    thread.start()
    thread.join()
    assert calls.wait(SHORT_S)
