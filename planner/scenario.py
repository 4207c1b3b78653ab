"""The scenario file: YAML, validated whole; human units in its keys, SI in its properties."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML, YAMLError

from planner.errors import ScenarioError
from profiling.profile import Precision

_MEBI = 2**20
_MEGABIT_BYTES = 1e6 / 8
_VARIABLE = re.compile(r"\$\{([^}]*)\}")

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]
Number = Annotated[float, Field(allow_inf_nan=False)]
PerChannel = Number | tuple[Number, ...]
DeviceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


class InputSpec(_Part):
    """What is known of one model input beyond its name."""

    wire_bytes: Count = Field(description="Bytes that one raw input weighs on a link (a JPEG, say).")


class ImageSpec(_Part):
    """From pictures to model input: (pixel / divide_by - subtract) / scale_by, pixels 0..255."""

    layout: Literal["nchw", "nhwc"] = Field("nchw", description="Axis order that the model wants.")
    channels: Literal["rgb", "bgr"] = "rgb"
    resize_shorter: Count | None = Field(None, description="Resize the shorter side to so many pixels.")
    crop: Count | None = Field(None, description="Side of the centre square to cut out, in pixels.")
    divide_by: PerChannel = 1.0
    subtract: PerChannel = 0.0
    scale_by: PerChannel = 1.0


class SubsetSpec(_Part):
    """Keep the samples whose `column` (default: their position) modulo `modulo` is in `equals`."""

    modulo: Count
    equals: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    column: str | None = None


class LabelTable(_Part):
    """A tab-separated file (or comma-separated, .csv) with a header line."""

    file: str
    image_column: str = "file"
    label_column: str = "label"


class SampleSpec(_Part):
    """Where samples come from: exactly one of `npz`, `images`, `reader`."""

    npz: str | None = Field(None, description="NumPy archive with one array per model input.")
    inputs: dict[str, str] = Field(
        default_factory=dict, description="Model input -> array in the archive; default: same name."
    )
    images: str | None = Field(None, description="Folder of pictures.")
    reader: str | None = Field(None, description="module:CalibrationDataReader, found beside the scenario.")
    labels: str | LabelTable | None = Field(None, description="Array in the archive, or a table.")
    label_offset: int = Field(0, description="Added to every label to give the model's class index.")
    image: ImageSpec | None = None
    subset: SubsetSpec | None = None
    samples: Count | None = Field(None, description="Use only so many, evenly spread.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [key for key in ("npz", "images", "reader") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError("needs exactly one of npz, images, reader")
        return self


class DataSpec(_Part):
    """Calibration samples choose ranges and tighten budgets; evaluation samples only judge."""

    calibration: SampleSpec
    evaluation: SampleSpec


class DeviceSpec(_Part):
    """A device and where its costs come from."""

    name: DeviceName
    profile: str | None = Field(
        None, description="`measure` (this machine) or a file from `plan profile`; default: measure."
    )
    threads: Count = 1
    provider: str = "CPUExecutionProvider"
    scaled_from: str | None = Field(None, description="Take the costs of this other device ...")
    speedup: Positive | None = Field(None, description="... made faster by this factor.")
    precisions: tuple[Precision, ...] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.scaled_from is not None and self.profile is not None:
            raise ValueError("give either profile or scaled_from, not both")
        if self.speedup is not None and self.scaled_from is None:
            raise ValueError("speedup needs scaled_from, the device whose costs are scaled")
        return self


class LinkSpec(_Part):
    """A one-way link; a way back is a second link."""

    source: DeviceName = Field(alias="from")
    target: DeviceName = Field(alias="to")
    bandwidth_mbit_per_s: Positive = Field(description="10^6 bit per second.")
    latency_ms: NotNegative = Field(0.0, description="Per message.")

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """Bandwidth in bytes per second."""
        return self.bandwidth_mbit_per_s * _MEGABIT_BYTES

    @property
    def latency_s(self) -> float:
        """Latency per message in seconds."""
        return self.latency_ms / 1e3


class BudgetSpec(_Part):
    """Limits that the plan must keep; error limits are judged on the evaluation data."""

    noise_relative_rms: NotNegative | None = Field(None, description="||y - y_fp32|| / ||y_fp32||.")
    max_abs_error: NotNegative | None = None
    top1_agreement: Fraction | None = Field(None, description="Least share of equal top-1 answers.")
    accuracy_drop: Fraction | None = Field(None, description="fp32 accuracy minus the plan's.")
    memory_mib: dict[str, Positive] = Field(default_factory=dict, description="Device -> 2^20 bytes.")
    latency_ms: Positive | None = None


class SolverSpec(_Part):
    """The integer program's solver."""

    name: Literal["highs", "cbc"] = "highs"
    time_limit_s: Positive = 60.0
    gap: NotNegative = 1e-6


