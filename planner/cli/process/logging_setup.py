"""What a command says while it works: the options of every command for it, and where log lines go."""

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from cyclopts import CycloptsError, Group, Parameter

from planner.cli.process.terminal_progress import progress_hidden
from planner.errors import OutputError, UsageError
from profiling.directories import keeping_temporary_files
from profiling.printable_text import one_line, shown

_OWN = ("planner", "profiling")
_LONGEST = 4000  # characters of a message
_PLAIN = "%(message)s"
_DETAILED = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_IN_FILE = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"

log = logging.getLogger(__name__)


@Parameter(name="*", group=Group("Messages", sort_key=1000))  # below every command's own options
@dataclass(frozen=True, slots=True)
class MessageOptions:
    """Options of every command, before or behind its name."""

    verbose: Annotated[
        int,
        Parameter(
            alias="-v",
            count=True,
            negative="",
            show_default=False,
            help="Say on stderr what is done; -vv says more.",
        ),
    ] = 0
    quiet: Annotated[
        bool,
        Parameter(alias="-q", negative="", show_default=False, help="No progress and no warnings."),
    ] = False
    log_file: Annotated[Path | None, Parameter(help="Add everything that is said to this file.")] = None
    debug: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="As -vv, with the traceback of an error; temporary files stay, and it is said where.",
        ),
    ] = False

    @property
    def level(self) -> int:
        """The least level of what stderr shows."""
        if self.quiet:
            return logging.ERROR
        if self.debug or self.verbose > 1:
            return logging.DEBUG
        return logging.INFO if self.verbose else logging.WARNING


@contextmanager
def messages(options: MessageOptions) -> Iterator[None]:
    """Let log lines go where options say inside the block.

    Raises
    ------
    UsageError
        If options do not go together.
    OutputError
        If the log file cannot be written.
    """
    if options.quiet and (options.verbose or options.debug):
        raise UsageError("--quiet does not go with --verbose or --debug")
    with ExitStack() as stack:
        stack.enter_context(_handling(_handlers(options)))
        token = progress_hidden.set(options.quiet)
        stack.callback(progress_hidden.reset, token)
        log.info("splitquant %s, arguments %s", version("splitquant"), sys.argv[1:])
        if options.debug:
            folder = stack.enter_context(keeping_temporary_files())
            log.debug("temporary files stay in %s", folder)
            stack.callback(_tell_kept, folder)
        with _logging_errors():
            yield


def _tell_kept(folder: Path) -> None:
    if any(folder.iterdir()):
        log.info("temporary files are in %s", folder)


def _handlers(options: MessageOptions) -> list[logging.Handler]:
    stderr: logging.Handler = _StderrHandler(options.level)
    stderr.setFormatter(_PrintableFormatter(_DETAILED if options.level < logging.WARNING else _PLAIN))
    if options.log_file is None:
        return [stderr]
    try:
        file = logging.FileHandler(options.log_file, encoding="utf-8", errors="backslashreplace")
    except OSError as exc:
        raise OutputError(f"--log-file {options.log_file}: {exc.strerror}") from exc
    file.setLevel(logging.DEBUG)
    file.setFormatter(_PrintableFormatter(_IN_FILE))
    return [stderr, file]


@contextmanager
def _handling(handlers: list[logging.Handler]) -> Iterator[None]:
    """Give log lines to handlers inside the block: ours, and warnings of libraries and of Python."""
    level = min(handler.level for handler in handlers)
    loggers = {logging.getLogger(name): logging.getLogger(name).level for name in _OWN}
    raising = logging.raiseExceptions
    for logger in loggers:
        logger.setLevel(level)
    for handler in handlers:
        logging.root.addHandler(handler)
    logging.captureWarnings(True)  # noqa: FBT003
    logging.raiseExceptions = False  # a log that cannot be written, on a full disk, is no reason to stop
    try:
        yield
    finally:
        logging.raiseExceptions = raising
        logging.captureWarnings(False)  # noqa: FBT003
        for handler in handlers:
            logging.root.removeHandler(handler)
            _close(handler)
        for logger, before in loggers.items():
            logger.setLevel(before)


def _close(handler: logging.Handler) -> None:
    try:
        handler.close()
    except OSError as exc:  # the disk of a log file is full
        print(one_line(f"--log-file: {exc.strerror}"), file=sys.stderr)


@contextmanager
def _logging_errors() -> Iterator[None]:
    """Log where an error came from, which its message does not say; a wrong option comes from the user."""
    try:
        yield
    except (CycloptsError, UsageError):
        raise
    except (Exception, KeyboardInterrupt) as exc:
        log.debug("ended by %s", type(exc).__name__, exc_info=True)
        raise


class _StderrHandler(logging.Handler):
    """Writes to what is the standard error stream at that time: a progress bar stands in for it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except (OSError, ValueError):
            self.handleError(record)


class _PrintableFormatter(logging.Formatter):
    """One line a message, whatever characters from outside are in it; a traceback in lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        record.message = one_line(record.message, _LONGEST)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        # Not `formatException`: what another handler made of the traceback stays with the record.
        return "\n".join(map(shown, super().format(record).split("\n")))
