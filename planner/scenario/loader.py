"""The scenario file: YAML with ${VAR} and relative paths -> a checked scenario; faults by line."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from operator import itemgetter
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from planner.errors import ScenarioError
from planner.scenario.changes import Change, apply_changes, parse_setting, plain_value
from planner.scenario.data_schema import LabelTable, SampleSpec
from planner.scenario.file_kind import SCENARIO_SUFFIXES, refuse_other_than_scenario
from planner.scenario.fleet_schema import FleetSpec
from planner.scenario.missing_files import missing_files
from planner.scenario.model_paths import expanded, located_conversion, located_model
from planner.scenario.models_schema import ModelsSpec
from planner.scenario.schema import ConversionSpec, Scenario
from planner.scenario.several_models import MODELS, SeveralModels, moved_fault, read_models
from planner.scenario.validation import check_conversion, check_scenario, read_scenario
from planner.scenario.validation_messages import Fault
from planner.scenario.yaml_text import MOST_BYTES, load_yaml
from profiling.input_files import read_input

_KEYS = frozenset(Scenario.model_fields) | frozenset(ModelsSpec.model_fields)
_NAME = "scenario"  # of one that is no file, in messages
VARIABLE = re.compile(r"\$\{([^}]*)\}")


FindMissing = Callable[[Scenario], Iterator[Fault]]
"""Yields a fault per file that a scenario needs and that is not there."""


@dataclass(frozen=True, slots=True)
class _Content:
    """What a scenario says, its values changed, and where that stands.

    Parameters
    ----------
    folder
        From which its paths lead.
    positions
        The same with line and column of each key; None where it is no file.
    """

    values: dict[str, Any]
    name: str
    folder: Path
    positions: object

    def refuse(self, faults: Sequence[Fault]) -> None:
        """Raise what is wrong, in the order of a file, if anything is."""
        if not faults:
            return
        distinct_faults = _distinct_faults(faults)
        at_keys = [fault for fault in distinct_faults if fault.key_path]
        of_whole = [fault for fault in distinct_faults if not fault.key_path]  # how many more there are, say
        if self.positions is None:
            raise ScenarioError(
                *(f"{self.name}: {_key_text(fault)} {fault.text}" for fault in at_keys),
                *(f"{self.name}: {fault.text}" for fault in of_whole),
            )
        placed = [(_position(self.positions, fault), fault) for fault in at_keys]
        raise ScenarioError(
            *(
                f"{self.name}:{line}:{column}: {_key_text(fault)} {fault.text}"
                for (line, column), fault in sorted(placed, key=itemgetter(0))
            ),
            *(f"{self.name}:1:1: {fault.text}" for fault in of_whole),
        )


def load_ready_models(
    path: Path, overrides: Sequence[str] = (), find_missing: FindMissing = missing_files
) -> Scenario | SeveralModels:
    """Read a scenario of one model as `load_ready_scenario` does, or one of several, whose files are there.

    Raises
    ------
    ScenarioError
        With one line per fault.
    """
    return ready_models(path, [parse_setting(setting) for setting in overrides], find_missing)


def ready_models(
    source: Path | Mapping[str, object],
    changes: Sequence[Change] = (),
    find_missing: FindMissing = missing_files,
) -> Scenario | SeveralModels:
    """Return the scenario of a file, or of values as a file would have them, whose files are there.

    Paths lead from the file's folder, or from the working directory.

    Raises
    ------
    ScenarioError
        With one line per fault.
    """
    content = _content_of(source, changes)
    if MODELS not in content.values:
        scenario, faults = _scenario_of(content)
        content.refuse([*faults, *find_missing(scenario)])
        return scenario
    faults = list(_unset_variables(content.values))
    several, faults_of_values = read_models(_copied(content.values, _expand))
    if several is None:
        content.refuse([*faults, *faults_of_values])
        raise ScenarioError(f"{content.name}: is no scenario")
    located = several.mapped(lambda scenario: _absolute(scenario, content.folder))
    for number, one in enumerate(located.models):
        faults += (moved_fault(fault, number) for fault in find_missing(one.scenario))
    content.refuse([*faults, *faults_of_values])
    return located


def load_scenario(path: Path, overrides: Sequence[str] = ()) -> Scenario:
    """Read a scenario file, expand ${VAR}, make its paths absolute and check it, but for its files.

    Parameters
    ----------
    overrides
        `key.path=value` settings that replace values of the file.

    Raises
    ------
    ScenarioError
        With one line per fault: file, line, key and what would be right.
    """
    content = _content_of(path, [parse_setting(setting) for setting in overrides])
    scenario, faults = _scenario_of(content)
    content.refuse(faults)
    return scenario


def load_ready_scenario(
    path: Path, overrides: Sequence[str] = (), find_missing: FindMissing = missing_files
) -> Scenario:
    """Read a scenario as `load_scenario` does, and check that the files and modules it names are there.

    Raises
    ------
    ScenarioError
        With one line per fault, those of missing files among them.
    """
    content = _content_of(path, [parse_setting(setting) for setting in overrides])
    scenario, faults = _scenario_of(content)
    content.refuse([*faults, *find_missing(scenario)])
    return scenario


def _scenario_of(content: _Content) -> tuple[Scenario, list[Fault]]:
    """Return the scenario as far as it is right, its paths absolute, and its faults."""
    if MODELS in content.values:
        raise ScenarioError(f"{content.name}: holds several models; this command takes a scenario of one")
    faults = list(_unset_variables(content.values))
    # Through JSON, so that a scenario in YAML and one in a plan are checked alike.
    scenario, faults_of_values = read_scenario(json.dumps(_copied(content.values, _expand), default=str))
    return _absolute(scenario, content.folder), [*faults, *faults_of_values]


def _content_of(source: Path | Mapping[str, object], changes: Sequence[Change]) -> _Content:
    """Return what a file or a mapping says, with changes in place of its values."""
    if isinstance(source, Path):
        content = _read_content(source)
    else:
        values = {str(key): plain_value(value, f"{_NAME}: {key}") for key, value in source.items()}
        content = _Content(values, _NAME, Path.cwd(), None)
    apply_changes(content.values, changes)
    return content


def _read_content(path: Path) -> _Content:
    """Return what a file says."""
    refuse_other_than_scenario(path)
    try:
        text = read_input(path, MOST_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "is not UTF-8 text"
        hint = _scenario_hint(path) if isinstance(exc, FileNotFoundError) else ""
        raise ScenarioError(f"{path}: {reason}{hint}") from exc
    values, positions = _parse_yaml(text, path)
    if isinstance(values, dict) and values and not any(key in _KEYS for key in values):
        raise ScenarioError(
            f"{path}: is no scenario: it has none of its keys, such as model, data, devices and links; "
            "`plan init MODEL` writes one"
        )
    # A YAML alias is one object in two places.
    return _Content(_copied(values, str), str(path), path.resolve().parent, positions)


def _scenario_hint(path: Path) -> str:
    """Return which scenario may be meant by a name that is no file's."""
    if not path.parent.is_dir():
        return ""
    there = {one.stem: one for suffix in SCENARIO_SUFFIXES for one in path.parent.glob(f"*{suffix}")}
    close = get_close_matches(path.stem, there, n=1)
    if close:
        return f"; did you mean {there[close[0]]}?"
    return "; `plan init MODEL` writes a first scenario" if path.suffix in SCENARIO_SUFFIXES else ""