class ProfilingSpec(_Part):
    """How much is measured."""

    rounds: Annotated[int, Field(ge=3)] = Field(30, description="Timed runs of every model.")
    noise_samples: Count = Field(16, description="Calibration samples per noise measurement.")
    weights: Literal["auto", "8bit", "7bit"] = Field(
        "auto", description="7bit where this machine's int8 kernels overflow (x86 without VNNI)."
    )


class Scenario(_Part):
    """A model, the data it is judged on, the devices it may run on, and what must hold."""

    model: str
    input_shapes: dict[str, tuple[Count, ...]] = Field(default_factory=dict)
    inputs: dict[str, InputSpec] = Field(default_factory=dict)
    data: DataSpec
    devices: tuple[DeviceSpec, ...] = Field(min_length=1)
    links: tuple[LinkSpec, ...] = ()
    source: str = Field(description="Device at which the inputs arise.")
    sink: str = Field(description="Device at which the outputs are due.")
    precisions: tuple[Precision, ...] = Field((Precision.FP32, Precision.INT8), min_length=1)
    budget: BudgetSpec = BudgetSpec()
    objective: Literal["latency"] = "latency"
    solver: SolverSpec = SolverSpec()
    profiling: ProfilingSpec = ProfilingSpec()

    def device(self, name: str) -> DeviceSpec:
        """Return a device by name."""
        return next(device for device in self.devices if device.name == name)

    def precisions_of(self, device: DeviceSpec) -> tuple[Precision, ...]:
        """Return the precisions that the scenario and the device both allow."""
        own = device.precisions or self.precisions
        return tuple(p for p in self.precisions if p in own)

    def memory_bytes(self, device: str) -> int | None:
        """Return a device's memory budget in bytes."""
        limit = self.budget.memory_mib.get(device)
        return None if limit is None else int(limit * _MEBI)

    @property
    def latency_s(self) -> float | None:
        """The latency budget in seconds."""
        return None if self.budget.latency_ms is None else self.budget.latency_ms / 1e3


@dataclass(frozen=True, slots=True)
class _Fault:
    place: tuple[str | int, ...]
    text: str


