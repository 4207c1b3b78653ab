"""The files of tests that take longest, which several processes begin with.

A file is run by one process. One that takes minutes and begins last leaves the other processes without work.
The two files that convert Keras models come apart, since the second waits for samples that the first writes.
"""

LONGEST_FILES = (
    "planner/conversion/test_end_to_end.py",
    "end_to_end/test_pages.py",
    "end_to_end/test_how_to_guides.py",
    "planner/conversion/test_tflite.py",
    "planner/solver/test_pareto_front.py",
    "end_to_end/test_shared_models.py",
    "end_to_end/test_cli.py",
    "end_to_end/test_litert_plans.py",
    "end_to_end/test_hosts.py",
    "end_to_end/test_hosts_commands.py",
    "end_to_end/test_profile_on_host.py",
    "end_to_end/test_crash.py",
    "end_to_end/test_three_runtimes.py",
    "planner/solver/test_several_models.py",
    "planner/solver/test_solve_cache.py",
    "planner/solver/test_solve.py",
    "planner/report/test_html.py",
    "profiling/litert/noise/test_real_network.py",
    "benchmarks/test_litert.py",
    "planner/hosts/device_profiling/test_profile_client.py",
    "planner/hosts/on_host/test_network.py",
    "planner/comparison/test_request_rates.py",
    "end_to_end/test_onnx_cases.py",
    "planner/comparison/test_baselines.py",
    "planner/solver/presolve/test_unit_scaling.py",
    "planner/solver/test_makespan.py",
    "profiling/litert/test_converted_models.py",
)
