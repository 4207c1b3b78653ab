"""The one door to ONNX Runtime sessions, and what happened when they crashed.

convolution_layout: in which layout float convolutions compute on this machine, found out by opening one
crash_journal: remembers what was tried when the process died, so that the next one leaves it out
log_filter: silences the log of the runtime's tools, which advise on the root logger what we already do
open_session: opens sessions and runs them: threads, provider and optimization are explicit
"""
