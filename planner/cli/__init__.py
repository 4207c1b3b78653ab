"""The command `plan`: its commands, what they print, and the process that they run in.

cache_command: the command `plan cache`
command_parameters: parameters that several commands have
commands: the command line of `plan`: its commands, and what becomes of errors
compare_command: the command `plan compare`
deployment_commands: the commands `plan deploy`, `request`, `hosts`, `links` and `replan`
diff_command: the command `plan diff`
exit_codes: 0 to 4 and 130
help_commands: the commands `plan help` and `plan completion`
host_commands: what commands do with several hosts
init_command: the command `plan init`
inspect_command: the command `plan inspect`
models_commands: what commands do with several models
process: outputs, messages, interrupts and ends of a command
profile_command: the command `plan profile`
profile_host_commands: what `plan profile` does with a device elsewhere
versions: which versions of the libraries that decide a plan's numbers are installed, and which were tested
"""
