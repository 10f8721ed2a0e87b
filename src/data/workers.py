"""Work on all cores: in threads where it leaves Python's lock, as decoding does, else in processes."""
import multiprocessing
import os
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import cv2

from src.data.pictures import limit, limit_pixels
from src.device import cores


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
        yield from pool.map(function, items, chunksize=16)


def begin(pixels: int) -> None:
    """What a new process does first: take over --max_pixels, and watch the one that started it."""
    limit_pixels(pixels)
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    """A process whose parent was killed would wait for work for ever, and hold the parent's locks."""
    multiprocessing.parent_process().join()
    os._exit(1)