def parse_conversion(settings: Sequence[str], folder: Path) -> ConversionSpec:
    """Return the `conversion` that `key=value` settings describe, its paths made absolute from a folder.

    Raises
    ------
    ScenarioError
        With one line per fault.
    """
    content: dict[str, object] = {}
    for setting in settings:
        apply_changes(content, [parse_setting(setting, "--conversion")])
    conversion, faults = check_conversion(json.dumps(content, default=str))
    if conversion is None:
        raise ScenarioError(
            *(f"--conversion {'.'.join(map(str, fault.key_path))} {fault.text}" for fault in faults)
        )
    return located_conversion(conversion, folder)


def dump_scenario(scenario: Scenario) -> str:
    """Return a scenario as JSON with absolute paths, as a plan carries it."""
    return scenario.model_dump_json(by_alias=True, exclude_unset=True)


def parse_scenario(text: bytes) -> Scenario:
    """Return the scenario that a plan carries as JSON.

    Raises
    ------
    ScenarioError
        If the plan was edited, or comes from another version.
    """
    scenario, faults = check_scenario(text)
    if scenario is None:
        key = ".".join(map(str, faults[0].key_path))
        raise ScenarioError(f"plan.json: scenario.{key} {faults[0].text}")
    return scenario


def _parse_yaml(text: str, path: Path) -> tuple[dict[str, object], object]:
    try:
        content = load_yaml(text)
        # The round-trip loader knows lines and columns, the bounded one gives plain values.
        marks = YAML(typ="rt").load(text)
    except YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        position = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = getattr(exc, "problem", None) or str(exc).splitlines()[0]
        if mark and "${" in text.splitlines()[min(mark.line, text.count("\n") - 1)]:
            problem += "; put quotes around text with ${...} between { and }"
        raise ScenarioError(f"{path}{position}: not valid YAML: {problem}") from exc
    if not isinstance(content, dict):
        raise ScenarioError(f"{path}: must be a mapping of keys such as model, data, devices")
    return content, marks


