"""The process that a command runs in: its outputs, messages, interrupts and ends.

command_clock: the time of a command that has a time limit
error_reports: the file that keeps the traceback of an internal error
interrupts: SIGINT, SIGTERM, SIGHUP: which end a run, and how they are answered
logging_setup: -v, --quiet, --log-file and --debug
standard_output: keeps the process's standard output for what the command itself answers
supervisor: the command in a child process, so that a crash of native code is told in one line
terminal: printing to standard output
terminal_progress: progress: a bar, or lines; interrupts that no library swallows
"""
