"""Draw network.svg and data_flow.svg beside this file: python docs/images/draw.py

Sizes, channels and dilations come from src/nets/architecture.py. Colours follow the reader's light or dark mode.
"""
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from src.files import write_whole
from src.nets.architecture import architecture

SIDE = 513    # of the input picture
STYLE = """
  .paper { fill: #ffffff } .box { fill: #eef3f8; stroke: #6b8299 } .key { fill: #dcebdc; stroke: #5e8a60 }
  .file { fill: #fff3dc; stroke: #b08a3c } text { fill: #1f2933; font: 13px system-ui, "DejaVu Sans", sans-serif }
  .soft { fill: #52606d; font-size: 11.5px } .line { stroke: #6b8299; fill: none } .tip { fill: #6b8299 }
  .name { font-weight: 600 } .code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 12px }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } .box { fill: #1c2733; stroke: #7d95ad } .key { fill: #1c3222; stroke: #76a878 }
    .file { fill: #382c12; stroke: #c9a255 } text { fill: #e6edf3 } .soft { fill: #9fb0c0 }
    .line { stroke: #7d95ad } .tip { fill: #7d95ad }
  }
"""


def page(title: str, width: int, height: int, parts: list) -> str:
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" role="img">\n<title>{title}</title>\n<style>{STYLE}</style>\n'
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto"><path class="tip" d="M0 0L8 4L0 8z"/></marker></defs>\n'
            f'<rect class="paper" width="{width}" height="{height}" rx="10"/>\n' + "\n".join(parts) + "\n</svg>\n")


def text(x: float, y: float, content: str, kind: str = "", anchor: str = "middle") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{content}</text>'


def box(x: float, y: float, width: float, height: float, lines: list, kind: str = "box") -> str:
    """A rectangle with centred lines: the first in bold, the others small."""
    top = y + height / 2 - 8 * (len(lines) - 1) + 4.5
    rows = [text(x + width / 2, top + 16 * number, line, "soft" if number else "name")
            for number, line in enumerate(lines)]
    frame = f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6"/>'
    return "\n".join([frame, *rows])


def arrow(*points: tuple) -> str:
    path = "L".join(f"{x:g} {y:g}" for x, y in points)
    return f'<path class="line" d="M{path}" marker-end="url(#tip)"/>'


