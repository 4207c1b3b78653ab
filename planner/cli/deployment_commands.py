"""The commands `plan deploy`, `request`, `hosts`, `links` and `replan`: their arguments."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from planner.cli.command_parameters import Engine, InputFile, Json, examples, whole_number
from planner.cli.exit_codes import USAGE
from planner.cli.process.terminal import fail


def deploy(
    folder: Annotated[Path, Parameter(help="A plan's folder, one of plan compare --plans K, or a scenario.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="Folder to write: one folder per device in it.")],
    host: Annotated[
        tuple[str, ...],
        Parameter(help="NAME=ADDRESS[:PORT] where a device listens; default: this machine.", negative=()),
    ] = (),
    keys: Annotated[
        bool, Parameter(help="Make a private certificate authority, and a key per device.", negative=())
    ] = False,
    insecure: Annotated[
        bool, Parameter(help="Let devices listen beyond this machine without keys.", negative=())
    ] = False,
    device_class: Annotated[
        str | None, Parameter(name="--class", help="Whose plans, of a comparison for a fleet.")
    ] = None,
    plan: Annotated[
        int | None,
        Parameter(converter=whole_number, help="Only this one of the plans that a comparison holds."),
    ] = None,
    engine: Annotated[
        Engine,
        Parameter(help="zenoh: hosts of their own; ray: a Ray Serve application, where hosts are a cluster."),
    ] = Engine.ZENOH,
) -> int:
    """Write a folder per device that serves its stages, or one for a Ray cluster.

    Of several plans all are deployed, and requests run by the one that suits the bandwidth. Of a scenario's
    file no stage is: its devices can then measure their links (plan links), before anything is planned.
    """
    from planner.cli.host_commands import deploy_on_ray, deploy_plan
    from planner.hosts.plans_to_deploy import Selection
    from planner.output.models_folder import refuse_several

    if folder.is_dir():
        refuse_several(folder)
    if engine is Engine.RAY:
        given = {
            "--host": host,
            "--keys": keys,
            "--insecure": insecure,
            "--class": device_class,
            "--plan": plan,
        }
        return deploy_on_ray(
            folder, out, [option for option, value in given.items() if value not in (None, (), False)]
        )
    which = Selection(device_class, plan)
    return deploy_plan(folder, out, host, keys=keys, insecure=insecure, which=which)


def request(
    folder: Annotated[Path, Parameter(help="What `plan deploy` wrote.")],
    /,
    *,
    input_file: InputFile,
    output_file: Annotated[
        Path | None, Parameter(name="--output", help=".npz to write, as `plan run` does.")
    ] = None,
    rate: Annotated[
        float | None, Parameter(help="Requests per second; default: each when the one before has ended.")
    ] = None,
    deadline_s: Annotated[float, Parameter(help="Seconds until a request without an answer fails.")] = 30.0,
    trace_file: Annotated[
        Path | None,
        Parameter(
            name="--trace",
            help="Where to write measured and predicted spans, for Chrome and Perfetto.",
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Send requests through running hosts, and compare what they take with the plan."""
    from planner.cli.host_commands import send_requests

    return send_requests(folder, input_file, output_file, rate, deadline_s, trace_file, json=json)


def hosts(
    folder: Annotated[Path, Parameter(help="What `plan deploy` wrote.")],
    /,
    *,
    watch: Annotated[bool, Parameter(help="Again every second, until interrupted.", negative=())] = False,
    json: Json = False,
) -> int:
    """Show which hosts are there, what they serve, and what their connections let through."""
    from planner.cli.host_commands import show_hosts

    return show_hosts(folder, json=json, watch=watch)


def links(
    folder: Annotated[Path, Parameter(help="What `plan deploy` wrote.")],
    /,
    *,
    out: Annotated[Path | None, Parameter(help="YAML to write, for a scenario's links.")] = None,
    json: Json = False,
) -> int:
    """Measure bandwidth and latency of the links between running hosts.

    At most 1 MiB, in at most a few seconds, goes over each.
    """
    from planner.cli.host_commands import measure_links

    return measure_links(folder, out, json=json)


def replan(
    folder: Annotated[Path, Parameter(help="What `plan deploy` wrote.")],
    /,
    *,
    measured: Annotated[
        bool, Parameter(help="With the costs that `plan request` and `plan links` measured.", negative=())
    ] = False,
    out: Annotated[Path | None, Parameter(help="Folder to write; default DIR-replanned.")] = None,
    json: Json = False,
) -> int:
    """Plan again what is deployed, with links and devices as they were measured."""
    if not measured:
        return fail(USAGE, "replan: say with which costs: --measured")
    from planner.cli.host_commands import replan as replan_deployed

    return replan_deployed(folder, out, json=json)


# Each with its examples.
DEPLOYMENT_COMMANDS = (
    (
        deploy,
        examples(
            "plan deploy plans/quickstart --out deploy",
            "plan deploy comparisons/quickstart --out deploy",
            "plan deploy comparisons/quickstart --plan 1 --out deploy",
            "plan deploy comparisons/fleet --class phone --out deploy",
            "plan deploy scenario.yaml --out links --host camera=10.0.0.5 --host gateway=10.0.0.1 --keys",
            "plan deploy plans/quickstart --out deploy --keys --host camera=10.0.0.5 --host gateway=10.0.0.1",
            "plan deploy plans/quickstart --out app --engine ray",
        ),
    ),
    (
        request,
        examples(
            "plan request deploy --input samples.npz --output answers.npz",
            "plan request deploy --input pictures --rate 30 --json",
        ),
    ),
    (hosts, examples("plan hosts deploy", "plan hosts deploy --watch")),
    (links, examples("plan links deploy", "plan links deploy --out links.yaml")),
    (replan, examples("plan replan deploy --measured --out plans/slow")),
)
