"""Code, units and texts that lie in a host's folder."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from string import Template

from planner.hosts.endpoints import Endpoint
from planner.hosts.on_host.own_keys import CREDENTIAL
from planner.hosts.on_host.stage_runtime import LITERT
from planner.hosts.zenoh_config import KEY, KEYS

README, REQUIREMENTS = "README.md", "requirements.txt"
_LOCKS = {LITERT: "requirements-litert.lock"}  # of runtimes other than ONNX Runtime
_ENGINE, ARRAYS = "eclipse-zenoh", "numpy"


@dataclass(frozen=True, slots=True)
class ServingCode:
    """What is copied of this package to where stages run.

    Parameters
    ----------
    packages
        Package -> its modules that run there; None for all.
    script
        The one of them that is started: it lies beside the packages.
    """

    packages: Mapping[str, tuple[str, ...] | None]
    script: str


HOST_CODE = ServingCode(
    {"planner.hosts.on_host": None, "profiling.on_device": ("create_session",)}, "serve.py"
)


@dataclass(frozen=True, slots=True)
class HostTexts:
    """What the texts in a host's folder say of it; `runtime` is None where it only forwards."""

    device: str
    endpoint: Endpoint
    runtime: str | None
    deployment: str
    has_keys: bool = False


def write_code(folder: Path, code: ServingCode) -> None:
    """Write the script that is started, and the packages that it imports by their names here."""
    for package, modules in code.packages.items():
        target = folder.joinpath(*package.split("."))
        target.mkdir(parents=True)
        for part in (target, *target.relative_to(folder).parents):
            (folder / part / "__init__.py").touch()
        (folder / "__init__.py").unlink()
        for module in resources.files(package).iterdir():
            stem = module.name.removesuffix(".py")
            if module.name == code.script:
                (folder / code.script).write_bytes(module.read_bytes())
            elif stem != module.name and (modules is None or stem in modules):
                (target / module.name).write_bytes(module.read_bytes())


def write_texts(folder: Path, texts: HostTexts) -> None:
    """Write what a person or a service manager reads in a host's folder."""
    values = {
        "device": texts.device,
        "deployment": texts.deployment,
        "address": texts.endpoint.address,
        "port": str(texts.endpoint.port),
        "credential": _credential(texts.device) if texts.has_keys else "",
    }
    for name, target in (
        (README, README),
        ("service", f"splitquant-{texts.device}.service"),
        ("Containerfile", "Containerfile"),
    ):
        fill_template(name, values, folder / target)
    (folder / REQUIREMENTS).write_text(_requirements(texts.runtime), encoding="utf-8")


def _credential(device: str) -> str:
    """Return the line by which systemd hands over the key, which a service's changing user cannot read."""
    return f"LoadCredential={CREDENTIAL}:/opt/splitquant/{device}/{KEYS}/{KEY}\n"


def _requirements(runtime: str | None) -> str:
    """Return what a host installs: with hashes if the versions here are those that hashes are known of.

    Forwarding hosts need no runtime.
    """
    names = [name for name in (ARRAYS, runtime, _ENGINE) if name is not None]
    pins = {f"{name}=={metadata.version(name)}" for name in names}
    file = _LOCKS.get(runtime or "", "requirements.lock")
    lock = (resources.files("planner.hosts") / "templates" / file).read_text(encoding="utf-8")
    parts = re.split(r"\n(?=[a-z0-9])", lock.rstrip("\n"))
    pinned = [part for part in parts if part.partition(" ")[0] in pins]
    if len(pinned) < len(pins):
        return "".join(f"{pin}\n" for pin in sorted(pins))
    return "".join(f"{part}\n" for part in (pinned if runtime is None else parts))


def write_readme(folder: Path, deployment: str, hosts: Sequence[str]) -> None:
    """Write what lies above the hosts' folders."""
    fill_template("deployment.md", {"deployment": deployment, "hosts": "\n".join(hosts)}, folder / README)


def fill_template(name: str, values: Mapping[str, str], target: Path) -> None:
    """Write a text of `templates` with its $names replaced."""
    text = (resources.files("planner.hosts") / "templates" / name).read_text(encoding="utf-8")
    target.write_text(Template(text).substitute(values), encoding="utf-8")
