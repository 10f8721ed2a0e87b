"""Console output: errors in one line with the right exit code, progress bars on terminals only.

A run goes on when its console closes: see outlive_console and src/signals.py.
"""
import errno
import io
import os
import select
import sys

from tqdm import tqdm

from src.signals import ENDING, INTERRUPTED, Stopped, hear_signals, ignore_signals

OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)    # no bug, and they may name no file
STYLES = {"error": "1;31", "warning": "1;33", "strong": "1"}    # red, yellow, bold


class InputError(Exception):
    """An option, file or environment of the user cannot be used; the text names it and how to fix it."""

    exit_code = 2


class RunError(Exception):
    """A run started and could not go on; the text says where and why."""

    exit_code = 1


class Preempted(RunError):
    """A run was told to stop, has saved its state and can be resumed."""

    exit_code = 75    # EX_TEMPFAIL of sysexits.h: try again


def run_program(main, argv=None, has_own_signals: bool = False) -> int:
    """Call `main(argv)` and turn its outcome into an exit code.

    InputError gives 2, RunError 1, Preempted 75, Ctrl-C 130, SIGTERM 143 and SIGHUP 129, each with one line on stderr;
    `--debug` among the arguments shows the traceback as well. An OSError that names a file or comes from the disk, and
    a MemoryError, also give one line and 1. Any other exception is a bug and keeps its traceback.

    Args:
        argv: the arguments; None for a program started from the command line: its console may close, and its signals
            are handled.
        has_own_signals: `main` sets its own handlers.
    """
    if argv is None:
        outlive_console()
        if sys.getfilesystemencoding() != "utf-8":
            warn(f"the locale says that names of files are {sys.getfilesystemencoding()}, and in lists they are UTF-8: "
                 "some may not be found; PYTHONUTF8=1 in front of the command reads both as UTF-8")
        if not has_own_signals:
            hear_signals()
    try:
        return outcome(main, argv)
    finally:
        ENDING.close()
        if argv is None:
            ignore_signals()    # at its end Python restores the default handlers, which would change the exit code


def outcome(main, argv) -> int:
    """The exit code of `main(argv)`; its error is printed."""
    is_debug = "--debug" in (sys.argv[1:] if argv is None else argv)
    try:
        main(argv)
        return 0
    except (InputError, RunError) as error:
        if is_debug:
            raise
        say("error", error)
        return error.exit_code
    except OSError as error:
        if is_debug or not (error.filename or error.errno in OF_THE_DISK):
            raise
        say("error", f"{error.filename or 'a file could not be written'}: {error.strerror}")
        return RunError.exit_code
    except MemoryError as error:
        if is_debug:
            raise
        say("error", f"not enough memory: {error or 'an array'}; a smaller batch or crop needs less")
        return RunError.exit_code
    except Stopped as error:
        print(f"ended by {error}", file=sys.stderr, flush=True)
        return 128 + error.signum
    except KeyboardInterrupt as error:
        print("interrupted" + f": {error}" * bool(error.args), file=sys.stderr, flush=True)
        return INTERRUPTED


class Lasting(io.FileIO):
    """A console stream whose writes never fail: text that a closed or full console refuses is lost."""

    def write(self, data) -> int:
        while True:
            try:
                written = super().write(data)
            except OSError:
                return len(data)
            if written is not None:
                return written
            select.select([], [self], [])    # another program made the terminal non-blocking


def outlive_console() -> None:
    """Make output never fail when the console is closed, full or gone, as after `| head`.

    Names that are not UTF-8 are written with backslashes.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:    # closed: otherwise a data file would get its number, and the printed text
            os.open(os.devnull, os.O_RDWR)
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is not None and stream is not getattr(sys, f"__{name}__"):
            continue    # this process has redirected it, as tests do
        setattr(sys, name, io.TextIOWrapper(
            io.BufferedWriter(Lasting(number, "wb", closefd=False)), getattr(stream, "encoding", "utf-8"),
            "backslashreplace", line_buffering=number == 2 or getattr(stream, "line_buffering", False),
            write_through=getattr(stream, "write_through", False)))


def styled(text: str, style: str, stream=None) -> str:
    """`text` in a style of STYLES where `stream` (stdout) is a terminal; plain in logs, with NO_COLOR and TERM=dumb."""
    stream = stream or sys.stdout
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\033[{STYLES[style]}m{text}\033[0m"


def first_line(error: Exception) -> str:
    """What MindSpore says of an error before its pages of call stack; some of it stands between lines of dashes."""
    lines = [line.strip() for line in str(error).splitlines() if any(map(str.isalnum, line))
             and not line.startswith("Exception thrown from dataset pipeline")]    # refers to the lines below
    return lines[0].rstrip(".") if lines else type(error).__name__


def number_of(count: int, noun: str) -> str:
    """The count and its noun: "1 pair", "3 pairs", "2 classes"."""
    return f"{count} {noun}" + ("" if count == 1 else "es" if noun.endswith("s") else "s")


def warn(text: str) -> None:
    """One line on stderr that does not end the program."""
    say("warning", text)


def say(word: str, text) -> None:
    """One line on stderr that begins with `word`, a style of STYLES."""
    print(f"{styled(word, word, sys.stderr)}: {text}", file=sys.stderr, flush=True)


def progress(total: int, what: str, unit: str) -> tqdm:
    """A bar with rate and time left on a terminal, nothing in logs (tqdm's disable=None)."""
    return tqdm(total=total, desc=what, unit=unit, disable=None, dynamic_ncols=True, smoothing=0.1, leave=False)


def counted(items, what: str, unit: str, total=None):
    """The items one by one, with the bar of `progress`; `total` is their number where `items` is no list."""
    with progress(len(items) if total is None else total, what, unit) as bar:
        for item in items:
            yield item
            bar.update()
