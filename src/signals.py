"""Signals of a program: Ctrl-C is Ctrl-C while MindSpore computes, SIGTERM and SIGHUP clean up, none spoils the end.

MindSpore takes SIGINT for itself whenever a graph runs, and makes SIGTERM of it. So SIGINT is blocked before any other
thread is started, which then inherits that, and a thread that does nothing else waits for it.
"""
import os
import signal
import sys
import threading

INTERRUPTED = 130    # exit code after Ctrl-C, as shells give it
RELAY = getattr(signal, "SIGRTMIN", None)    # carries SIGINT from that thread to the main one


class Stopped(BaseException):
    """SIGTERM or SIGHUP in a program that has nothing to save: files that are half written are still removed."""

    def __init__(self, signum):
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


def hear_signals() -> None:
    """Raise KeyboardInterrupt or Stopped in the main thread. A second Ctrl-C ends the process wherever it is.

    What is ignored, as SIGHUP under nohup and SIGINT in the background of a script, stays so.
    """
    for name in ("SIGTERM", "SIGHUP"):
        signum = getattr(signal, name, None)
        if signum and signal.getsignal(signum) == signal.SIG_DFL:
            signal.signal(signum, stop)
    if RELAY and signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        signal.signal(RELAY, lambda _, frame: signal.getsignal(signal.SIGINT)(signal.SIGINT, frame))
        threading.Thread(target=wait_for_ctrl_c, args=[threading.get_ident()], daemon=True).start()


def stop(signum, _) -> None:
    raise Stopped(signum)


def wait_for_ctrl_c(main_thread: int) -> None:
    """Tell the main thread of a first Ctrl-C, which it hears once it is back in Python; do not wait after a second."""
    signal.sigwait({signal.SIGINT})
    signal.pthread_kill(main_thread, RELAY)
    signal.sigwait({signal.SIGINT})
    sys.stderr.write("interrupted a second time, so nothing was waited for\n")
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def on_signals(handler) -> None:
    """Call handler(signum, frame) for SIGINT, SIGTERM and SIGHUP, but for what is ignored."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signum = getattr(signal, name, None)
        if signum and signal.getsignal(signum) != signal.SIG_IGN:
            signal.signal(signum, handler)


def ignore_signals() -> None:
    """From now on SIGTERM and SIGHUP change nothing: what was to be done is done."""
    for name in ("SIGTERM", "SIGHUP"):
        if signum := getattr(signal, name, None):
            signal.signal(signum, signal.SIG_IGN)
