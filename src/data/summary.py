"""What the masks of a set hold together.

A Summary is small, says nothing of labels, and travels in the header of a MindRecord, so that train.py need not look
again.
"""
import base64
import binascii
import hashlib
from dataclasses import dataclass, field

import numpy as np

MOST_KEYS = 500_000    # pictures whose digests a header holds; MindSpore's headers end at 16 MB
KEY_BYTES = 6
KEY_STEP = 16    # every that many bytes of a picture's file are in its digest
TABLES = ("pixels", "holding", "alone")    # the arrays of a Summary


def file_key(data: bytes) -> bytes:
    """Digest of an encoded picture, (KEY_BYTES,), of every 16th of its bytes and their number: all bytes take ten times
    as long, and what differs in the others alone shows the same."""
    return hashlib.sha256(b"%d " % len(data) + data[::KEY_STEP]).digest()[:KEY_BYTES]


@dataclass
class Summary:
    """Totals over the masks of a set; arrays are (256,) int64, one entry for each mask value."""

    masks: int = 0
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    holding: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))    # masks that hold it
    alone: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))    # masks that hold nothing else
    blended: int = 0    # masks with at least two values that occur between others only, at edges
    keys: set = field(default_factory=set)    # digests of the encoded pictures
    colours: dict = field(default_factory=dict)    # number -> its colours in masks with a palette -> the first of these

    def add(self, counts: np.ndarray, blended: bool = False, key: bytes = b"") -> None:
        """Add a mask: `counts` (256,) pixels of each value."""
        held = counts > 0
        self.masks += 1
        self.pixels += counts
        self.holding += held
        self.alone += held & (held.sum() == 1)
        self.blended += bool(blended)
        if key:
            self.keys.add(key)

    def add_look(self, look) -> None:
        """Add what src.data.survey.look_at found of a mask, if it could be read."""
        if look.counts is not None:
            self.add(look.counts, look.blended, look.file_key)
        for number, colour in look.colours.items():
            self.colours.setdefault(number, {}).setdefault(colour, look.mask_name)

    def to_json(self) -> dict:
        keys = b"".join(sorted(self.keys)) if len(self.keys) <= MOST_KEYS else b""
        return {"masks": self.masks, "blended": self.blended, "keys": base64.b64encode(keys).decode(),
                **{name: {str(value): int(getattr(self, name)[value]) for value in np.flatnonzero(getattr(self, name))}
                   for name in TABLES}}

    @classmethod
    def from_json(cls, content):
        """The Summary that to_json wrote; None for anything else, since any program may have written the header."""
        try:
            keys = base64.b64decode(content["keys"], validate=True)
            tables = {}
            for name in TABLES:
                tables[name] = np.zeros(256, np.int64)
                for value, count in content[name].items():
                    tables[name][int(value)] = int(count)
            return cls(int(content["masks"]), blended=int(content["blended"]), **tables,
                       keys={keys[i:i + KEY_BYTES] for i in range(0, len(keys), KEY_BYTES)})
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, binascii.Error):
            return None


def summary_of(looks: list) -> Summary:
    """Of what src.data.survey.look_at found."""
    summary = Summary()
    for one in looks:
        summary.add_look(one)
    return summary
