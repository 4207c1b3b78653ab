import msgspec
import pytest

from planner.errors import RebuildError
from planner.plan.plan_record import ChainCheck, Measured
from planner.scenario.loader import parse_scenario
from planner.verification.acceptance import broken_budget_sentences, require_equal_chain

CHAIN = ChainCheck(
    samples=2,
    basic_bit_equal=True,
    default_bit_equal=False,
    default_relative_difference=1e-7,
    integer_kernels=3,
    integer_kernels_whole=3,
    added_transposes=0,
)
SHOWN = Measured(
    noise_relative_rms=0.02,
    max_abs_error=0.5,
    top1_agreement=0.99,
    accuracy=None,
    accuracy_fp32=None,
    samples=100,
    latency_ratio_to_fp32=0.5,
    chain_ratio_to_fp32=0.6,
    chain=CHAIN,
)


def scenario(budget: str):
    data = '{"npz": "/x.npz"}'
    return parse_scenario(
        f"""{{"model": "/m.onnx", "data": {{"calibration": {data}, "evaluation": {data}}},
        "devices": [{{"name": "a"}}], "source": "a", "sink": "a", "budget": {budget}}}""".encode()
    )


def test_a_chain_with_the_bits_and_kernels_of_the_whole_is_accepted():
    require_equal_chain(SHOWN)
    more = msgspec.structs.replace(CHAIN, integer_kernels=4)
    require_equal_chain(msgspec.structs.replace(SHOWN, chain=more))


@pytest.mark.parametrize(
    ("change", "words"),
    [({"basic_bit_equal": False}, "the same bits"), ({"integer_kernels": 2}, "cutting lost a fusion")],
)
def test_a_chain_that_is_not_the_whole_is_refused(change, words):
    chain = msgspec.structs.replace(CHAIN, **change)
    with pytest.raises(RebuildError, match=words):
        require_equal_chain(msgspec.structs.replace(SHOWN, chain=chain))


def test_a_budget_that_the_evaluation_data_break_is_a_sentence_with_both_numbers():
    sentences = broken_budget_sentences(scenario('{"noise_relative_rms": 0.01, "max_abs_error": 1}'), SHOWN)
    assert sentences == ("noise_relative_rms is 0.02 on 100 evaluation samples, budget 0.01 (broken)",)


@pytest.mark.parametrize("budget", ["{}", '{"latency_ms": 1}', '{"noise_relative_rms": 0.02}'])
def test_nothing_is_said_of_budgets_that_hold_or_are_no_errors(budget):
    assert broken_budget_sentences(scenario(budget), SHOWN) == ()
