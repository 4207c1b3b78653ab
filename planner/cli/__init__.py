"""The command `plan`: its commands, what it prints while it works, and the process that it runs in.

cache_command: the command `plan cache`
command_parameters: parameters that several commands have
command_clock: the time of a command that has a time limit
commands: the command line of `plan`: its commands, and what becomes of errors
compare_command: the command `plan compare`
error_reports: the file that keeps the traceback of an internal error
exit_codes: 0 to 4 and 130
host_commands: what commands do with several hosts
init_command: the command `plan init`
inspect_command: the command `plan inspect`
interrupts: SIGINT, SIGTERM, SIGHUP: which end a run, and how they are answered
logging_setup: -v, --quiet, --log-file and --debug
models_commands: what commands do with several models
profile_command: the command `plan profile`
profile_host_commands: what `plan profile` does with a device elsewhere
standard_output: keeps the process's standard output for what the command itself answers
supervisor: the command in a child process, so that a crash of native code is told in one line
terminal: printing to standard output
terminal_progress: progress on the terminal, and interrupts that no library swallows
versions: which versions of the libraries that decide a plan's numbers are installed, and which were tested
"""
