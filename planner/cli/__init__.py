"""The command `plan`: its commands, what it prints while it works, and the process that it runs in."""
