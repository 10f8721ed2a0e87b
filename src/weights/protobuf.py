"""Protobuf's wire format, as far as weight files need it (protobuf.dev/programming-guides/encoding).

Messages are walked in place, so a file of any size costs what is looked at, and no length is believed before it is
compared with what is left.
"""
import mmap

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5    # wire types


class Damaged(Exception):
    """The bytes are not what they should be; the text says why."""


def mapped(file):
    """The bytes of an open file without reading them. Raises ValueError for an empty one."""
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def fields(data, start: int, end: int):
    """Yield (number, value) of a protobuf message: an int, or the range of bytes that a text or message takes."""
    place = start
    while place < end:
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
    """(value, place behind it) of a number of 1 to 10 bytes, 7 bits in each."""
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


def packed(data, span: range, most: int) -> list:
    """Numbers that stand one after the other; reading ends behind `most`."""
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
