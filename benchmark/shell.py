"""Between the command line and the verbs: lists of values, errors in one sentence, exit statuses."""

from __future__ import annotations

import ast
import itertools
import os
import re
import shutil
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, TextIO

import typer
from typer.core import TyperGroup

from pretrain.errors import DensebenchError, UsageError, one_line, unknown

DONE, FAILED, INTERRUPTED = 0, 1, 130
WAIT_SECONDS = 3.0
PATHS = ("--records", "--source")  # a path may hold a comma
LISTS = {
    "--seeds": r"\d[\d,]*",
    "--set": r"[\w.]+=.*",
    **dict.fromkeys(("--input-mean", "--input-std"), r"[\d.][\d.,]*"),
    **dict.fromkeys(("--methods", "--tasks", "--modes", "--compare", *PATHS), r"[^-].*"),
}
"""Options that take several values after them, and what such a value looks like."""

_WrongUsage: Any = typer.BadParameter.__base__  # the parent of every complaint of the parser


class Verbs(TyperGroup):
    """A group of verbs that answers a misspelt one with the closest."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the verb, or say which ones there are."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise unknown("verb", args[0], self.list_commands(ctx))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Call the verb; a complaint of the parser that names no verb is about this one."""
        try:
            return super().invoke(ctx)
        except _WrongUsage as error:
            if error.ctx is None and ctx.invoked_subcommand:
                verb = ctx.invoked_subcommand
                error.ctx = type(ctx)(self.get_command(ctx, verb), parent=ctx, info_name=verb)
            raise


def hold_to_words(arguments: Sequence[str]) -> None:
    """Refuse an empty argument, which would stand for the folder one is in.

    Raises:
        UsageError: One is empty.
    """
    for before, argument in itertools.pairwise(["densebench", *arguments]):
        if not argument:
            raise UsageError(f"Nothing stands after '{before}' but an empty text.", "Is a variable of the shell empty?")
        if re.fullmatch(r"--[\w-]+=", argument):
            raise UsageError(f"Nothing stands after '{argument}'.", "Is a variable of the shell empty?")


def spread(arguments: Sequence[str]) -> list[str]:
    """Repeat an option before each of its values: `--seeds 0 1` becomes `--seeds 0 --seeds 1`.

    A value may also be several with commas between them, `--seeds 0,1`, where commas cannot belong to it.
    """
    result: list[str] = []
    option, values = "", 0
    for argument in arguments:
        if option and re.fullmatch(LISTS[option], argument):
            for part in [argument] if option in ("--set", *PATHS) else argument.split(","):
                result += [option, part]
            values += 1
            continue
        if option and not values:
            result.append(option)
        option, values = (argument, 0) if argument in LISTS else ("", 0)
        if not option:
            result.append(argument)
    return result if not option or values else [*result, option]


def key_values(settings: Sequence[str]) -> dict[str, str]:
    """Read KEY=VALUE texts.

    Raises:
        UsageError: A text has no key.
    """
    pairs = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not key or not equals:
            raise UsageError(f"--set wants KEY=VALUE and got '{setting}'.")
        pairs[key] = value
    return pairs


def literal(text: str) -> Any:
    """Read a value as Python writes it (0.02, True, (3, 4)); a word stands for itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def terminal_width() -> int | None:
    """Return how many characters a line of the terminal has; None where the output goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def perform(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run a command and return its exit status.

    An error becomes one sentence on standard error, and how to mend it. `--debug` anywhere (or DENSEBENCH_DEBUG=1)
    lets an error that densebench did not foresee show its traceback. SIGTERM interrupts as Ctrl-C does, with the same
    exit status, 130.
    """
    debug = "--debug" in arguments or os.environ.get("DENSEBENCH_DEBUG", "") not in ("", "0")
    arguments = [argument for argument in arguments if argument != "--debug"]
    if not debug:
        warnings.simplefilter("ignore")  # libraries' advice to programmers is nothing for users
    command = typer.main.get_command(app)
    try:
        hold_to_words(arguments)
        with _terminable():
            status = command.main(spread(arguments), prog_name="densebench", standalone_mode=False)
        sys.stdout.flush()
    except DensebenchError as error:
        interrupted = isinstance(error.__context__, KeyboardInterrupt)
        return _complain(error.message, error.mend, INTERRUPTED if interrupted else error.status)
    except _WrongUsage as error:
        path = error.ctx.command_path if error.ctx else "densebench"
        message = error.format_message().replace("Value error, ", "")
        return _complain(message, f"Try '{path} --help'.", error.exit_code) if message else error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except ModuleNotFoundError as error:
        if debug:
            raise
        mend = "Run `make setup` in the clone; `densebench doctor` tells what else is missing."
        return _complain(f"This needs the package {error.name}, which is not installed here.", mend, FAILED)
    except BrokenPipeError:
        _silence(sys.stdout)
        return FAILED
    except Exception as error:
        if debug:
            raise
        reason = one_line(error)
        mend = "This is not expected: add --debug to see where it comes from."
        return _complain(f"{type(error).__name__}: {reason}", mend, FAILED)
    if status == INTERRUPTED:
        return _complain("Interrupted; what was done is kept.", "The same command continues from there.", status)
    return status if isinstance(status, int) else DONE


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM raise what Ctrl-C raises, within the block."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _complain(message: str, mend: str, status: int) -> int:
    """Say what is wrong and how to mend it, and return the exit status.

    Of torchrun's processes the first speaks for all. Where it fails torchrun ends the others; one that is still there
    a while later failed alone, and says so.
    """
    rank = int(os.environ.get("RANK", 0)) if "TORCHELASTIC_RUN_ID" in os.environ else 0
    if rank:
        time.sleep(WAIT_SECONDS)
        message = f"process {rank}: {message}"
    print(f"densebench: {message}", file=sys.stderr)
    if mend:
        print(mend, file=sys.stderr)
    return status


def _silence(stream: TextIO) -> None:
    """Let nothing more reach a pipe that its reader has closed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
