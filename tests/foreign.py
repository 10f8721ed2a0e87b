"""Hand-made weight files, models, pictures and archives for tests, valid and damaged."""
import io
import json
import zipfile

from PIL import Image

from src.drawing.palette import palette
from src.weights.protobuf import as_varint, field


def value(name, content=b"\0" * 4, dims=(1,), kind=b"Float32", more=b""):
    """An entry of a checkpoint."""
    tensor = b"".join(b"\x08" + as_varint(length) for length in dims) + field(2, kind) + field(3, content) + more
    return field(1, field(1, name) + field(2, tensor))


def safetensors(header, content=b"", length=None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + content


def safetensors_entry(begin, end, shape=(1,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def onnx(*metadata_entries, places=()):
    tensors = b"".join(field(5, field(13, field(1, b"location") + field(2, place))) for place in places)
    return b"\x08\x08" + field(7, tensors) + b"".join(
        field(14, field(1, name) + field(2, text)) for name, text in metadata_entries)


def tensor(dims, content=None, kind=1, more=b""):
    text = b"".join(b"\x08" + as_varint(length) for length in dims) + b"\x10" + as_varint(kind)
    return text + (b"" if content is None else field(9, content)) + more


def encoded(array, kind, **options) -> bytes:
    """A picture file."""
    data = io.BytesIO()
    Image.fromarray(array).save(data, kind, **options)
    return data.getvalue()


def paletted(numbers):
    """A mask with VOC's palette, as a PIL image."""
    image = Image.fromarray(numbers)
    image.putpalette(palette().tobytes())
    return image


def archive(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def mindir(*parameters):
    ends = field(5, field(2, tensor((1, 3, 65, 65)))) + field(6, field(2, tensor((1, 6, 65, 65))))
    return field(1, b"0.1") + field(2, b"MindSpore") + field(7, b"".join(field(3, one) for one in parameters) + ends)
