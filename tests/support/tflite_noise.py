"""Noise of whole quantized `.tflite` models, taken from the tensors that they compute."""

import random
from functools import cached_property

import networkx as nx
import numpy as np

from profiling.litert.calibration import calibrate_litert
from profiling.litert.interpreter import tensor_values
from profiling.litert.mode_search import find_modes
from profiling.litert.modes import FP32
from profiling.litert.noise.measure_litert_noise import measure_litert_noise
from profiling.litert.noise.summed_noise import summed_noise
from profiling.litert.noise.tap_tensors import taps_of
from profiling.litert.quantize import quantize_units
from profiling.litert.unit_graph import tensor_quantization
from profiling.noise.noise_power import noise_power

CLOSE = (0.8, 1.25)


class NoiseCase:
    """A graph with samples, what its units can compute in, and the noise of that."""

    def __init__(self, graph, samples, modes):
        self.graph, self.samples, self.modes = graph, samples, modes
        self.ranges = calibrate_litert(graph.model, samples)
        self.possible = find_modes(graph, self.ranges, samples[:1], (FP32, *modes))

    @cached_property
    def profiles(self):
        return measure_litert_noise(self.graph, self.ranges, self.samples, self.able)

    @property
    def able(self):
        """Mode -> the units that can compute in it."""
        possible = list(enumerate(self.possible))
        return {mode: [unit for unit, one in possible if mode in one.possible] for mode in self.modes}

    @cached_property
    def _exact(self):
        return self._at_taps({})

    def measured(self, modes):
        """Return the noise power at the taps of the model with units in modes, and these as they came."""
        quantized = quantize_units(self.graph, modes, self.ranges)
        return noise_power(self._at_taps(modes), self._exact), quantized.modes

    def _at_taps(self, modes):
        quantized = quantize_units(self.graph, modes, self.ranges)
        there = {tap: self._written(quantized, tap.tensor) for tap in taps_of(self.graph)}
        return [
            {
                tap.tensor: tap.effective(in_float(quantized.model, tensor, values[tensor]))
                for tap, tensor in there.items()
            }
            for values in tensor_values(quantized.model, self.samples)
        ]

    def _written(self, quantized, name):
        """Return the tensor of a quantized model that is written in the place of one of the float model."""
        source = self.graph.model
        tensor = source.names.index(name)
        number = source.writers[tensor]
        place = list(source.operators[number].outputs).index(tensor)
        return int(quantized.model.operators[quantized.matched[number]].outputs[place])

    def summed_over_measured(self, seed):
        """Return how far the sum is from the truth for random modes of random units before the taps."""
        rng = random.Random(seed)
        share = rng.uniform(0.1, 1.0)
        asked = {
            unit: rng.choice(possible[1:])
            for unit in self._before_taps()
            if len(possible := self.possible[unit].possible) > 1 and rng.random() < share
        }
        measured, modes = self.measured(asked)
        summed = summed_noise(self.graph, modes, self.profiles)
        return summed / measured if measured else 1.0 if not summed else np.inf

    def _before_taps(self):
        """Return the units all of whose noise is seen at a tap, in running order."""
        ends = {tap.tensor for tap in taps_of(self.graph)}
        last = [unit.index for unit in self.graph.units if ends.intersection(unit.outputs)]
        before = set(last).union(*(nx.ancestors(self.graph.dag, unit) for unit in last))
        return sorted(unit for unit in before if not ends.intersection(self.graph.units[unit].inputs))


def in_float(model, tensor, values):
    """Return what a tensor's values stand for."""
    found = tensor_quantization(model, tensor)
    return values if found is None else (values.astype(np.float32) - found.zero_points[0]) * found.scales[0]


def shares_that_are_close(ratios):
    """Return the shares of ratios that are close to 1: raw, and after a gain that makes their median 1."""
    return tuple(
        float(np.mean((CLOSE[0] <= some) & (some <= CLOSE[1])))
        for some in (np.asarray(ratios), np.asarray(ratios) / np.median(ratios))
    )
