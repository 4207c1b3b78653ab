"""Bad inputs by rule, many more than anybody would write down: for tests a few, for a benchmark all.

Each case spoils a copy of a good folder and names a command. Not every one is an error: some bits do not
matter. What has to hold of all of them, `shortcomings` says.
"""

import copy
import io
import json
import os
import random
import shutil
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
from onnx import helper, numpy_helper
from PIL import Image, PngImagePlugin

CODES = (0, 1, 2, 3, 4, 130)
LONGEST_LINE = 640
_FAULTS_EACH_A_LINE = ("scenario", "problem", "odd")
OUT = "o"

SCENARIO: dict[str, Any] = {
    "model": "m.onnx",
    "data": {
        "calibration": {"npz": "c.npz", "labels": "y", "samples": 12},
        "evaluation": {"npz": "e.npz", "labels": "y"},
    },
    "devices": [
        {"name": "camera", "active_watt": 2.0, "idle_watt": 1.0, "threads": 1, "price_per_hour": 1.0},
        {"name": "server", "scaled_from": "camera", "speedup": 4.0, "active_watt": 9.0},
    ],
    "links": [
        {"from": "camera", "to": "server", "bandwidth_mbit_per_s": 8.0, "latency_ms": 5.0},
        {"from": "server", "to": "camera", "bandwidth_mbit_per_s": 8.0, "send_nj_per_byte": 2.0},
    ],
    "source": "camera",
    "sink": "camera",
    "precisions": ["fp32", "int8"],
    "wires": ["float16"],
    "inputs": {"x": {"wire_bytes": 100}},
    "input_shapes": {"x": [1, 2, 8, 8]},
    "budget": {"latency_ms": 1000.0, "memory_mib": {"camera": 4.0}, "total_energy_j": 100.0},
    "objective": {"latency": 1.0, "energy": 1.0},
    "placement": {"pin": {"*": "camera"}, "together": [["*"]], "private": ["x"]},
    "quantization": {"reduce_range": True},
    "solver": {"name": "highs", "time_limit_s": 5.0, "gap": 1e-6},
    "profiling": {"rounds": 3, "noise_samples": 2},
}
IMAGE_SUFFIXES: dict[str, Any] = {
    **{key: SCENARIO[key] for key in ("devices", "links", "source", "sink", "solver", "profiling")},
    "model": "p.onnx",
    "data": {
        side: {
            "images": "pictures",
            "labels": {"file": "labels.csv"},
            "image": {"resize_shorter": 8, "crop": 8, "divide_by": 255.0},
        }
        for side in ("calibration", "evaluation")
    },
}
PROBLEM: dict[str, Any] = {
    "devices": [{"name": "a", "active_w": 2.0, "idle_w": 1.0}, {"name": "b", "start_s": 0.1, "visits": 2}],
    "links": [
        {"from": "a", "to": "b", "bytes_per_s": 1e6, "message_s": 0.01},
        {"from": "b", "to": "a", "name": "back", "bytes_per_s": 1e6},
    ],
    "ends": [{"name": "camera", "device": "a"}],
    "units": [
        {
            "name": name,
            "options": [
                {"device": "a", "seconds": 3.0, "weight_bytes": 5.0},
                {"device": "b", "precision": "int8", "seconds": 1.0, "noise_power": 0.01},
            ],
        }
        for name in ("u", "v", "w")
    ],
    "tensors": [
        {"name": "x", "from": "camera", "to": ["u"], "bytes": 1000.0},
        {
            "name": "y",
            "from": "u",
            "to": ["v", "w"],
            "bytes": 500.0,
            "quantized_by": ["v"],
            "formats": {"uint8": {"bytes": 125.0, "quantize_s": {"a": 0.1}}},
            "wires": [{"name": "half", "bytes": 250.0, "encode_s": {"a": 0.1}}],
        },
    ],
    "limits": [{"measure": "memory", "of": "a", "at_most": 100.0}],
    "objective": [{"measure": "latency", "weight": 1.0}],
    "apart": [["u", "v"]],
    "solver": {"time_limit_s": 5.0},
}
_DEEP: Any = "x"
for _ in range(200):
    _DEEP = [_DEEP]
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**63,
    -(2**70),
    10**400,
    1e308,
    float("nan"),
    float("inf"),
    0.5,
    "",
    "x" * 5000,
    "é中 \u202e\x1b[31m\x07\n[bold]x[/]",
    "a\0b",
    "../../etc/passwd",
    "${NO_SUCH_VARIABLE}",
    [],
    {},
    [[]],
    {"a\n": {"[/]": 1}},
    _DEEP,
    list(range(3000)),
    {f"k{n}": n for n in range(3000)},
)
TEXTS = {
    "empty": "",
    "aliases": "a0: &a0 [x]\n"
    + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)),
    "merges": "a0: &a0 {x: 1}\n"
    + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 10)),
    "itself": "a: &a {b: *a}",
    "deep lists": "[" * 50_000,
    "deep mappings": "{a: " * 3000 + "}" * 3000,
    "deep blocks": "".join(" " * n + "a:\n" for n in range(1000)),
    "many keys": "".join(f"key{n}: 1\n" for n in range(20_000)),
    "digits": "model: " + "9" * 5000,
    "exponent": "model: 1e999999999",
    "one long line": "model: " + "x" * 2_000_000,
    "many documents": "a: 1\n---\n" * 2000,
    "tag": "model: !!python/object/apply:os.system [id]",
    "binary": "model: !!binary x",
    "set": "? model\n? data\n",
    "date": "model: 2020-13-45",
    "sexagesimal": "model: 1:2:3:4",
    "directive": "%YAML 9.9\n---\nmodel: 1",
    "tabs": "model:\n\t- 1",
    "anchor": "model: &" + "a" * 5000 + " 1",
    "surrogate": 'model: "\\ud800"',
    "keys of all kinds": "{1: 2, 1.5: 3, null: 4, true: 5, [1]: 6, {a: 1}: 7}",
    "control": "model: \x1b",
    "line ends": "model: 1\r\x85\u2028data: 2",
}


