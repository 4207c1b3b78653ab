"""Runs HiGHS on one thread and without a word, whatever else has run it in this process."""

import highspy


class QuietHighs(highspy.Highs):
    """A model that computes on one thread and prints nothing, not even its version when it is made."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        for option, value in (("output_flag", False), ("threads", 1)):
            self.setOptionValue(option, value)

    def enableCallbacks(self) -> None:  # noqa: N802 (of HiGHS, which calls it when a model is made)
        """Be quiet before: this is what prints."""
        self.setOptionValue("output_flag", False)  # noqa: FBT003
        super().enableCallbacks()  # type: ignore[no-untyped-call]

    def run_alone(self) -> None:
        """Run on one thread.

        All models of a process share HiGHS's threads, and it refuses to run on another number than those
        that are there.
        """
        self.run()
        if self.getModelStatus() == highspy.HighsModelStatus.kNotset:
            highspy.Highs.resetGlobalScheduler(True)  # noqa: FBT003 (of another library)
            self.run()
