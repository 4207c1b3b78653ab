"""The commands `plan help` and `plan completion`."""

from typing import Annotated, Literal

from cyclopts import App, Parameter

from planner.cli.command_parameters import examples
from planner.cli.exit_codes import OK
from planner.cli.process.terminal import print_text, terminal
from planner.errors import UsageError

Shell = Literal["bash", "zsh", "fish"]


def add_help_commands(app: App) -> None:
    """Add both, which speak of the whole command line, to it."""

    @app.command(name="help", help_epilogue=examples("plan help", "plan help compare"))
    def help_of(*command: Annotated[str, Parameter(help="A command.")]) -> int:
        """Show what a command does and its options; without one, all commands."""
        names = [name for name in app if not name.startswith("-")]
        if command and command[0] not in names:
            raise UsageError(f"no command {command[0]!r}; there are {', '.join(names)}")
        app.help_print(command, console=terminal())
        return OK

    @app.command(help_epilogue=examples('eval "$(plan completion bash)"', "plan completion fish | source"))
    def completion(
        shell: Annotated[Shell, Parameter(help="Whose script is wanted.")] = "bash",
        /,
    ) -> int:
        """Print a script with which a shell completes commands and options."""
        print_text(app.generate_completion(shell=shell))
        return OK