def network() -> str:
    """DeepLabV3 from picture to classes; sizes at output stride 16, those of stride 8 in brackets."""
    nets = [architecture(f"deeplab_v3_s{stride}") for stride in (16, 8)]
    parts, x, y, gap = [], 16, 40, 16
    parts.append(text(16, 24, f"Backbone: ResNet-101. Sizes for a {SIDE} x {SIDE} picture at output stride 16, in "
                              "brackets at stride 8", "soft", "start"))
    sides = [(SIDE - 1) // 2 + 1] * 2
    boxes = [["picture", f"{SIDE} x {SIDE} x 3"],
             ["7x7 conv", f"{sides[0]} x {sides[0]} x {nets[0].stem.out_channels}"]]
    sides = [(side - 1) // 2 + 1 for side in sides]
    boxes.append(["max pool", f"{sides[0]} x {sides[0]} x {nets[0].stem.out_channels}"])
    for number in range(4):
        layers = [net.layers[number] for net in nets]
        sides = [(side - 1) // layer[0].conv2.stride + 1 for side, layer in zip(sides, layers)]
        dilations = [" ".join(str(value) for value in dict.fromkeys(block.conv2.dilation for block in layer))
                     for layer in layers]
        lines = [f"layer{number + 1}", f"{len(layers[0])} blocks", size_of(sides, layers[0][-1].conv3.out_channels)]
        if dilations != ["1", "1"]:
            lines.append("dilation " + in_brackets(dilations))
        boxes.append(lines)
    for number, lines in enumerate(boxes):
        wide = 100 if number < 3 else 138
        parts.append(box(x, y, wide, 76, lines))
        if number < len(boxes) - 1:
            parts.append(arrow((x + wide, y + 38), (x + wide + gap, y + 38)))
        x += wide + gap
    return page("DeepLabV3: backbone, atrous spatial pyramid pooling, classifier", x, 372,
                parts + head(nets[0], x, sides))


def in_brackets(pair: list) -> str:
    return pair[0] if pair[0] == pair[1] else f"{pair[0]} ({pair[1]})"


def size_of(sides: list, channels: int) -> str:
    return f"{in_brackets([f'{side}²' for side in sides])} x {channels}"


def head(net, width: float, sides: list) -> list:
    """ASPP branches below the backbone, projection, classifier and resize; the data turn back to the left."""
    features, last = net.layers[-1][-1].conv3.out_channels, width - 75
    parts = [text(16, 158, "Head: atrous spatial pyramid pooling (ASPP)", "soft", "start")]
    branches = [[f"{conv.kernel}x{conv.kernel}" + (f", dilation {conv.dilation}" if conv.kernel > 1 else "")]
                for conv in net.branches] + [["image pooling, 1x1"]]
    middle = 262
    for number, lines in enumerate(branches):
        y = 172 + 38 * number
        parts.append(box(width - 300, y, 150, 30, lines, "key"))
        parts += [arrow((last, y + 15), (width - 150, y + 15)), arrow((width - 300, y + 15), (width - 330, y + 15))]
    parts += [f'<path class="line" d="M{last} 116V{172 + 38 * 4 + 15}"/>',
              f'<path class="line" d="M{width - 330} 187V339"/>',
              text(last + 8, 250, f"x {features}", "soft", "start")]
    channels = net.project.out_channels
    steps = [["concatenation", f"{len(branches)} x {channels}"], ["1x1, dropout", size_of(sides, channels)],
             ["1x1 classifier", size_of(sides, net.num_classes)], ["resize", f"{SIDE} x {SIDE} x {net.num_classes}"]]
    right = width - 330
    for lines in steps:
        left = right - 22 - 118
        parts += [arrow((right, middle), (left + 118, middle)), box(left, middle - 30, 118, 60, lines)]
        right = left
    return parts


def data_flow() -> str:
    """Programs from pictures to results, and the facts that the files carry."""
    rows = [("pictures and masks", "VOC, SBD, labelme, COCO, CVAT, folders", None),
            ("lists and dataset.yaml", "number of classes, names, ignored value", "get_dataset_lst.py"),
            ("MindRecord shards", "carry dataset.yaml", "build_seg_data.py"),
            ("checkpoint", "network, classes, names, dilations, crop size", "train.py"),
            ("ONNX, MINDIR, AIR", "carry the same facts", "export.py")]
    users = {1: [("check_data.py", "finds mistakes in the data")],
             3: [("eval.py", "mIoU, report"), ("predict.py", "class maps, overlays")],
             4: [("eval_onnx.py, predict.py", "without MindSpore"), ("ascend310_infer", "C++, MindSpore Lite")]}
    parts = []
    for number, (name, note, program) in enumerate(rows):
        y = 16 + 92 * number
        parts.append(box(16, y, 330, 46, [name, note], "file"))
        if program:
            parts += [arrow((181, y - 46), (181, y)), text(192, y - 18, program, "code", "start")]
        for place, (user, result) in enumerate(users.get(number, ())):
            top = y + 46 / 2 - 20 if len(users[number]) == 1 else y - 20 + 46 * place
            parts += [arrow((346, y + 23), (400, y + 23), (400, top + 20), (430, top + 20)),
                      box(430, top, 200, 40, [user, result])]
    return page("Data flow: from pictures to results", 646, 16 + 92 * 4 + 46 + 32, parts)


def main():
    for name, drawing in (("network.svg", network()), ("data_flow.svg", data_flow())):
        write_whole(Path(__file__).with_name(name), drawing.encode(), "drawing")


if __name__ == "__main__":
    main()