def load_scenario(path: Path, overrides: Sequence[str] = ()) -> Scenario:
    """Read a scenario file, expand ${VAR}, make its paths absolute and check it whole.

    Parameters
    ----------
    overrides
        `key.path=value` settings that replace values of the file.

    Raises
    ------
    ScenarioError
        With one line per fault: file, line, key and what would be right.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "is not UTF-8 text"
        raise ScenarioError(f"{path}: {reason}") from exc
    content, marks = _parse(text, path)
    for setting in overrides:
        _override(content, setting)
    faults = _expand(content)
    try:
        scenario = Scenario.model_validate_json(json.dumps(content, default=str))
    except ValidationError as exc:
        faults += [_describe(error) for error in exc.errors()]
    else:
        faults += list(_crosscheck(scenario))
    if faults:
        raise ScenarioError("\n".join(_line(path, marks, fault) for fault in _distinct(faults)))
    return _absolute(scenario, path.resolve().parent)


def parse_scenario(text: bytes) -> Scenario:
    """Return the scenario that a plan carries as JSON."""
    try:
        return Scenario.model_validate_json(text)
    except ValidationError as exc:
        first = _describe(exc.errors()[0])
        key = ".".join(map(str, first.place))
        raise ScenarioError(f"plan.json: scenario.{key} {first.text}") from exc


def scenario_schema() -> dict[str, object]:
    """Return the JSON Schema of a scenario."""
    return Scenario.model_json_schema(by_alias=True)


def _parse(text: str, path: Path) -> tuple[dict[str, object], object]:
    try:
        content = YAML(typ="safe", pure=True).load(text)
        marks = YAML(typ="rt").load(text)
    except YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = getattr(exc, "problem", None) or str(exc).splitlines()[0]
        raise ScenarioError(f"{path}{where}: not valid YAML: {problem}") from exc
    if not isinstance(content, dict):
        raise ScenarioError(f"{path}: must be a mapping of keys such as model, data, devices")
    return content, marks


def _override(content: dict[str, object], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise ScenarioError(f"--set {setting}: write KEY=VALUE, such as links.0.latency_ms=2")
    try:
        value = YAML(typ="safe", pure=True).load(text)
    except YAMLError as exc:
        raise ScenarioError(f"--set {setting}: the value is not valid YAML") from exc
    *parents, last = key.split(".")
    here: object = content
    for step in parents:
        here = _step(here, step, setting)
    if isinstance(here, list):
        _step(here, last, setting)
        here[int(last)] = value
    elif isinstance(here, dict):
        here[last] = value
    else:
        raise ScenarioError(f"--set {setting}: {'.'.join(parents)} holds no keys")


def _step(here: object, step: str, setting: str) -> object:
    if isinstance(here, dict):
        return here.setdefault(step, {})
    if isinstance(here, list) and step.isdigit() and int(step) < len(here):
        return here[int(step)]
    length = f"; it has {len(here)} entries, counted from 0" if isinstance(here, list) else ""
    raise ScenarioError(f"--set {setting}: there is no {step!r}{length}")


def _expand(content: dict[str, object]) -> list[_Fault]:
    faults: list[_Fault] = []

    def walk(value: object, place: tuple[str | int, ...]) -> object:
        if isinstance(value, dict):
            return {key: walk(item, (*place, str(key))) for key, item in value.items()}
        if isinstance(value, list):
            return [walk(item, (*place, i)) for i, item in enumerate(value)]
        if not isinstance(value, str):
            return value
        for name in _VARIABLE.findall(value):
            if not os.environ.get(name):
                faults.append(_Fault(place, f"needs the environment variable {name}, which is not set"))
        return _VARIABLE.sub(lambda found: os.environ.get(found[1], found[0]), value)

    for key in list(content):
        content[key] = walk(content[key], (str(key),))
    return faults


def _crosscheck(scenario: Scenario) -> list[_Fault]:
    faults: list[_Fault] = []
    names = [device.name for device in scenario.devices]

    def known(name: str, *place: str | int) -> None:
        if name not in names:
            faults.append(_Fault(place, f"names no device: {name!r}; devices are {', '.join(names)}"))

    known(scenario.source, "source")
    known(scenario.sink, "sink")
    for i, link in enumerate(scenario.links):
        known(link.source, "links", i, "from")
        known(link.target, "links", i, "to")
        if link.source == link.target:
            faults.append(_Fault(("links", i), "joins a device to itself"))
    for name in scenario.budget.memory_mib:
        known(name, "budget", "memory_mib", name)
    for i, device in enumerate(scenario.devices):
        if names.index(device.name) != i:
            faults.append(_Fault(("devices", i, "name"), f"{device.name!r} is already taken"))
        if device.scaled_from is not None:
            known(device.scaled_from, "devices", i, "scaled_from")
            faults += _scaling_faults(scenario, i)
        if not scenario.precisions_of(device):
            faults.append(_Fault(("devices", i, "precisions"), "shares none with the scenario's precisions"))
    if not faults:
        faults += _reach_faults(scenario)
    return faults


def _scaling_faults(scenario: Scenario, index: int) -> list[_Fault]:
    seen = {scenario.devices[index].name}
    name = scenario.devices[index].scaled_from
    while name is not None:
        if name in seen:
            return [_Fault(("devices", index, "scaled_from"), f"runs in a circle through {name!r}")]
        seen.add(name)
        found = [device for device in scenario.devices if device.name == name]
        name = found[0].scaled_from if found else None
    return []


def _reach_faults(scenario: Scenario) -> list[_Fault]:
    reached = {scenario.source}
    while True:
        more = {link.target for link in scenario.links if link.source in reached} - reached
        if not more:
            break
        reached |= more
    if scenario.sink in reached:
        return []
    return [_Fault(("sink",), f"{scenario.sink!r} cannot be reached from source {scenario.source!r} over links")]


def _describe(error: Mapping[str, object]) -> _Fault:
    place = tuple(p for p in error["loc"] if p not in ("LabelTable", "float", "str", "tuple[]"))  # type: ignore[attr-defined]
    place = tuple(p for p in place if not (isinstance(p, str) and "[" in p))
    kind, context, value = str(error["type"]), error.get("ctx") or {}, error.get("input")
    return _Fault(place, _wording(kind, context, value, place) or f"{error['msg']}, got {value!r}")  # type: ignore[arg-type]


def _wording(
    kind: str, context: Mapping[str, object], value: object, place: tuple[str | int, ...]
) -> str | None:
    signs = {"greater_than": ("gt", ">"), "greater_than_equal": ("ge", ">="), "less_than_equal": ("le", "<=")}
    if kind in signs:
        name, sign = signs[kind]
        return f"must be {sign} {context[name]}, got {value}"
    if kind == "extra_forbidden":
        close = get_close_matches(str(place[-1]), _known_keys(), n=1)
        return "is not a known key" + (f"; did you mean {close[0]}?" if close else "; see `plan schema`")
    wanted = {
        "missing": "is required",
        "finite_number": f"must be finite, got {value}",
        "float_type": f"must be a number, got {value!r}",
        "int_type": f"must be a whole number, got {value!r}",
        "string_type": f"must be text, got {value!r}",
        "value_error": str(context.get("error", "")),
        "string_pattern_mismatch": f"may hold only letters, digits and _ . -, got {value!r}",
    }
    return wanted.get(kind)


def _known_keys() -> list[str]:
    keys: set[str] = set()
    for part in (*_Part.__subclasses__(),):
        keys |= {field.alias or name for name, field in part.model_fields.items()}
    return sorted(keys)


def _distinct(faults: Sequence[_Fault]) -> list[_Fault]:
    # A value of a union type reports one fault per member: keep the first of each place.
    return list({fault.place: fault for fault in reversed(faults)}.values())[::-1]


def _line(path: Path, marks: object, fault: _Fault) -> str:
    line, column = 1, 1
    here = marks
    for step in fault.place:
        try:
            at = here.lc.key(step) if isinstance(here, dict) else here.lc.item(step)  # type: ignore[attr-defined]
            line, column = at[0] + 1, at[1] + 1
            here = here[step]  # type: ignore[index]
        except (KeyError, IndexError, TypeError, AttributeError):
            break
    return f"{path}:{line}:{column}: {'.'.join(map(str, fault.place))} {fault.text}"


def _absolute(scenario: Scenario, folder: Path) -> Scenario:
    def absolute(text: str) -> str:
        return str(folder / Path(text).expanduser())

    def samples(spec: SampleSpec) -> SampleSpec:
        changes: dict[str, object] = {
            key: absolute(value) for key in ("npz", "images") if (value := getattr(spec, key)) is not None
        }
        if spec.reader is not None and "/" not in spec.reader:
            changes["reader"] = f"{folder}/{spec.reader}"
        if isinstance(spec.labels, LabelTable):
            changes["labels"] = spec.labels.model_copy(update={"file": absolute(spec.labels.file)})
        return spec.model_copy(update=changes)

    devices = tuple(
        d.model_copy(update={"profile": absolute(d.profile)}) if d.profile not in (None, "measure") else d
        for d in scenario.devices
    )
    data = DataSpec(
        calibration=samples(scenario.data.calibration), evaluation=samples(scenario.data.evaluation)
    )
    return scenario.model_copy(update={"model": absolute(scenario.model), "data": data, "devices": devices})
