import html
import json
import re

import msgspec
import pytest
from made_records import CUT, MEASURED, PREDICTED, SCENARIO, made_plan

from planner.formatting import size_text
from planner.plan.plan_record import CostDoubt, Metrics, NoisyCosts, Round, WireFormat
from planner.report.plan_html import plan_page
from planner.verification.noise_bootstrap import LEVELS

BUDGETS = {
    "noise_relative_rms": 0.05,
    "max_abs_error": 1.5,
    "top1_agreement": 0.97,
    "accuracy_drop": 0.03,
    "metric_drop": 0.02,
    "memory_mib": {"camera": 2.0},
    "latency_ms": 250.0,
    "makespan_ms": 240.0,
    "throughput_per_s": 3.0,
    "energy_j": {"camera": 0.05},
    "total_energy_j": 0.07,
    "traffic_kib": {"camera-server": 222.0, "server-camera": 5.0},
    "money_per_request": 0.01,
}
PREDICTED_TOO = msgspec.structs.replace(PREDICTED, traffic_bytes={"camera-server": 200_704})


def page_of(residual, budget=None, **changes) -> str:
    names = tuple(unit.name for unit in residual.graph.units)
    scenario = SCENARIO | {"metric": "x:y", "budget": BUDGETS if budget is None else budget}
    plan = made_plan(names, scenario, **{"predicted": PREDICTED_TOO, **changes})
    return plan_page(plan, residual.graph)


def rows_of(page: str, caption: str) -> list[list[str]]:
    """Return the cells of a table of the page, as they are read."""
    table = next(text for text in re.findall(r"<table.*?</table>", page, re.DOTALL) if caption in text)
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    cells = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in rows]
    return [[html.unescape(re.sub(r"<[^>]*>", "", cell)).strip() for cell in row] for row in cells]


def test_each_number_of_the_page_is_the_records(residual):
    names = tuple(unit.name for unit in residual.graph.units)
    record = json.loads(msgspec.json.encode(made_plan(names, predicted=PREDICTED_TOO)))
    found = re.findall(r'data-path="(.*?)" data-value="(.*?)"', page_of(residual))
    assert len(found) > 60
    for path, value in found:
        own = record
        for step in json.loads(html.unescape(path)):
            own = own[step]
        assert json.loads(html.unescape(value)) == own


def test_each_plan_tried_out_on_held_back_samples_has_an_interval(residual):
    held_back = Metrics(
        noise_relative_rms=0.06,
        noise_quantiles=tuple(0.05 + 0.001 * n for n in range(len(LEVELS))),
        max_abs_error=0.3,
        top1_agreement=0.98,
        accuracy=None,
        accuracy_fp32=None,
        samples=50,
    )
    tried = [
        Round(
            noise_budget_rms=limit, predicted_noise_rms=limit, latency_s=0.2, held_back=held_back, broken=()
        )
        for limit in (0.05, 0.03)
    ]
    rounds = (tried[0], msgspec.structs.replace(tried[1], delivered=True))
    budget = {"noise_relative_rms": 0.055, "top1_agreement": 0.5}
    rows = rows_of(page_of(residual, budget, rounds=rounds), "has held back")[1:]
    assert [row[0] for row in rows] == ["1", "1", "2, delivered", "2, delivered"]
    noise, agreement = rows[2:]
    low, high = (held_back.noise_quantiles[LEVELS.index(level)] for level in (0.025, 0.975))
    assert noise[1:5] == ["noise_relative_rms", "at most 0.055", "0.0600", f"{low:.4f} to {high:.4f}"]
    assert noise[5].startswith("broken, but with ")
    assert agreement[1:4] == ["top1_agreement", "at least 0.5", "98.00%"]
    assert agreement[5] == "kept with more than 99.9 % certainty"
    assert "has held back" not in page_of(residual, budget, rounds=())


