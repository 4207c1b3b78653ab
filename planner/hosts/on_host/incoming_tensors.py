"""Checks tensors that come in: each is what the manifest expects, from whom it expects it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from planner.hosts.on_host.host_manifest import HostedPlan, HostManifest, RoutedTensor
from planner.hosts.on_host.messages import CLIENT_PREFIX, Refused, TensorHeader, tensor_header, tensor_of

if TYPE_CHECKING:
    from planner.hosts.on_host.network import Incoming

_LONGEST_S = 3600.0  # what a request may ask for at most


@dataclass(frozen=True)
class CheckedTensor:
    """A tensor that may be used.

    Parameters
    ----------
    client
        Who gives it as an input of its own request; None if a neighbour sends it.
    """

    header: TensorHeader
    plan: HostedPlan
    name: str
    client: str | None
    array: Any


def checked_tensor(message: Incoming, manifest: HostManifest) -> CheckedTensor:
    """Return the tensor of a message.

    Raises
    ------
    Refused, BadMessageError
        If it is not what comes here by the plan, or not from whom.
    """
    header = tensor_header(message.header)
    plan = _plan(header, manifest)
    name = _tensor_name(header, plan)
    expected = plan.tensors.get(name)
    if expected is None:
        raise Refused(f"no tensor {name!r} comes here")
    is_asked = _is_asked(message.sender, name, plan, manifest)
    if not (is_asked or _is_sent(message.sender, expected)):
        raise Refused(f"{name!r} does not come from {message.sender}")
    client = message.sender if is_asked else None
    return CheckedTensor(header, plan, name, client, tensor_of(message.payload, expected.spec))


def checked_answer(message: Incoming, manifest: HostManifest) -> TensorHeader:
    """Return the header of an answer that comes by.

    Raises
    ------
    Refused, BadMessageError
        If it is none, or not from a neighbour.
    """
    check_neighbour(message, manifest)
    header = tensor_header(message.header)
    plan = _plan(header, manifest)
    if (name := _tensor_name(header, plan)) not in plan.outputs:
        raise Refused(f"{name!r} is no output")
    return header


def check_neighbour(message: Incoming, manifest: HostManifest) -> None:
    """Refuse what only neighbours may send.

    Raises
    ------
    Refused
        If somebody else sent it.
    """
    if message.sender not in manifest.neighbours:
        raise Refused(f"{message.sender} is no neighbour")


def _plan(header: TensorHeader, manifest: HostManifest) -> HostedPlan:
    if header.plan >= len(manifest.plans):
        raise Refused(f"there is no plan {header.plan}")
    if not 0 < header.left_s <= _LONGEST_S:
        raise Refused("its deadline has passed, or is more than an hour away")
    return manifest.plans[header.plan]


def _tensor_name(header: TensorHeader, plan: HostedPlan) -> str:
    if header.number not in plan.names:
        raise Refused(f"plan {plan.name!r} has no tensor {header.number}")
    return plan.names[header.number]


def _is_asked(sender: str, name: str, plan: HostedPlan, manifest: HostManifest) -> bool:
    """Return whether a client gives an input: the request is its own then, whatever its name."""
    return manifest.is_source and sender.startswith(CLIENT_PREFIX) and name in plan.inputs


def _is_sent(sender: str, expected: RoutedTensor) -> bool:
    return expected.sender is not None and sender == expected.sender
