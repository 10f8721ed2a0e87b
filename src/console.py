"""What programs tell the console: errors in one line with the right exit code, progress bars that keep out of logs."""
import os
import sys

from tqdm import tqdm

STYLES = {"error": "1;31", "warning": "1;33", "strong": "1"}    # red, yellow, bold


class InputError(Exception):
    """Something the user gave cannot be used; the text names it and how to fix it."""

    exit_code = 2


class RunError(Exception):
    """A run that started well and could not go on; the text names where and why."""

    exit_code = 1


class Preempted(RunError):
    """A run that was told to stop, has saved its state and can be resumed."""

    exit_code = 75    # EX_TEMPFAIL of sysexits.h: try again


def run_program(main, argv=None) -> int:
    """Call `main(argv)` and turn its outcome into an exit code.

    InputError gives 2, RunError 1, Preempted 75, Ctrl-C 130, each with one line on stderr; `--debug` among the
    arguments shows the traceback as well. An OSError that names a file (no right to write, disk full) is a line and
    1 too; any other exception is a bug and keeps its traceback.
    """
    arguments = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):    # a name that the console cannot show is no reason to fail
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        main(argv)
        return 0
    except (InputError, RunError) as error:
        if "--debug" in arguments:
            raise
        say("error", error)
        return error.exit_code
    except OSError as error:
        if "--debug" in arguments or not error.filename:
            raise
        say("error", f"{error.filename}: {error.strerror}")
        return RunError.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        return 130


def styled(text: str, style: str, stream=None) -> str:
    """`text` in a style of STYLES where `stream` (stdout) is a terminal; plain in logs, with NO_COLOR and TERM=dumb."""
    stream = stream or sys.stdout
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\033[{STYLES[style]}m{text}\033[0m"


def first_line(error: Exception) -> str:
    """What MindSpore says of an error before its pages of call stack."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


def warn(text: str) -> None:
    """One line on stderr that does not end the program."""
    say("warning", text)


def say(word: str, text) -> None:
    """One line on stderr that begins with `word`, a style of STYLES."""
    print(f"{styled(word, word, sys.stderr)}: {text}", file=sys.stderr, flush=True)


def progress(total: int, what: str, unit: str) -> tqdm:
    """A bar with rate and time left on a terminal, nothing in logs (tqdm's disable=None)."""
    return tqdm(total=total, desc=what, unit=unit, disable=None, dynamic_ncols=True, smoothing=0.1, leave=False)


def counted(items, what: str, unit: str):
    """The items of a list one by one, with the bar of `progress`."""
    with progress(len(items), what, unit) as bar:
        for item in items:
            yield item
            bar.update()