def test_every_budget_of_the_scenario_stands_beside_what_the_plan_has(residual):
    rows = rows_of(page_of(residual), "Every budget")[1:]
    assert rows == [
        [
            *("noise_relative_rms", "at most 0.05", "0.0456", "8.8%", "0.0432 to 0.0480"),
            "kept with more than 99.9 % certainty",
        ],
        [
            *("max_abs_error", "at most 1.5", "0.7891", "47%", ""),
            "kept on these samples; of all such, at most 0.8 % break it (95 % confidence)",
        ],
        [
            *("top1_agreement", "at least 0.97", "98.51%", "50%", "96.81% to 99.44%"),
            "kept with 96 % certainty",
        ],
        ["metric_drop", "at most 0.02", "0.0111", "45%", "", "kept"],
        [
            *("accuracy_drop", "at most 0.03", "0.0222 (2.22 points)", "26%", "0.0073 to 0.0415"),
            "kept, but with 77 % certainty: about 936 more samples would say",
        ],
        ["memory of camera", "at most 2 MiB", "1.44 MiB", "28%", "", ""],
        ["latency_ms", "at most 250 ms", "213.45 ms", "15%", "", ""],
        ["energy of camera", "at most 0.05 J", "43.2 mJ", "14%", "", ""],
        ["total_energy_j", "at most 0.07 J", "57.7 mJ", "18%", "", ""],
        ["makespan_ms", "at most 240 ms", "209.80 ms", "13%", "", ""],
        ["throughput_per_s", "at least 3 /s", "4.972 /s", "66%", "", ""],
        ["traffic of camera-server", "at most 222 KiB", "196.0 KiB", "12%", "", ""],
        ["traffic of server-camera", "at most 5 KiB", "0", "100%", "", ""],
        ["money_per_request", "at most 0.01", "0.00345", "66%", "", ""],
    ]


def test_a_drop_without_labels_is_the_share_of_changed_answers(residual):
    plain = msgspec.structs.replace(MEASURED, accuracy=None, accuracy_fp32=None)
    (row,) = rows_of(page_of(residual, budget={"accuracy_drop": 0.02}, measured=plain), "Every budget")[1:]
    assert row[:4] == ["accuracy_drop", "at most 0.02", "0.0149 of the answers changed", "25%"]


def test_without_budgets_there_is_no_table_of_them(residual):
    assert "Every budget" not in page_of(residual, budget={})


def test_how_sure_an_accuracy_is_stands_with_the_proof(residual):
    found = dict(rows_of(page_of(residual), "Proof")[1:])
    text = "81.23% on 413 samples; 77.12% to 84.88% on all such samples (95 %)"
    assert found["accuracy of the plan"] == text
    plain = msgspec.structs.replace(MEASURED, accuracy=None)
    assert "accuracy of the plan" not in page_of(residual, measured=plain)


def test_each_unit_has_a_row_with_its_operators_place_and_costs(residual):
    rows = rows_of(page_of(residual), "Units")[1:]
    graph = residual.graph
    assert [row[:5] for row in rows] == [
        [str(n), unit.name, " ".join(unit.op_types), "camera" if n < 2 else "server", ("int8", "fp32")[n % 2]]
        for n, unit in enumerate(graph.units)
    ]
    assert [row[5] for row in rows] == [f"{1.1 + 0.1 * n:.2f} ms" for n in range(5)]
    outputs = [sum(graph.tensors[name].size_bytes for name in unit.outputs) for unit in graph.units]
    assert [row[8] for row in rows] == [size_text(count) for count in outputs]


def test_stages_count_the_units_of_their_device(residual):
    assert rows_of(page_of(residual), "Stages")[1:] == [
        ["camera", "2", "1 int8, 1 fp32", "9.19 ms", "429.7 KiB (625.0 KiB plain)", "1.02 MiB", "1.44 MiB"],
        ["server", "3", "2 int8, 1 fp32", "3.16 ms", "1.96 MiB (2.44 MiB plain)", "1.68 MiB", "3.65 MiB"],
    ]
    plain = msgspec.structs.replace(PREDICTED_TOO, compressed_bytes={})
    names = tuple(unit.name for unit in residual.graph.units)
    page = plan_page(made_plan(names, predicted=plain), residual.graph)
    camera, _ = rows_of(page, "Stages")[1:]
    assert camera[4:] == ["625.0 KiB", "851.6 KiB", "1.44 MiB"]