@dataclass(frozen=True, slots=True)
class Case:
    """A command in a folder that something has spoiled."""

    door: str
    name: str
    arguments: tuple[str, ...]
    spoil: Callable[[Path], object]


def build(folder: Path) -> None:
    """Write the good folder: models, samples, pictures, tables, a profile and a problem."""
    rng = np.random.default_rng(0)
    onnx.save(models.residual(), folder / "m.onnx")
    weight = numpy_helper.from_array(rng.normal(size=(4, 3, 8, 8)).astype(np.float32), "w")
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Flatten", ["c"], ["y"])]
    ends = [helper.make_tensor_value_info(n, 1, shape) for n, shape in (("x", [1, 3, 8, 8]), ("y", [1, 4]))]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [weight])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "p.onnx"
    )
    for name in ("c", "e"):
        x = rng.normal(size=(12, 2, 8, 8)).astype(np.float32)
        np.savez(folder / f"{name}.npz", x=x, y=rng.integers(0, 4, size=12))
    (folder / "pictures").mkdir()
    rows = ["file,label"]
    for number in range(8):
        pixels = rng.integers(0, 255, size=(9, 10, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{number}.png")
        rows.append(f"{number}.png,{number % 4}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    (folder / "trace.csv").write_text("seconds,mbit\n" + "".join(f"{n},{1 + n % 3}\n" for n in range(9)))
    for name, content in (("s.yaml", SCENARIO), ("p.yaml", IMAGE_SUFFIXES), ("problem.json", PROBLEM)):
        (folder / name).write_text(json.dumps(content))


def cases() -> list[Case]:
    """Return all of them, always the same."""
    rng = random.Random(18)
    kinds = (
        _scenario_values,
        _scenario_texts,
        _settings,
        _archives,
        _pictures,
        _tables,
        _traces,
        _problem_values,
        _problem_texts,
        _profiles,
        _onnx_files,
        _options,
        _odd_files,
        _odd_places,
        _user_code,
    )
    return [case for kind in kinds for case in kind(rng)]


def shortcomings(case: Case, code: int, out: str, err: str, folder: Path) -> list[str]:
    """Return in what a run fell short of one clear line, the right exit code and nothing half-written."""
    lines = err.splitlines()
    own = [line for line in lines if not line.startswith(("user: ", "cache "))]
    found = [word for word in ("Traceback", "internal error") if word in err + out]
    if code not in CODES:
        found.append(f"exit code {code}")
    if code and not own:
        found.append("no message")
    if code and len(own) > 1 and case.door.split()[0] not in _FAULTS_EACH_A_LINE:
        found.append(f"{len(own)} lines")
    if any(len(line) > LONGEST_LINE for line in own):
        found.append("a long line")
    if any(unicodedata.category(c) in {"Cc", "Cf", "Cs"} and c != "\n" for c in err + out):
        found.append("control characters")
    if code and (out or (folder / OUT).exists()) and "--json" not in case.arguments:
        found.append("something was printed or written")
    if list(folder.glob(".*.new")):
        found.append("something half-written is left")
    return found


def _plan(*settings: str, scenario: str = "s.yaml") -> tuple[str, ...]:
    return (scenario, "--out", OUT, *(word for setting in settings for word in ("--set", setting)))


def _places(value: Any, here: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if here:
        yield here
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield from _places(item, (*here, key))


def _with(content: Any, place: tuple[str | int, ...], value: Any) -> Any:
    changed = copy.deepcopy(content)
    here = changed
    for step in place[:-1]:
        here = here[step]
    here[place[-1]] = value
    return changed


def _write(name: str, content: str | bytes) -> Callable[[Path], object]:
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data)


def _values(content: Any, rng: random.Random, each: int) -> Iterator[tuple[str, Any]]:
    """Yield (name, content) with some bad values at every place, and every place missing once."""
    for place in _places(content):
        name = ".".join(map(str, place))
        for number in sorted(rng.sample(range(len(VALUES)), each)):
            yield f"{name} value {number}", _with(content, place, VALUES[number])
        yield f"{name} doubled", _with(content, place, [VALUES[13]] * 2)


def _scenario_values(rng: random.Random) -> Iterator[Case]:
    for name, content in _values(SCENARIO, rng, 3):
        yield Case(
            "scenario value", name, _plan(), _write("s.yaml", json.dumps(content).replace("NaN", ".nan"))
        )


def _scenario_texts(rng: random.Random) -> Iterator[Case]:
    for name, text in TEXTS.items():
        yield Case("scenario text", name, _plan(), _write("s.yaml", text))
        yield Case("scenario text", f"inspect {name}", ("inspect", "s.yaml"), _write("s.yaml", text))
    for number, data in enumerate(_damaged(json.dumps(SCENARIO, indent=1).encode(), rng, 40)):
        yield Case("scenario text", f"damaged {number}", _plan(), _write("s.yaml", data))


def _settings(rng: random.Random) -> Iterator[Case]:
    for place in _places(SCENARIO):
        value = rng.choice(VALUES[:-2])
        text = json.dumps(value, ensure_ascii=False).replace("NaN", ".nan").replace("\0", "")
        yield Case(
            "scenario set", ".".join(map(str, place)), _plan(f"{'.'.join(map(str, place))}={text}"), _nothing
        )
    for text in (
        "=",
        "a",
        "a.b.c.d=1",
        "devices.9=1",
        "devices.-1=1",
        "model.x=1",
        "a=[",
        "\x1b=1",
        "é=1",
        "devices.0." + "a." * 500 + "b=1",
        "x=" + "[" * 500,
        "x=" + "9" * 5000,
        "devices.²=1",
        "data.calibration.label_offset=99999999999999999999",
    ):
        yield Case("scenario set", text[:30], _plan(text), _nothing)


def _nothing(_: Path) -> None:
    """Spoil nothing."""


def _damaged(data: bytes, rng: random.Random, count: int) -> Iterator[bytes]:
    """Yield data cut short, with other bits, with a part that is gone or there twice."""
    for number in range(count):
        at = rng.randrange(len(data))
        if number % 4 == 0:
            yield data[:at]
        elif number % 4 == 1:
            yield data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        elif number % 4 == 2:
            yield data[:at] + data[at + rng.randrange(1, 20) :]
        else:
            yield data[:at] + data[at // 2 : at // 2 + 40] + data[at:]


def _saved(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _declaring(header: str, values: bytes = b"") -> bytes:
    """Return an archive whose array x has a header in words."""
    file = io.BytesIO()
    text = header.encode("latin1")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + values)
        archive.writestr("y.npy", _one_array(np.zeros(12, np.int64)))
    return file.getvalue()


def _one_array(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def _archives(rng: random.Random) -> Iterator[Case]:
    x, y = np.ones((12, 2, 8, 8), np.float32), np.zeros(12, np.int64)
    found = {f"x as {kind}": _saved(x=x.astype(kind), y=y) for kind in "?bBhHiIlLefdgFDSUMm"}
    found |= {f"y as {kind}": _saved(x=x, y=y.astype(kind)) for kind in "?bBhHiIlLefdFDSUMm"}
    found |= {
        f"x of shape {shape}": _saved(x=np.ones(shape, np.float32), y=y[: shape[0] if shape else 1])
        for shape in (
            (),
            (0,),
            (0, 2, 8, 8),
            (12,),
            (12, 0),
            (12, 2, 8, 9),
            (3, 2, 8, 8),
            (12, 1, 2, 8, 8),
            (12,) + (1,) * 30,
        )
    }
    found |= {
        f"labels {value}": _saved(x=x, y=np.full(12, value, kind))
        for value, kind in (
            (2**64 - 1, np.uint64),
            (-(2**63), np.int64),
            (2**63 - 1, np.int64),
            (4, np.int64),
            (-1, np.int8),
        )
    }
    found["objects"] = _saved(x=np.array([{}] * 12, object), y=y)
    found["object labels"] = _saved(x=x, y=np.array([0] * 12, object))
    found["fields"] = _saved(x=np.zeros(12, [("a", np.float32)]), y=y)
    found["nan"], found["inf"] = _saved(x=x * np.nan, y=y), _saved(x=x * np.inf, y=y)
    found["no x"], found["no y"], found["nothing"] = _saved(y=y), _saved(x=x), _saved()
    found["odd names"] = _saved(**{"x": x, "a\x1b[31m\n": y, "[bold]": y})
    sizes = {
        "4 TiB": (2**40,),
        "overflow": (2**62, 2**62),
        "negative": (-12, 2, 8, 8),
        "samples": (2**60, 2, 8, 8),
    }
    heads = {
        name: f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}" for name, shape in sizes.items()
    }
    heads |= {
        "no header": "",
        "no text": "\xff\xfe",
        "a list": "[]",
        "no shape": "{'descr': '<f4'}",
        "deep header": "(" * 5000,
        "true": "{'descr': '<f4', 'fortran_order': False, 'shape': (True,)}",
        "dtype": "{'descr': '<q99', 'fortran_order': False, 'shape': (12,)}",
        "objects by header": "{'descr': '|O', 'fortran_order': False, 'shape': (12,)}",
    }
    found |= {name: _declaring(head) for name, head in heads.items()}
    good = _saved(x=x + np.arange(8, dtype=np.float32), y=y)
    found |= {f"damaged {n}": data for n, data in enumerate(_damaged(good, rng, 80))}
    for name, data in found.items():
        yield Case("npz", name, _plan(), _write("c.npz", data))
        if not name.startswith("damaged"):
            yield Case("npz", f"evaluation: {name}", _plan(), _write("e.npz", data))
    yield Case("npz", "bomb", _plan(), _bomb)


def _bomb(folder: Path) -> None:
    """Write 8 GiB of zeros in 8 MB."""
    head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (16777216, 2, 8, 8)}"
    with (
        zipfile.ZipFile(folder / "c.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("x.npy", "w", force_zip64=True) as file,
    ):
        file.write(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)
        for _ in range(32):  # a part of them: what is declared counts
            file.write(bytes(2**23))


def _png(pixels: np.ndarray, **how: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", **how)
    return file.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def _sized(width: int, height: int) -> bytes:
    """Return a picture that says it is so large."""
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", head)
        + _chunk(b"IDAT", zlib.compress(bytes(9)))
        + _chunk(b"IEND", b"")
    )


def _pictures(rng: random.Random) -> Iterator[Case]:
    pixels = np.arange(9 * 10 * 3, dtype=np.uint8).reshape(9, 10, 3)
    text = PngImagePlugin.PngInfo()
    text.add_text("a", "x" * 80_000_000, zip=True)
    found = {
        f"of {w} x {h}": _sized(w, h) for w, h in ((0, 0), (1, 1), (30000, 30000), (9000, 9000), (1, 2**30))
    }
    found |= {
        "text bomb": _png(pixels, pnginfo=text),
        "grey": _png(pixels[..., 0]),
        "1 x 1": _png(pixels[:1, :1]),
        "thin": _png(np.zeros((1, 20000, 3), np.uint8)),
        "empty": b"",
        "text": b"<svg/>",
        "zip": _saved(x=1),
    }
    found |= {f"damaged {n}": data for n, data in enumerate(_damaged(_png(pixels), rng, 60))}
    for name, data in found.items():
        yield Case("picture", name, _plan(scenario="p.yaml"), _write("pictures/0.png", data))
    for place in _places(IMAGE_SUFFIXES["data"]["calibration"]):
        for number in sorted(rng.sample(range(len(VALUES)), 5)):
            content = _with(IMAGE_SUFFIXES, ("data", "calibration", *place), VALUES[number])
            text_of = json.dumps(content).replace("NaN", ".nan")
            yield Case(
                "scenario picture",
                f"{place} value {number}",
                _plan(scenario="p.yaml"),
                _write("p.yaml", text_of),
            )


def _tables(rng: random.Random) -> Iterator[Case]:
    good = "file,label\n" + "".join(f"{n}.png,{n % 4}\n" for n in range(8))
    found = {
        "empty": "",
        "header only": "file,label\n",
        "no label": "file\n0.png\n",
        "a short row": good + "7.png\n",
        "a long row": good + "7.png,1,2,3\n",
        "long field": good + "x" * 200_000 + ",1\n",
        "nul": good + "\0,1\n",
        "twice a column": good.replace("file,label", "file,file"),
        "digits": good + "7.png," + "9" * 5000,
        "beyond 64 bits": good + f"7.png,{2**64}\n",
        "text": good + "7.png,cat\n",
        "float": good + "7.png,1.0\n",
        "no such picture": good + "none.png,1\n",
        "outside": "file,label\n../c.npz,1\n" * 9,
        "folder": good + ".,1\n",
        "quote": good + '"7.png,1\n',
        "escape": good + "\x1b[31m\n.png,1\n",
        "negative": good + "7.png,-1\n",
        "17 MiB": good + "7.png,1\n" * 2_200_000,
        "long name": "file,label\n" + "x" * 5000 + ",1\n",
    }
    files: dict[str, str | bytes] = {**found, "latin": good.encode() + b"\xe9,1\n"}
    files |= {f"damaged {n}": data for n, data in enumerate(_damaged(good.encode(), rng, 30))}
    for name, data in files.items():
        yield Case("label table", name, _plan(scenario="p.yaml"), _write("labels.csv", data))


def _traces(rng: random.Random) -> Iterator[Case]:
    good = "seconds,mbit\n" + "".join(f"{n},{1 + n % 3}\n" for n in range(9))
    found = {
        "empty": "",
        "one line": "0,1\n",
        "three columns": "0,1,2\n1,2,3\n",
        "negative": "0,-1\n1,2\n",
        "nan": "0,nan\n1,2\n",
        "inf": "0,1\n1,inf\n",
        "huge": "0,1e300\n1,2\n",
        "tiny": "0,1e-300\n1,2\n",
        "backwards": "1,1\n0,2\n",
        "still": "0,1\n0,2\n",
        "gap": good + "900,1\n",
        "no value": good + "9,\n",
        "long field": good + "x" * 200_000 + ",1\n",
        "nul": good + "\0,1\n",
        "9 MiB": "0,1\n" * 2_300_000,
        "quote": good + '"9,1\n',
        "words": good + "nine,1\n",
        "huge time": "0,1\n1e308,2\n2e308,3\n",
        "differences beyond floats": "-1.7e308,1\n1.7e308,2\n",
        "constant": "0,1\n1,1\n",
        "header": "a,b\nc,d\n",
    }
    files: dict[str, str | bytes] = {**found, "latin": b"\xe9,1\n"}
    files |= {f"damaged {n}": data for n, data in enumerate(_damaged(good.encode(), rng, 20))}
    for name, data in files.items():
        command = (
            "compare",
            "s.yaml",
            "--plans",
            "1",
            "--trace",
            "trace.csv",
            "--set",
            "objective=latency",
            "--set",
            "budget={}",
            "--bandwidth",
            "1..3",
            "--jobs",
            "1",
            "--out",
            OUT,
        )
        yield Case("trace", name, command, _write("trace.csv", data))


def _problem_values(rng: random.Random) -> Iterator[Case]:
    for name, content in _values(PROBLEM, rng, 3):
        yield Case(
            "problem value", name, ("solve", "problem.json"), _write("problem.json", json.dumps(content))
        )


def _problem_texts(rng: random.Random) -> Iterator[Case]:
    long = {
        "units": [{**PROBLEM["units"][0], "name": f"u{n}"} for n in range(30_000)],
        "devices": [{"name": f"d{n}"} for n in range(500)],
        "links": [{"from": "a", "to": "b", "name": f"l{n}"} for n in range(5000)],
        "apart": [["u", "v"]] * 100_000,
    }
    texts = {f"many {key}": json.dumps({**PROBLEM, key: value}) for key, value in long.items()}
    texts |= {
        "deep": "[" * 100_000,
        "deep object": '{"a":' * 100_000,
        "digits": '{"version": ' + "9" * 5000 + "}",
        "empty": "",
        "null": "null",
        "twice": '{"devices": [], "devices": []}',
        "20 MiB": " " * 20 * 2**20,
        "surrogate": json.dumps(PROBLEM).replace('"camera"', '"\\ud800"'),
        "markup": json.dumps(PROBLEM).replace('"a"', '"cam[/]"'),
        "escape": json.dumps(PROBLEM).replace('"a"', '"\\u001b[31m\\n\\u202e"'),
    }
    files: dict[str, str | bytes] = {
        **texts,
        "latin": b'{"\xe9": 1}',
        "utf-16": json.dumps(PROBLEM).encode("utf-16"),
    }
    files |= {f"damaged {n}": data for n, data in enumerate(_damaged(json.dumps(PROBLEM).encode(), rng, 60))}
    for name, data in files.items():
        yield Case("problem text", name, ("solve", "problem.json"), _write("problem.json", data))


def _profiles(rng: random.Random) -> Iterator[Case]:
    places = (
        "format",
        "device",
        "latency",
        "noise",
        "latency.units",
        "latency.switches",
        "latency.units.0",
        "latency.units.0.seconds",
        "latency.units.0.unit",
        "latency.units.0.precision",
        "latency.units.0.spread",
        "latency.switches.0.tensor",
        "latency.wall_s",
        "latency.threads",
        "latency.model_sha256",
        "latency.spread",
        "latency.processor",
        "noise.0",
        "noise.0.tensors",
        "noise.0.units",
    )
    for place in places:
        for number in sorted(rng.sample(range(len(VALUES)), 4)):
            yield Case(
                "profile",
                f"{place} value {number}",
                _plan("devices.0.profile=profile.json"),
                _edited(place, VALUES[number]),
            )
    for number in range(30):
        yield Case(
            "profile",
            f"damaged {number}",
            _plan("devices.0.profile=profile.json"),
            _damage("profile.json", number),
        )
        yield Case(
            "profile",
            f"diff damaged {number}",
            ("profile", "--diff", "profile.json", "before.json"),
            _damage("before.json", number),
        )


def _edited(place: str, value: Any) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        content = json.loads((folder / "profile.json").read_text())
        steps = tuple(int(step) if step.isdigit() else step for step in place.split("."))
        (folder / "profile.json").write_text(json.dumps(_with(content, steps, value)))

    return spoil


def _damage(name: str, number: int) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        own = random.Random(number)
        *_, last = _damaged((folder / name).read_bytes(), own, 1 + number % 4)
        (folder / name).write_bytes(last)

    return spoil


def _onnx_files(rng: random.Random) -> Iterator[Case]:
    for number in range(100):
        yield Case("onnx", f"plan damaged {number}", _plan(), _damage("m.onnx", number))
        yield Case("onnx", f"inspect damaged {number}", ("inspect", "m.onnx"), _damage("m.onnx", number))
    for name, data in (
        ("empty", b""),
        ("zip", _saved(x=1)),
        ("text", b"hello"),
        ("gzip", b"\x1f\x8b\x08"),
        ("zeros", bytes(1000)),
        ("ones", b"\xff" * 1000),
    ):
        yield Case("onnx", name, ("inspect", "m.onnx"), _write("m.onnx", data))
        yield Case("onnx", f"plan {name}", _plan(), _write("m.onnx", data))


def _options(rng: random.Random) -> Iterator[Case]:
    words = (
        "",
        "x",
        "-1",
        "0",
        "0.5",
        "2",
        "1e400",
        "nan",
        "inf",
        "9" * 5000,
        "1,1",
        "2,1",
        "1..",
        "..",
        "é\x1b[31m",
        "=",
        "camera=",
        "camera=-1",
        "camera=x",
        "latency",
        "latency,latency",
        "1:1,1:2",
        "1:-1",
    )
    compared = (
        "--bandwidth",
        "--link",
        "--noise",
        "--accuracy-drop",
        "--metric-drop",
        "--memory",
        "--pareto",
        "--points",
        "--plans",
        "--trace",
        "--distribution",
        "--hysteresis",
        "--jobs",
    )
    for option in compared:
        for word in rng.sample(words, 12):
            # A bandwidth that is wrong anyway keeps it short where the word happens to be right.
            more = () if option == "--bandwidth" else ("--bandwidth", "1,1")
            command = ("compare", "s.yaml", "--out", OUT, *more, f"{option}={word}")
            yield Case("option", f"{option} {word[:20]}", command, _nothing)
    for word in words:
        yield Case("option", f"--shape {word[:20]}", ("inspect", "m.onnx", f"--shape={word}"), _nothing)
        yield Case(
            "option", f"--conversion {word[:20]}", ("inspect", "m.onnx", f"--conversion={word}"), _nothing
        )
        yield Case(
            "option",
            f"--device {word[:20]}",
            ("profile", "s.yaml", f"--device={word}", "--out", OUT),
            _nothing,
        )
        yield Case("option", f"command {word[:20]}", (word,), _nothing)
        yield Case("option", f"unknown {word[:20]}", ("solve", "problem.json", f"--{word}"), _nothing)


_READ = {
    "s.yaml": _plan(),
    "c.npz": _plan(),
    "m.onnx": _plan(),
    "pictures/0.png": _plan(scenario="p.yaml"),
    "labels.csv": _plan(scenario="p.yaml"),
    "problem.json": ("solve", "problem.json"),
    "profile.json": _plan("devices.0.profile=profile.json"),
    "before.json": ("profile", "--diff", "before.json", "s.yaml"),
    "trace.csv": (
        "compare",
        "s.yaml",
        "--plans",
        "1",
        "--trace",
        "trace.csv",
        "--bandwidth",
        "1..3",
        "--out",
        OUT,
    ),
}


def _odd_files(_: random.Random) -> Iterator[Case]:
    kinds: dict[str, Callable[[Path], object]] = {
        "pipe": os.mkfifo,
        "folder": Path.mkdir,
        "zero": lambda p: p.symlink_to("/dev/zero"),
        "null": lambda p: p.symlink_to("/dev/null"),
        "loop": lambda p: p.symlink_to(p.name),
        "nowhere": lambda p: p.symlink_to("none"),
        "process": lambda p: p.symlink_to("/proc/self/environ"),
        "memory": lambda p: p.symlink_to("/proc/self/mem"),
        "terabyte": lambda p: p.touch() or os.truncate(p, 2**41),
    }
    for name, command in _READ.items():
        for kind, make in kinds.items():
            yield Case("odd file", f"{name} as {kind}", command, _instead(name, make))
    for path in ("/dev/zero", "/dev/stdin", ".", "none", "x" * 300, "/proc/self/mem", "\x1b[31m"):
        for command in (("{}",), ("solve", "{}"), ("inspect", "{}"), ("profile", "{}")):
            words = tuple(word.format(path) for word in command)
            yield Case("odd file", f"{command[0]} {path[:20]!r}", words, _nothing)


def _instead(name: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return spoil


def _odd_places(_: random.Random) -> Iterator[Case]:
    for place in (
        "/dev/null",
        "/dev/full",
        "/proc/o",
        "s.yaml",
        "s.yaml/o",
        ".",
        "..",
        "/",
        "pictures",
        "",
        "x" * 300,
        "/dev/null/o",
    ):
        yield Case("odd place", f"plan {place[:20]!r}", ("s.yaml", f"--out={place}"), _nothing)
        yield Case("odd place", f"profile {place[:20]!r}", ("profile", "s.yaml", f"--out={place}"), _nothing)
        yield Case(
            "odd place", f"bundle {place[:20]!r}", ("profile", "s.yaml", f"--bundle={place}"), _nothing
        )
        compared = ("compare", "s.yaml", "--bandwidth", "1", f"--out={place}")
        yield Case("odd place", f"compare {place[:20]!r}", compared, _nothing)


_RAISES = {
    "exit": "import sys; sys.exit(3)",
    "keyboard": "raise KeyboardInterrupt",
    "generator": "raise GeneratorExit",
    "system": "raise SystemExit('a\\nb')",
    "own": "class E(BaseException):\n  def __str__(self): raise self\n raise E",
    "long": "raise ValueError('x' * 9999)",
    "lines": "raise ValueError('a\\nb\\x1b[31m')",
    "memory": "raise MemoryError",
    "os": "raise OSError(5, 'x')",
    "deep": "f()",
    "group": "raise BaseExceptionGroup('g', [KeyboardInterrupt()])",
    "planner": "from planner.errors import UsageError; raise UsageError('mine')",
    "says": "print('user: hello'); import os; os.system('echo user: hello'); raise ValueError('x')",
}
_GIVES = (
    "None",
    "'3'",
    "b'3'",
    "[]",
    "[1, 2]",
    "float('nan')",
    "1e400",
    "10**400",
    "1j",
    "object()",
    "{}",
    "(1,)",
    "__import__('numpy').zeros(2)",
    "__import__('numpy').zeros(0)",
)
_NUMBERS = "__import__('numpy').ones((1, 2, 8, 8), 'f')"
_FEEDS = (
    "3",
    "[]",
    "{}",
    "{'x': None}",
    "{'x': 'a'}",
    "{'x': [[1], [1, 2]]}",
    "{'x': object()}",
    "{1: 2}",
    "{'x': __import__('numpy').ones((1, 2, 8, 9), 'f')}",
    "{'x': __import__('numpy').array(1.0)}",
)


def _user_code(_: random.Random) -> Iterator[Case]:
    for name, text in _RAISES.items():
        yield _metric(f"raises: {name}", f"def f(*_):\n {text}\n")
        yield _metric(f"import raises: {name}", f"def f(): f()\nif True:\n {text}\n")
        yield _reader(
            f"raises: {name}",
            f"class R:\n def get_next(self): f()\ndef f():\n {text}\n".replace("\n  def", "\n   def").replace(
                "\n raise E", "\n  raise E"
            ),
        )
        yield _reader(f"init raises: {name}", f"def R():\n f = R\n {text}\n")
    for value in _GIVES:
        yield _metric(f"gives {value}", f"def f(*_): return {value}\n")
    for value in _FEEDS:
        yield _reader(f"gives {value}", f"class R:\n def get_next(self): return {value}\n")
    for labels in ("3", "[1]", "[2**70] * 8", "iter(int, 1)", "'abcdefgh'", "[None] * 8", "1/0"):
        yield _reader(
            f"labels {labels}",
            "class R:\n n = 0\n def get_next(self):\n  self.n += 1\n"
            f"  return {{'x': {_NUMBERS}}} if self.n < 9 else None\n @property\n"
            f" def labels(self): return {labels}\n",
        )


def _metric(name: str, text: str) -> Case:
    return Case("user code", f"metric {name}", _plan("metric=own:f"), _write("own.py", text))


def _reader(name: str, text: str) -> Case:
    return Case(
        "user code", f"reader {name}", _plan("data.calibration={reader: 'own:R'}"), _write("own.py", text)
    )


def fresh_copy(good: Path, place: Path) -> Path:
    """Return a copy of the good folder to spoil."""
    shutil.copytree(good, place)
    return place
