"""Small placement problems that a solver got wrong."""

from planner.problem import Energy, Flow, Option, PlacementProblem, Vertex, Weights

inf = float("inf")

# HiGHS 1.12 to 1.15 runs for ever in presolve on this one, and calls some of its neighbours infeasible.
ENDLESS_PRESOLVE = PlacementProblem(
    devices=("d0", "d1"),
    vertices=(
        Vertex(
            name="u0",
            options=(
                Option(
                    device=0, int8=False, seconds=0.0019, noise_power=0.0, weight_bytes=2, activation_bytes=8
                ),
                Option(
                    device=0, int8=True, seconds=0.0, noise_power=0.007, weight_bytes=2, activation_bytes=9
                ),
                Option(
                    device=1, int8=False, seconds=0.0003, noise_power=0.0, weight_bytes=0, activation_bytes=3
                ),
            ),
            fixed=False,
        ),
        Vertex(
            name="u1",
            options=(
                Option(
                    device=0, int8=False, seconds=0.0033, noise_power=0.0, weight_bytes=7, activation_bytes=9
                ),
                Option(
                    device=1, int8=False, seconds=0.0013, noise_power=0.0, weight_bytes=5, activation_bytes=8
                ),
                Option(
                    device=1, int8=True, seconds=0.0028, noise_power=0.001, weight_bytes=7, activation_bytes=9
                ),
            ),
            fixed=False,
        ),
        Vertex(
            name="u2",
            options=(
                Option(
                    device=0, int8=False, seconds=0.0027, noise_power=0.0, weight_bytes=8, activation_bytes=4
                ),
                Option(
                    device=0, int8=True, seconds=0.002, noise_power=0.008, weight_bytes=6, activation_bytes=0
                ),
                Option(
                    device=1, int8=False, seconds=0.0, noise_power=0.0, weight_bytes=4, activation_bytes=2
                ),
            ),
            fixed=False,
        ),
        Vertex(
            name="source",
            options=(
                Option(
                    device=0, int8=False, seconds=0.0, noise_power=0.0, weight_bytes=0, activation_bytes=0
                ),
            ),
            fixed=True,
        ),
        Vertex(
            name="sink",
            options=(
                Option(
                    device=0, int8=False, seconds=0.0, noise_power=0.0, weight_bytes=0, activation_bytes=0
                ),
            ),
            fixed=True,
        ),
    ),
    flows=(
        Flow(
            name="t0",
            producer=0,
            consumers=(1, 2),
            quantizers=(1,),
            noise_power=(0.004,),
            send_s=(((0.0, inf), (0.0027, 0.0)), ((0.0, inf), (0.000675, 0.0))),
            quantize_s=(0.003, 0.0039),
            dequantize_s=(0.0014, 0.0007),
            converts_at_consumer=False,
            inherits=False,
            send_j=(),
        ),
        Flow(
            name="t1",
            producer=1,
            consumers=(2,),
            quantizers=(1, 2),
            noise_power=(0.008,),
            send_s=(((0.0, 0.0015), (0.0014, 0.0)), ((0.0, 0.000375), (0.00035, 0.0))),
            quantize_s=(0.0012, 0.0007),
            dequantize_s=(0.0022, 0.0005),
            converts_at_consumer=False,
            inherits=True,
            send_j=(
                (((0.0, 0.0), (0.0006, 0.0007)), ((0.002, 0.0004), (0.0, 0.0))),
                (((0.0, 0.0), (0.0004, 0.0014)), ((0.0004, 0.0016), (0.0, 0.0))),
            ),
        ),
        Flow(
            name="t2",
            producer=2,
            consumers=(4,),
            quantizers=(2,),
            noise_power=(0.009,),
            send_s=(((0.0, inf), (0.0, 0.0)), ((0.0, inf), (0.0, 0.0))),
            quantize_s=(0.0013, 0.0033),
            dequantize_s=(0.0035, 0.0017),
            converts_at_consumer=False,
            inherits=False,
            send_j=(
                (((0.0, 0.0), (0.0, 0.0015)), ((0.0011, 0.0004), (0.0, 0.0))),
                (((0.0, 0.0), (0.0007, 0.001)), ((0.0018, 0.0003), (0.0, 0.0))),
            ),
        ),
        Flow(
            name="t3",
            producer=3,
            consumers=(0,),
            quantizers=(0,),
            noise_power=(0.007,),
            send_s=(((0.0, 0.0019), (0.0003, 0.0)), ((0.0, 0.000475), (7.5e-05, 0.0))),
            quantize_s=(0.0008, 0.0028),
            dequantize_s=(0.0012, 0.0003),
            converts_at_consumer=False,
            inherits=False,
            send_j=(
                (((0.0, 0.0), (0.0002, 0.0)), ((0.0016, 0.0018), (0.0, 0.0))),
                (((0.0, 0.0), (0.0012, 0.0001)), ((0.0003, 0.0004), (0.0, 0.0))),
            ),
        ),
    ),
    memory_bytes=(38, None),
    noise_power=0.009,
    latency_s=None,
    energy=Energy(
        active_w=(5.0, 3.0),
        idle_w=(2.0, 0.0),
        limits_j=(None, 0.021630000000000003),
        total_j=0.029030000000000004,
    ),
    weights=Weights(per_s=0.5, per_j=2.0),
)