def test_a_device_without_units_says_what_it_does_to_which_tensors(residual):
    seconds = {"phone": 0.0005, **PREDICTED.compute_s}
    sent = msgspec.structs.replace(CUT, source="phone", target="camera", tensor="picture")
    predicted = msgspec.structs.replace(PREDICTED_TOO, compute_s=seconds)
    names = tuple(unit.name for unit in residual.graph.units)
    plan = made_plan(names, predicted=predicted, cuts=(sent, CUT))
    page = plan_page(plan, residual.graph)
    assert rows_of(page, "Stages")[1][:4] == ["phone", "0", "changes the format of picture", "500.0 µs"]


def test_a_device_that_only_takes_the_answer_stands_behind_and_names_it_alone(residual):
    """It is source and sink, sends the picture as it arose, and gets the answer as integers."""
    scenario = json.loads(bytes(made_plan().scenario))
    scenario |= {"source": "camera", "sink": "camera"}
    way = {"source": "camera", "target": "server", "path": ("camera", "server")}
    raw = msgspec.structs.replace(CUT, tensor="picture", wire=WireFormat.RAW, **way)
    back = msgspec.structs.replace(
        CUT, tensor="answer", source="server", target="camera", path=("server", "camera")
    )
    names = tuple(unit.name for unit in residual.graph.units)
    plan = made_plan(names, predicted=PREDICTED_TOO, cuts=(raw, back), scenario=scenario)
    units = tuple(msgspec.structs.replace(a, device="server") for a in plan.assignments)
    page = plan_page(msgspec.structs.replace(plan, assignments=units), residual.graph)
    rows = rows_of(page, "Stages")[1:]
    assert [row[0] for row in rows] == ["server", "camera"]
    assert rows[1][2] == "changes the format of answer"
    assert "no units: changes the format of 1 tensor" in page


def test_a_request_is_a_bar_of_what_computes_and_moves(residual):
    page = page_of(residual)
    widths = [float(width) for width in re.findall(r'<i style="width: ([\d.]+)%', page)]
    whole = sum(PREDICTED.compute_s.values()) + PREDICTED.transfer_s
    parts = [*PREDICTED.compute_s.values(), PREDICTED.transfer_s]
    assert widths == [pytest.approx(100 * part / whole, abs=0.051) for part in parts]
    text = html.unescape(re.sub(r"<[^>]*>", "", page))
    for told in ("camera: 9.19 ms, 4.3%", "server: 3.16 ms, 1.5%", "on links: 201.10 ms, 94.2%"):
        assert told in text
    idle = msgspec.structs.replace(PREDICTED_TOO, transfer_s=0.0)
    assert "on links: " not in re.sub(r"<[^>]*>", "", page_of(residual, predicted=idle))


def test_the_units_that_take_longest_stand_first_with_their_share(residual):
    rows = rows_of(page_of(residual), "take longest")[1:]
    assert [row[0] for row in rows] == ["4", "3", "2", "1", "0"]
    assert [row[6] for row in rows] == [f"{(1.1 + 0.1 * n) / 6.5:.1%}" for n in (4, 3, 2, 1, 0)]


def test_what_the_script_knows_of_the_units_is_the_plan(residual):
    page = page_of(residual)
    data = json.loads(
        re.search(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)[1]
    )
    plan = made_plan(tuple(unit.name for unit in residual.graph.units))
    own = data["graphs"]["plan"]
    for key, name in (("seconds", "compute_s"), ("noise", "noise_power"), ("weights", "weight_bytes")):
        assert own[key] == [getattr(a, name) for a in plan.assignments]
    assert own["devices"] == [a.device for a in plan.assignments]
    assert [unit["name"] for unit in data["units"]] == [a.unit for a in plan.assignments]


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        ({"cuts": ()}, "On the links"),
        ({"loop": ()}, "Plans built and timed in place"),
        ({"converted_from": None}, "converted from"),
        ({"too_few_samples": ()}, "too few for"),
        ({"measured": msgspec.structs.replace(MEASURED, accuracy=None)}, "accuracy of the fp32 model"),
    ],
)
def test_what_a_plan_has_not_leaves_no_empty_place(residual, changes, gone):
    assert gone in page_of(residual, budget={})
    assert gone not in page_of(residual, budget={}, **changes)


