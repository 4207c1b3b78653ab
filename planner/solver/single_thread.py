"""Runs HiGHS on one thread, also where something else in this process has run it on several."""

import highspy


def run_on_one_thread(model: highspy.Highs) -> None:
    """Run a model of HiGHS whose option `threads` is 1.

    All models of a process share HiGHS's threads, and it refuses to run on another number than those that
    are there.
    """
    model.run()
    if model.getModelStatus() == highspy.HighsModelStatus.kNotset:
        highspy.Highs.resetGlobalScheduler(True)  # noqa: FBT003 (of another library)
        model.run()
