"""Runs a plan's stages and the fp32 model on every sample: errors, accuracy and noise."""

from collections.abc import Iterator

import msgspec
import numpy as np

from planner.deployment.built_models import VerificationTarget
from planner.inputs.dataset import Dataset
from planner.metrics.coco_ap import CocoAp
from planner.plan.plan_record import Metrics
from planner.user_objects import Metric
from planner.verification.accuracy_and_noise import MetricsSum
from planner.verification.stage_chain import Chain, run_chain, run_whole
from profiling.arrays import Feeds
from profiling.graph.any_model import AnyModel, inputs_of, outputs_of
from profiling.progress import Progress, silent
from profiling.runtime.open_session import Runtime

_KEPT_ELEMENTS = 2**26  # of inputs and outputs in a batch: 256 MiB of float


def measure_errors(
    target: VerificationTarget,
    data: Dataset,
    runtime: Runtime,
    metric: Metric | None = None,
    progress: Progress = silent,
) -> Metrics:
    """Return how far the chain of stages is from the fp32 model on every sample."""
    total = MetricsSum(metric)
    classes = data.classes
    done = 0
    for batch in _sample_batches(data, target.source):
        exact = run_whole(target.source, batch, runtime)
        chain = Chain(target.stages, runtime, *target.levels)
        for got, want in zip(run_chain(chain, target, batch), exact, strict=True):
            label = None if classes is None else int(classes[done])
            total.add(got, want, label)
            done += 1
            progress("running the stages", done, len(data.samples))
        del chain
    if metric is not None:
        progress("judging the answers", 0, 1)
    labels = None if data.labels is None else data.labels.tolist()
    errors = total.result(labels)
    if not isinstance(metric, CocoAp):
        return errors
    metric.check_fp32(errors.metric_fp32)
    return msgspec.structs.replace(errors, detector=metric.reading(total.fp32_outputs, labels))


def _sample_batches(data: Dataset, model: AnyModel) -> Iterator[list[Feeds]]:
    """Yield the samples in batches that fit into memory, since large models are run one at a time."""
    ends = (*inputs_of(model), *outputs_of(model))
    elements = [np.prod([d or 1 for d in tensor.shape]) for tensor in ends]
    step = max(1, int(_KEPT_ELEMENTS // max(1, sum(elements))))
    for start in range(0, len(data.samples), step):
        yield [data.samples[i] for i in range(start, min(start + step, len(data.samples)))]
