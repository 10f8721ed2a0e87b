"""Signals: Ctrl-C works while MindSpore computes; SIGTERM and SIGHUP clean up; none interrupts the end of a program.

MindSpore handles SIGINT itself while a graph runs, and turns it into SIGTERM. So SIGINT is blocked before any other
thread starts (threads inherit this), and one thread only waits for it.
"""
import contextlib
import os
import signal
import sys
import threading

ENDING = contextlib.ExitStack()    # what a run gives back when it ends, however it does; see src/claims.py
INTERRUPTED = 130    # exit code after Ctrl-C, as shells give it
RELAY = getattr(signal, "SIGRTMIN", None)    # carries SIGINT from that thread to the main one


class Stopped(BaseException):
    """SIGTERM or SIGHUP in a program that has nothing to save: half-written files are still removed."""

    def __init__(self, signum):
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


def hear_signals() -> None:
    """Raise KeyboardInterrupt or Stopped in the main thread. A second Ctrl-C ends the process at once.

    Ignored signals (SIGHUP under nohup, SIGINT in the background of a script) stay ignored.
    """
    for name in ("SIGTERM", "SIGHUP"):
        signum = getattr(signal, name, None)
        if signum and signal.getsignal(signum) == signal.SIG_DFL:
            signal.signal(signum, stop)
    if RELAY and signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        signal.signal(RELAY, interrupt)
        threading.Thread(target=wait_for_ctrl_c, args=[threading.get_ident()], daemon=True).start()


def stop(signum, frame) -> None:
    if is_importing(frame):
        end_now(f"ended by {signal.Signals(signum).name}", 128 + signum)
    raise Stopped(signum)


def interrupt(_, frame) -> None:
    if is_importing(frame):
        end_now("interrupted", INTERRUPTED)
    signal.getsignal(signal.SIGINT)(signal.SIGINT, frame)


def is_importing(frame) -> bool:
    """Whether a module is being imported. An exception raised there looks like a failed import, or leaves half a C
    extension, at which Python hangs when it ends."""
    while frame and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


def end_now(text: str, code: int) -> None:
    """End the process without returning to what it does."""
    ENDING.close()
    with contextlib.suppress(OSError, RuntimeError):    # a closed console; print may be what the signal interrupts
        os.write(2, f"{text}\n".encode())
        sys.stdout.flush()
    os._exit(code)


def wait_for_ctrl_c(main_thread: int) -> None:
    """Pass the first Ctrl-C to the main thread, which raises once it is back in Python; end at once at the second."""
    signal.sigwait({signal.SIGINT})
    signal.pthread_kill(main_thread, RELAY)
    signal.sigwait({signal.SIGINT})
    sys.stderr.write("interrupted a second time: ended without waiting\n")
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def on_signals(handler) -> None:
    """Call handler(signum, frame) for those of SIGINT, SIGTERM and SIGHUP that are not ignored."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signum = getattr(signal, name, None)
        if signum and signal.getsignal(signum) != signal.SIG_IGN:
            signal.signal(signum, handler)


def ignore_signals() -> None:
    """Ignore SIGTERM and SIGHUP from now on: the work is done."""
    for name in ("SIGTERM", "SIGHUP"):
        if signum := getattr(signal, name, None):
            signal.signal(signum, signal.SIG_IGN)
