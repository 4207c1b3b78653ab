# %% [markdown]
# # Plans in a notebook
#
# This page plans a small network over three devices, looks at the plan, asks what other bandwidths would
# change, runs the result, and solves a problem whose costs come from elsewhere. Each block between `# %%`
# lines is a cell: VS Code, PyCharm and Jupytext open the file as a notebook. It runs in the folder of the
# repository, with `pip install -e '.[notebook]'`.

# %%
from pathlib import Path

import numpy as np

import splitquant as sq

# %% [markdown]
# ## A scenario
#
# A scenario names a model, its data, devices and links, and the budgets that must hold. Keyword arguments
# replace values of the file; two underscores lead into a key. Here few runs are timed, so that this page is
# quick: leave `profiling` out for plans that you use.

# %%
scenario = sq.load_scenario(
    "scenarios/quickstart.yaml",
    links__0__bandwidth_mbit_per_s=2,
    profiling={"rounds": 3, "noise_samples": 4},
)
scenario

# %% [markdown]
# ## A plan
#
# `plan` measures the model on this machine, searches the fastest plan within the budgets, builds its models
# and checks them on the evaluation data. Measurements stay in a cache, so a second call takes seconds.
# `progress` is called now and then; an exception in it, or an interrupt of the kernel, ends the call.

# %%
steps: set[str] = set()
result = sq.plan(scenario, progress=lambda what, done, total: steps.add(what))
result

# %% [markdown]
# Where no plan keeps the budgets, the result says which of them cannot hold together.

# %%
tight = sq.plan(sq.load_scenario(scenario, budget__latency_ms=0.01))
assert not tight.is_delivered
tight.reason

# %% [markdown]
# ## Looking at it
#
# A row per unit, the smallest set of operators that is placed as a whole:

# %%
table = result.table()
table.groupby(["device", "precision"]).agg(units=("unit", "count"), seconds=("compute_s", "sum"))

# %% [markdown]
# What crosses links:

# %%
result.cuts_table()

# %% [markdown]
# The graph, for NetworkX: nodes with device, precision, seconds and bytes; edges with what crosses.

# %%
graph = result.graph()
crossing = [(u, v, data["bytes"], data["seconds"]) for u, v, data in graph.edges(data=True) if data["wire"]]
crossing

# %%
axes = result.plot()

# %% [markdown]
# ## Other bandwidths
#
# The bandwidths at which the best plan changes are found exactly. Baselines are what simpler methods reach on
# the same costs.

# %%
comparison = sq.compare(scenario, bandwidths=[0.5, 5, 50], links="camera-gateway")
[(point.bandwidth, point.plan_below, point.plan_above) for point in comparison.breakpoints]

# %%
comparison.to_dataframe()[["bandwidth", "plan", "latency_s", "baseline", "joint_gain"]]

# %%
axes = comparison.plot()

# %% [markdown]
# ## Saving and running
#
# A plan's folder holds the stages as ONNX files, and a report. It is written whole or not at all.

# %%
folder = result.save("plans/notebook")
sorted(path.name for path in (folder / "stages").iterdir())

# %% [markdown]
# Arrays have the model's shape, with an axis in front for several samples; pixels are prepared as the
# scenario says.

# %%
with np.load("scenarios/quickstart/evaluation.npz") as archive:
    pixels, labels = archive["picture"][:50], archive["label"][:50]
logits = sq.run(folder, pixels)["logits"]
accuracy = float(np.mean(logits.reshape(len(labels), -1).argmax(axis=1) == labels))
accuracy

# %% [markdown]
# A saved plan is loaded without measuring anything.

# %%
sq.load_plan(folder).latency_s

# %% [markdown]
# ## Costs from elsewhere
#
# Where seconds and bytes are known already, the solver alone gives the placement. Numbers are SI.

# %%
problem = sq.Problem(
    devices=[sq.Device("camera"), sq.Device("server")],
    links=[sq.Link("camera", "server", bytes_per_s=1e6), sq.Link("server", "camera", bytes_per_s=1e6)],
    ends=[sq.End("lens", "camera"), sq.End("screen", "camera")],
    units=[
        sq.Unit("features", [sq.Option("camera", seconds=0.004), sq.Option("server", seconds=0.001)]),
        sq.Unit("classes", [sq.Option("camera", seconds=0.020), sq.Option("server", seconds=0.002)]),
    ],
    tensors=[
        sq.Tensor("picture", "lens", ["features"], bytes=60_000),
        sq.Tensor("map", "features", ["classes"], bytes=3_000),
        sq.Tensor("answer", "classes", ["screen"], bytes=40),
    ],
    limits=[sq.Limit("latency", at_most=0.05)],
)
solution = sq.solve(problem)
solution.devices

# %% [markdown]
# `problem.save("problem.json")` writes it for `plan solve`.
#
# ## Errors
#
# Everything that fails on purpose is a `SplitquantError` with the message of the command.

# %%
try:
    sq.load_scenario("scenarios/quickstart.yaml", budgett={"latency_ms": 5})
except sq.ScenarioError as error:
    message = str(error)
print(message.replace(str(Path.cwd()), "."))
