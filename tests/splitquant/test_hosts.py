"""Requests from Python through hosts that run here."""

import asyncio
import sys

import numpy as np
import pytest

import splitquant as sq


def test_without_the_engine_the_client_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "zenoh", None)
    for name in [n for n in sys.modules if n.startswith("planner.hosts") or n == "splitquant._hosts"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("RequestClient", "AsyncRequestClient", "Answer"):
        monkeypatch.delitem(vars(sq), name, raising=False)
    with pytest.raises(ImportError, match=r"pip install 'splitquant\[hosts\]'"):
        sq.RequestClient("deploy")


def test_a_folder_that_is_no_deployment_is_refused(tmp_path):
    pytest.importorskip("zenoh", reason="needs the extra: pip install 'splitquant[hosts]'")
    with pytest.raises(sq.OutputError):
        sq.RequestClient(str(tmp_path))


def test_requests_are_answered_as_the_plan_answers(tmp_path):
    pytest.importorskip("zenoh", reason="needs the extra: pip install 'splitquant[hosts]'")
    from hosted_plans import DEVICES, hosted_answers, hosted_plan, hosted_samples
    from running_hosts import RunningHosts

    samples = hosted_samples(2)
    plan = hosted_plan(tmp_path / "plan")
    expected = hosted_answers(plan, samples)

    async def ask(folder: str) -> list[sq.Answer]:
        async with sq.AsyncRequestClient(folder) as client:
            return [await client.submit(feeds) for feeds in samples]

    with RunningHosts(plan, tmp_path / "deploy", DEVICES) as running:
        running.start()
        with sq.RequestClient(str(running.folder)) as client:
            answers = [client.submit(feeds).result() for feeds in samples]
            with pytest.raises(sq.DataError, match="is missing"):
                client.submit({})
        answers += asyncio.run(ask(str(running.folder)))
    for answer, outputs in zip(answers, [*expected, *expected], strict=True):
        assert isinstance(answer, sq.Answer)
        assert all(np.array_equal(answer.outputs[name], outputs[name]) for name in outputs)
