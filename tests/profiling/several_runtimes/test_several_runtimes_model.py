import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
import networkx as nx
import tflite_models

from profiling.errors import ModelError
from profiling.litert.load import parse_litert
from profiling.litert.unit_graph import build_litert_graph
from profiling.several_runtimes.several_runtimes_model import join_runtimes
from profiling.tensorflow_runtime.saved_model_graph import SavedModelGraph


def test_a_saved_model_with_another_output_is_refused_by_its_runtime():
    litert = build_litert_graph(parse_litert(tflite_models.branching().content(), "net"))
    other = SavedModelGraph(
        units=(),
        tensors=litert.tensors,
        inputs=litert.inputs,
        outputs=(*litert.outputs, "fed again"),
        dag=nx.DiGraph(),
        content=b"",
        tensor_of={},
    )
    samples = [tflite_models.feeds(litert.model, 0)]
    with pytest.raises(ModelError, match="fed again for tensorflow; no device can then run tensorflow$"):
        join_runtimes(litert, [other], samples)
