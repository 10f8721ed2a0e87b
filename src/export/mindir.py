"""Rewrite a MINDIR to version 1, which MindSpore Lite up to 2.0 reads.

From version 2 on operators take their settings as inputs; version 1 keeps them as attributes of the primitive. They are
moved back for the operators of this network; other operators are refused.
"""
from src.console import RunError

REFERENCE = "REF::"    # prefix of a primitive's name in a node's op_type

# Operator -> (its name in version 1, {position of the input: attribute that takes its place}).
SETTINGS = {
    "BiasAdd": ("BiasAdd", {2: "format"}),
    "BroadcastTo": ("BroadcastTo", {1: "shape"}),
    "Concat": ("Concat", {1: "axis"}),
    "ReduceMean": ("ReduceMean", {2: "keep_dims"}),    # the axes are an input in version 1, too
    "ResizeBilinearV2": ("ResizeBilinear", {1: "size", 2: "align_corners", 3: "half_pixel_centers"}),
    "Softmax": ("Softmax", {1: "axis"}),
}
UNCHANGED = ("Add", "Conv2D", "Depend", "Load", "MakeTuple", "MaxPool", "ReLU", "TupleGetItem", "UpdateState")
FORMATS = (b"NCHW", b"NHWC")


def to_version_1(model) -> None:
    """Convert the protobuf of a MINDIR from version 3 to 1, in place; a custom_func of mindspore.export.

    Raises RunError for an operator whose form in version 1 is not known.
    """
    primitives = {primitive.name: primitive for primitive in model.primitives}
    constants = {node.output[0]: node.attribute[0] for node in model.graph.node if node.op_type == "Constant"}
    for number, node in enumerate(model.graph.node):
        if node.op_type == "Constant":
            continue
        primitive = primitives[node.op_type[len(REFERENCE):]]
        if primitive.op_type in UNCHANGED:
            continue
        if primitive.op_type not in SETTINGS:
            raise RunError(f"operator {primitive.op_type} has no known form in MINDIR version 1; "
                           "use --mindir_version 0 with a MindSpore Lite that reads it")
        copy = model.primitives.add()    # primitives are shared between nodes, settings are not
        copy.CopyFrom(primitive)
        copy.name = f"{primitive.name}_v1_{number}"
        node.op_type = REFERENCE + copy.name
        copy.op_type, places = SETTINGS[primitive.op_type]
        move_settings(node, copy, places, constants)
    model.mind_ir_version = 1


def move_settings(node, primitive, places: dict, constants: dict) -> None:
    """Turn the node's constant inputs at `places` into attributes of its primitive."""
    for position, name in places.items():
        if node.input[position] not in constants:
            raise RunError(f"{primitive.op_type}: {name} is not a constant, which MINDIR version 1 needs")
        attribute = primitive.attribute.add()
        attribute.CopyFrom(constants[node.input[position]])
        attribute.name = name
        if name == "shape":    # -1 for an unchanged length, which Lite does not accept
            lengths = next(item.tensors[0].dims for item in node.attribute if item.name == "shape")
            for value, length in zip(attribute.values, lengths):
                value.ints[:] = [length]
        if name == "format":    # a number in version 3, a name in version 1
            attribute.s, attribute.type = FORMATS[attribute.i], type(attribute).STRING
            attribute.ClearField("i")
    kept = [name for position, name in enumerate(node.input) if position not in places]
    del node.input[:]
    node.input.extend(kept)