def _unset_variables(content: object) -> Iterator[Fault]:
    """Yield one fault per environment variable that is not set, at the first key that needs it."""
    missing: dict[str, tuple[str | int, ...]] = {}
    for key_path, text in _texts(content, ()):
        for name in VARIABLE.findall(text):
            if not os.environ.get(name):
                missing.setdefault(name, key_path)
    for name, key_path in missing.items():
        yield Fault(key_path, f"needs the environment variable {name}, which is not set")


def _texts(value: object, key_path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*key_path, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*key_path, index))
    elif isinstance(value, str):
        yield key_path, value


def _copied(value: Any, change: Callable[[str], str]) -> Any:
    """Return a copy of YAML content without shared parts, its texts changed."""
    if isinstance(value, dict):
        return {str(key): _copied(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def _expand(text: str) -> str:
    return VARIABLE.sub(lambda match: os.environ.get(match[1], match[0]), text)


def _key_text(fault: Fault) -> str:
    return ".".join(map(str, fault.key_path))


def _distinct_faults(faults: Sequence[Fault]) -> list[Fault]:
    # A value of a union type reports one fault per member: keep the first of each place.
    return list({fault.key_path: fault for fault in reversed(faults)}.values())[::-1]


def _position(positions: object, fault: Fault) -> tuple[int, int]:
    """Return line and column of the innermost key that a fault's place has in the file."""
    line, column = 1, 1
    node = positions
    for step in fault.key_path:
        try:
            position = node.lc.key(step) if isinstance(node, dict) else node.lc.item(step)  # type: ignore[attr-defined]
            line, column = position[0] + 1, position[1] + 1
            node = node[step]  # type: ignore[index]
        except (KeyError, IndexError, TypeError, AttributeError):
            break
    return line, column


def _absolute(scenario: Scenario, folder: Path) -> Scenario:
    def absolute(text: str) -> str:
        return str(folder / expanded(text))

    devices = tuple(
        d
        if d.profile is None or d.is_measured_here
        else d.model_copy(update={"profile": absolute(d.profile)})
        for d in scenario.devices
    )
    data = scenario.data.model_copy(
        update={
            part: _located_samples(getattr(scenario.data, part), folder)
            for part in ("calibration", "evaluation")
        }
    )
    changes: dict[str, object] = {
        "model": located_model(scenario.model, folder),
        "data": data,
        "devices": devices,
    }
    changes |= _located_fleet(scenario.fleet, absolute)
    if "conversion" in scenario.model_fields_set:
        changes["conversion"] = located_conversion(scenario.conversion, folder)
    if scenario.metric_function is not None:
        changes["metric"] = _located_object(scenario.metric_function, folder)
    return scenario.model_copy(update=changes)


def _located_samples(spec: SampleSpec, folder: Path) -> SampleSpec:
    """Return where samples come from, its paths made absolute."""
    changes: dict[str, object] = {
        key: str(folder / expanded(value))
        for key in ("npz", "images", "clips", "classes")
        if isinstance(value := getattr(spec, key), str)
    }
    if spec.reader is not None:
        changes["reader"] = _located_object(spec.reader, folder)
    if spec.audio is not None and spec.audio.features is not None:
        features = _located_object(spec.audio.features, folder)
        changes["audio"] = spec.audio.model_copy(update={"features": features})
    if spec.label_file is not None:
        file = str(folder / expanded(spec.label_file))
        table = spec.labels
        changes["labels"] = table.model_copy(update={"file": file}) if isinstance(table, LabelTable) else file
    return spec.model_copy(update=changes)


def _located_object(name: str, folder: Path) -> str:
    return name if "/" in name else f"{folder}/{name}"


def _located_fleet(fleet: FleetSpec | None, absolute: Callable[[str], str]) -> dict[str, object]:
    """Return what changes in a scenario where the paths of its fleet's profiles are absolute."""
    if fleet is None:
        return {}
    classes = tuple(
        c if c.profile is None else c.model_copy(update={"profile": absolute(c.profile)})
        for c in fleet.classes
    )
    return {"fleet": fleet.model_copy(update={"classes": classes})}
