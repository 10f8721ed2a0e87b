"""Protobuf's wire format, as far as weight files need it (protobuf.dev/programming-guides/encoding).

Messages are read in place, so only the fields that are read cost time. Each length is compared with the remaining bytes
before it is used.
"""
import contextlib
import mmap

from src.console import InputError
from src.foreign import printable

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5    # wire types
MOST_FIELDS = 1 << 16    # of a message; a network of 100 layers has a thousand parameters


class Damaged(Exception):
    """The bytes are invalid; the text says why."""


@contextlib.contextmanager
def opened(path, where: str, what: str):
    """Yield the bytes of a file, memory-mapped, for as long as arrays use them. Errors call it `where`, a `what`.

    Raises InputError for a file that cannot be mapped, and where the block raises Damaged or ValueError.
    """
    try:
        with open(path, "rb") as file:
            yield mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)    # not closed: its arrays may outlive the block
    except (Damaged, OSError, ValueError) as error:    # ValueError: an empty file
        raise InputError(f"{where}: is not a complete {what} ({printable(error, 200)})") from None


def fields(data, start: int, end: int, most: int = MOST_FIELDS):
    """Yield (number, value) of a protobuf message; a value is an int, or the range of bytes of a text or message.

    Raises Damaged if it is not a protobuf message, and for more than `most` fields.
    """
    place, count = start, 0
    while place < end:
        count += 1
        if count > most:
            raise Damaged(f"more than {most} fields before byte {place}")
        key, place = varint(data, place, end)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, place = varint(data, place, end)
            yield number, value
            continue
        if kind == BYTES:
            length, place = varint(data, place, end)
        elif kind in (FIXED64, FIXED32):
            length = 8 if kind == FIXED64 else 4
        else:
            raise Damaged(f"wire type {kind} at byte {place}")
        if length > end - place:
            raise Damaged(f"{length} bytes are announced at byte {place} where {end - place} are left")
        yield number, range(place, place + length)
        place += length


def varint(data, place: int, end: int) -> tuple:
    """(value, place after it) of a number of 1 to 10 bytes, 7 bits in each."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= end:
            raise Damaged("it ends within a number")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise Damaged(f"a number of more than ten bytes before byte {place}")


def message(data, span, most: int = MOST_FIELDS):
    """The `fields` of the message at `span`. Raises Damaged for a number in its place."""
    if not isinstance(span, range):
        raise Damaged("a number stands where a message is expected")
    return fields(data, span.start, span.stop, most)


def text(data, span, longest: int) -> str:
    """The text at `span`, 1 to `longest` printable bytes. Raises Damaged."""
    if not isinstance(span, range) or not 0 < len(span) <= longest:
        raise Damaged(f"an entry has no name or type, or one longer than {longest} bytes")
    try:
        found = bytes(data[span.start:span.stop]).decode()
    except UnicodeDecodeError:
        found = "\0"
    if not found.isprintable():
        raise Damaged("a name is not text")
    return found


def walk(data, table: dict, most: int = 1 << 20):
    """Yield (kind, fields) of every message in `data` that `table` leads to, first the file's own, of the kind "model".

    Args:
        table: kind -> {field's number: kind of the message there}.
        most: fields of all these messages together, some microseconds each.

    Raises Damaged if it is not a protobuf message, for more fields, and for more than 100 nested messages.
    """
    waiting, count = [("model", range(len(data)), 0)], 0
    while waiting:
        kind, span, depth = waiting.pop()
        found = list(message(data, span))
        count += len(found)
        if depth > 100 or count > most:
            raise Damaged("messages are nested too deeply" if depth > 100 else f"more than {most} fields")
        yield kind, found
        waiting += [(table[kind][number], value, depth + 1) for number, value in found if number in table[kind]]


def packed(data, span: range, most: int) -> list:
    """Packed numbers, one after the other; reading stops after `most`."""
    numbers, place = [], span.start
    while place < span.stop and len(numbers) <= most:
        value, place = varint(data, place, span.stop)
        numbers.append(value)
    return numbers


def field(number: int, content: bytes) -> bytes:
    """A protobuf field of bytes."""
    return bytes([number << 3 | BYTES]) + as_varint(len(content)) + content


def as_varint(value: int) -> bytes:
    """A number with 7 bits in each byte."""
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
