"""What a run's seconds are, whatever other work does meanwhile.

core_contention: whether other work shares the core on which a thread computes, and how to get away from it
core_history: what earlier processes saw of cores that nothing else shared
interruptions: a kernel's own seconds, from runs that other work interrupted
run_clock: the clock of runs: processor time where one thread computes, else wall clock
"""
