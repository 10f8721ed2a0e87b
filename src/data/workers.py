"""Work on all cores: in threads where it leaves Python's lock, as decoding does, else in processes."""
import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import cv2

from src.data.pictures import limit, limit_pixels
from src.device import cores

ENDS = {getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)}
PATIENCE = 10    # seconds; longer than a process takes for its share of the work


def in_threads(function, items, workers: int):
    """function(item) of each item, in order, by `workers` threads (0: one a core); few items are in memory at a time.
    """
    workers = workers or cores()
    cv2.setNumThreads(1)    # these are the parallelism
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 8 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def in_processes(function, items, workers: int):
    """function(item) of each item, in order, by `workers` processes (0: one a core)."""
    cv2.setNumThreads(1)    # OpenCV's own threads would not survive the fork
    with ProcessPoolExecutor(workers or cores(), initializer=begin, initargs=(limit["pixels"],)) as pool:
        with until_begun():
            found = pool.map(function, items, chunksize=16)
        yield from found


@contextlib.contextmanager
def until_begun():
    """Hold signals back while processes are made: until `begin` they would handle them like their parent."""
    if not hasattr(signal, "pthread_sigmask"):    # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin(pixels: int) -> None:
    """What a new process does first: leave signals to its parent, watch that one, and take over --max_pixels."""
    for signum in ENDS:
        signal.signal(signum, end_late if signum == signal.SIGTERM else signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
    limit_pixels(pixels)
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_late(*_) -> None:
    """On SIGTERM: with the whole group, the pool ends this process in time; alone, the pool is broken and waits for it.
    """
    timer = threading.Timer(PATIENCE, os._exit, [1])
    timer.daemon = True
    timer.start()


def end_with_parent() -> None:
    """A process whose parent was killed would wait for work for ever, and hold the parent's locks."""
    multiprocessing.parent_process().join()
    os._exit(1)