def lead_of(page: str) -> str:
    lead = re.search(r'<p class="lead">(.*?)</p>', page, re.DOTALL)[1]
    return html.unescape(re.sub(r"<[^>]*>", "", lead))


def test_the_first_sentences_judge_the_answers_in_the_scenarios_own_measures(residual):
    text = lead_of(page_of(residual))
    assert (
        "Measured on 413 samples: accuracy 81.23% (fp32 model 83.45%), y 0.3711 (fp32 model 0.3822)." in text
    )
    rows = rows_of(page_of(residual), "Costs and errors")
    assert ["y", "", "0.3711"] in rows
    assert ["y of the fp32 model", "", "0.3822"] in rows


def test_outputs_without_a_measure_are_judged_by_their_plain_error(residual):
    plain = msgspec.structs.replace(
        MEASURED, accuracy=None, accuracy_fp32=None, metric=None, metric_fp32=None, top1_agreement=None
    )
    page = page_of(residual, budget={}, measured=plain)
    assert "Measured on 413 samples: relative RMS error of the outputs 0.0456." in lead_of(page)


def test_of_indices_no_error_is_predicted(residual):
    def errors(**changes) -> list[str]:
        rows = rows_of(page_of(residual, **changes), "Costs and errors")
        return next(row for row in rows if row[0] == "relative RMS error")

    assert errors()[1] != ""
    counted = msgspec.structs.replace(MEASURED, indices=413)
    assert errors(measured=counted) == ["relative RMS error", "", errors()[2]]


def test_stages_that_differ_from_the_whole_model_are_told_in_capitals(residual):
    assert "NOT bit-equal" not in page_of(residual)
    odd = msgspec.structs.replace(MEASURED.chain, basic_bit_equal=False)
    assert "NOT bit-equal" in page_of(residual, measured=msgspec.structs.replace(MEASURED, chain=odd))


def test_a_plan_of_doubtful_costs_is_never_proved_without_a_but(residual):
    doubt = CostDoubt(predicted=0.8, measured=1.0, low=0.99, high=1.02, difference=0.25)
    page = page_of(residual, cost_doubt=doubt)
    heading = re.search(r"<h1>(.*?)</h1>", page)[1]
    assert heading == "m.onnx: 213.45 ms predicted, in doubt: the built stages take 25% longer"
    assert "that is proved, but these costs are in doubt" in lead_of(page)
    assert ["status", "optimal for costs in doubt"] in rows_of(page, "Proof")
    assert "Costs are in doubt: the built stages take 25% longer than predicted" in page
    assert "in doubt" not in page_of(residual)


def test_a_plan_of_noisy_costs_is_never_proved_without_a_but(residual):
    noisy = NoisyCosts(device="camera", spread=0.23, clock="cpu", disturbed=0.4, waiting=2.0)
    page = page_of(residual, noisy_costs=(noisy,))
    heading = re.search(r"<h1>(.*?)</h1>", page)[1]
    assert heading.startswith("m.onnx: 213.45 ms for noisy costs (spread 23%)")
    assert "that is proved, but these costs are noisy" in lead_of(page)
    assert ["status", "optimal for noisy costs (spread 23%)"] in rows_of(page, "Proof")
    assert "Costs are noisy: the processor time of fp32 runs of camera spreads by 23%" in page
    assert "noisy" not in page_of(residual)


def test_samples_that_are_made_up_say_so_on_the_page(residual):
    made_up = msgspec.structs.replace(MEASURED, samples_note="random numbers: errors mean nothing yet")
    sentence = "<p>The evaluation samples are random numbers: errors mean nothing yet.</p>"
    assert sentence in page_of(residual, measured=made_up)
    assert "The evaluation samples are" not in page_of(residual)


def test_costs_of_a_table_are_not_called_measured(residual):
    names = tuple(unit.name for unit in residual.graph.units)
    table = SCENARIO | {"devices": [{"name": "camera", "profile": "own.csv"}, SCENARIO["devices"][1]]}
    given, measured = (plan_page(made_plan(names, one), residual.graph) for one in (table, SCENARIO))
    assert "with the given costs" in given
    assert "<p>Costs of camera, server: own.csv; not measured here.</p>" in given
    assert "with the measured costs" in measured
    assert "not measured here" not in measured
