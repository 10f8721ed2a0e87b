"""JPEG files: the size in their headers, and damage that decoders only warn about."""
import contextlib
import os
import re
import threading

FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})    # segments that hold the size (ITU T.81, table B.1)
SCAN, END = 0xDA, b"\xff\xd9"
SPOILT = re.compile(rb"(?:Corrupt JPEG data|Premature end of JPEG file|Inconsistent progression sequence|"
                    rb"Invalid SOS parameters)[^\n]*\n?")    # libjpeg's words for damage (jerror.h, JWRN)
BEFORE_END = re.compile(rb"Corrupt JPEG data: (\d+) extraneous bytes before marker 0xd9")
ONE_AT_A_TIME = threading.Lock()    # a process has one stderr


def is_jpeg(data: bytes) -> bool:
    return data[:2] == b"\xff\xd8"


def segments(data: bytes):
    """Yield (kind, place) of the segments before the first scan: FF, kind, length, content, after any FF padding."""
    place = 2
    while data[place:place + 1] == b"\xff" and place + 1 < len(data):
        kind = data[place + 1]
        yield kind, place
        if kind == SCAN:
            return
        place += 1 if kind == 0xFF else 2 + int.from_bytes(data[place + 2:place + 4], "big")


def is_cut(data: bytes) -> bool:
    """Whether a JPEG has a scan (FF DA) without an end (FF D9) after it.

    A scan never contains the end marker. The segments before it may, in thumbnails, and phones append data of their
    own.
    """
    return any(kind == SCAN and data.find(END, place) < 0 for kind, place in segments(data))


def jpeg_size(data: bytes):
    """(width, height) as stored, or None if no segment has it."""
    for kind, place in segments(data):
        if kind in FRAMES and place + 9 <= len(data):
            return int.from_bytes(data[place + 7:place + 9], "big"), int.from_bytes(data[place + 5:place + 7], "big")
    return None


def decode_listening(decode, data: bytes) -> tuple:
    """(result of decode(), libjpeg's message or "").

    libjpeg goes on after damage in the middle of a file and only prints a message on stderr, so stderr is redirected
    meanwhile; other output is passed on. Padding before the end, which some cameras write, is not damage. On systems
    without files in memory damage is not noticed.
    """
    if not hasattr(os, "memfd_create"):
        return decode(), ""
    with ONE_AT_A_TIME:
        result, said = with_stderr_aside(decode)
    found = SPOILT.search(said)
    filling = BEFORE_END.match(found[0]) if found else None
    if found is None or filling and is_filling(data, int(filling[1])):
        return result, ""
    return result, found[0].decode("ascii", "replace").strip()


def is_filling(data: bytes, count: int) -> bool:
    """Whether the `count` bytes before the end are padding: all 0 or FF."""
    end = data.rfind(END)
    return not data[max(0, end - count):end].strip(b"\x00\xff")


def with_stderr_aside(work) -> tuple:
    """(result of work(), text written to file descriptor 2 meanwhile); all but libjpeg's messages is passed on."""
    try:
        own = os.dup(2)
    except OSError:    # it was closed before the program started: output there stays lost
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        own = os.dup(2)
    aside = os.memfd_create("stderr")
    try:
        os.dup2(aside, 2)
        try:
            result = work()
        finally:
            os.dup2(own, 2)
        said = os.pread(aside, os.lseek(aside, 0, os.SEEK_CUR), 0)
        if said:
            with contextlib.suppress(OSError):
                os.write(own, SPOILT.sub(b"", said))
        return result, said
    finally:
        os.close(aside)
        os.close(own)
