"""Made-up tensors between the units of a model, as a measurement plan has them."""

from hypothesis import strategies as st

from profiling.on_device.measurement_order import CALLER, SwitchTensor

UNITS = 6


@st.composite
def unit_tensors(draw) -> list[SwitchTensor]:
    """Tensors of a model: one that the caller feeds, and one that each unit writes for units behind it."""
    tensors = []
    for producer in range(CALLER, UNITS):
        behind = st.sets(st.integers(producer + 1, UNITS - 1)) if producer + 1 < UNITS else st.just(set())
        consumers = sorted(draw(behind)) or [CALLER]
        tensors.append(SwitchTensor(f"t{producer}", draw(st.integers(1, 1000)), producer, consumers))
    return tensors
