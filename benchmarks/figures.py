"""The table of figures that benchmarks/run.py measures: content, comparison, target, method.

A figure is one row. Its first side is ours; smaller is always better. A new figure is a row here and, if its work is
new, a function in one of the other modules that takes (job, options) and returns a `turn` (benchmarks/serve.py).
"""
from typing import NamedTuple

PROGRAMS = ("train", "eval", "predict", "export", "eval_onnx", "convert_resnet101", "src/data/get_dataset_lst",
            "src/data/build_seg_data", "src/data/check_data", "src/data/sample", "src/tools/plot", "src/tools/summary",
            "src/tools/model_info", "src/tools/postprocess", "src/tools/get_multicards_json", "src/tools/launch")


class Side(NamedTuple):
    """One side of a figure."""

    title: str
    make: str    # module of benchmarks:function
    options: dict = {}
    needs: tuple = ()    # required packages; without them the side is left out


class Target(NamedTuple):
    """Upper limit of a value of a side."""

    value: str    # s (per image if the side counts images), mb, difference; ratio, memory: ours over the side's
    side: str    # key of the side
    most: float


class Figure(NamedTuple):
    """One row."""

    name: str
    what: str
    sides: dict    # key -> Side, the first is ours
    how: str
    targets: tuple = ()
    compare: str = ""    # module:function that compares the kept results of the sides
    rounds: int = 5
    cold: bool = False    # each turn is a new process, so no turn is needed to warm up
    apart: bool = False    # one process at a time, for sides that do not fit into memory together
    beside: bool = True    # whether the first side is compared with the others


TORCH, EXPORT, OPENVINO, VISION = ("torch",), ("torch", "onnxscript"), ("openvino",), ("torch", "torchvision")
EAGER = "PyTorch eager"
TURNS = "processes that live through all rounds, in turns"
COMMAND = "each turn a new process, from the command to its end"


def network_sides(stride: str) -> dict:
    return {"onnxruntime": Side("ONNX Runtime (auto)", "networks:network", {"stride": stride}),
            "mindspore": Side("MindSpore", "networks:network", {"stride": stride, "engine": "mindspore"}),
            "torch": Side(EAGER, "networks:eager", {"stride": stride}, TORCH),
            "export": Side("PyTorch's export in ONNX Runtime", "networks:torch_export", {"stride": stride}, EXPORT),
            "openvino": Side("OpenVINO float32", "networks:network", {"stride": stride, "engine": "openvino"},
                             OPENVINO),
            "bf16": Side("OpenVINO bf16", "networks:network",
                         {"stride": stride, "engine": "openvino", "precision": "bf16"}, OPENVINO)}


def batch_sides(stride: str, batch: int) -> dict:
    return {key: side._replace(options={**side.options, "batch": batch})
            for key, side in network_sides(stride).items() if key in ("onnxruntime", "mindspore", "torch")}


def engine_sides(stride: str, images: int, **more) -> dict:
    return {key: Side(side.title, "pictures:evaluator", {**side.options, "images": images, **more}, side.needs)
            for key, side in network_sides(stride).items() if "networks:network" in side.make}


def evaluator_sides(stride: str, batch: int) -> dict:
    options = {"stride": stride, "batch": batch}
    return {"ours": Side("eval.py", "pictures:evaluator", options),
            "mindspore": Side("eval.py --engine mindspore", "pictures:evaluator", {**options, "engine": "mindspore"}),
            "plain": Side("PyTorch eager, straightforward processing", "pictures:plain", {"stride": stride}, TORCH),
            "alone": Side("the network alone", "pictures:alone", options)}


def evaluator(stride: str, batch: int, most: float) -> Figure:
    what = f"eval.py, a picture from file to mIoU, stride {stride[1:]}, batch {batch}"
    return Figure(f"eval_{stride}_batch{batch}", what,
                  evaluator_sides(stride, batch), f"12 pictures a turn; {TURNS}",
                  (Target("ratio", "plain", most), Target("ratio", "alone", 1.05)), "pictures:agreement")


def engines(stride: str, images: int, **more) -> Figure:
    name = f"engines_{stride}" + "_five" * bool(more)
    what = f"a class map by each engine, stride {stride[1:]}" + ", five scales and flip" * bool(more)
    return Figure(name, what, engine_sides(stride, images, **more), f"{images} pictures a turn; {TURNS}",
                  compare="pictures:agreement", rounds=3 if not more else 1)


def predict_side(title: str, kind: str, stride: str = "s16") -> Side:
    return Side(title, "commands:predict", {"stride": stride, "kind": kind})


def input_sides(cores: int) -> dict:
    held = {"cores": cores} if cores else {}
    return {"ours": Side("this pipeline", "inputs:ours", held),
            "zoo": Side("the zoo's transform, float32", "inputs:zoo", held),
            "torchvision": Side("torchvision v2, uint8", "inputs:torchvision", {**held, "normalise": False}, VISION),
            "torchvision_float": Side("torchvision v2, float32", "inputs:torchvision", {**held, "normalise": True},
                                      VISION),
            "normalised": Side("this pipeline, normalised by a graph", "inputs:normalised", held),
            "decoding": Side("decoding alone", "inputs:decoding", held)}


def augmentation_sides() -> dict:
    colours, angle = {"photometric": [0.4, 0.4, 0.4, 0.1]}, {"rotate": 10.0}
    return {key: Side(title, "inputs:ours", {"cores": 1, **options}) for key, title, options in (
        ("plain", "as published", {}), ("photometric", "--photometric 0.4 0.4 0.4 0.1", colours),
        ("rotate", "--rotate 10", angle), ("both", "both", {**colours, **angle}))}


def lists(name: str, share: float) -> Figure:
    sides = {"ours": Side("get_dataset_lst.py and build_seg_data.py", "lists:full_set",
                          {"side": "programs", "share": share}),
             "plain": Side("one straightforward process", "lists:full_set", {"side": "plain", "share": share})}
    return Figure(name, f"lists and MindRecord of {100 * share:g} % of VOC and SBD", sides, COMMAND,
                  (Target("ratio", "plain", 0.56),) if share == 1 else (), rounds=1, cold=True)


def train(batch: int, cores: int = 0, **more) -> Figure:
    options = {"batch": batch, **({"cores": cores} if cores else {})}
    sides = {"ours": Side("train.py's step", "training:ours", options),
             "torch": Side(EAGER, "training:eager", options, TORCH)}
    name = f"train_batch{batch}" + "_one_core" * bool(cores)
    what = f"training step, for each of its pictures, stride 16, crop 513, batch {batch}" + ", one core" * bool(cores)
    return Figure(name, what, sides, "a process at a time, a step to warm up" if more else f"a step a turn; {TURNS}",
                  (Target("ratio", "torch", 1.0), Target("memory", "torch", 1.0)), rounds=3, **more)


def programs(how: str) -> Figure:
    sides = {name: Side(f"{name}.py", "commands:answer", {"name": name, "how": how}) for name in PROGRAMS}
    what = "--help of each program" if how == "help" else "import of each program"
    return Figure(how, what, sides, COMMAND, tuple(Target("s", name, 0.5) for name in PROGRAMS), cold=True,
                  beside=False)


def growth(axis: str, title: str, values, work: str) -> Figure:
    sides = {str(value): Side(f"{value}", "growth:point", {"work": work, axis: value}) for value in values}
    return Figure(f"growth_{axis}_{work}", f"growth along {title}: {work}", sides, TURNS, rounds=2,
                  beside=False)


def cpp(stride: str) -> tuple:
    sides = {"cpp": Side("C++ on MindSpore Lite", "cpp:cpp", {"stride": stride}),
             "mindspore": Side("Python, MindSpore", "cpp:python", {"stride": stride}),
             "float64": Side("PyTorch float64", "cpp:python", {"stride": stride, "side": "float64"}, TORCH)}
    beside = {"cpp": Side("C++", "cpp:around", {"stride": stride}),
              "plain": Side("straightforward Python", "cpp:plain_around")}
    return (Figure(f"cpp_{stride}", f"C++ Predict, a picture, stride {stride[1:]}", sides,
                   f"30 pictures a turn; {TURNS}",
                   (Target("ratio", "mindspore", 1.0), Target("difference", "mindspore", 1e-5),
                    Target("mb", "cpp", 1500)), "cpp:agreement", rounds=1),
            Figure(f"cpp_around_{stride}", f"around C++ Predict, a picture, stride {stride[1:]}", beside,
                   f"20 pictures a turn; {TURNS}", (Target("s", "cpp", 0.015),), rounds=3))


GROWTH = {    # axis: (its title, its values, the work measured along it)
    "images": ("pictures", (80, 160, 320, 640), ("record", "input", "evaluation")),
    "side": ("side of pictures and crop", (257, 513, 769, 1025), ("input", "evaluation")),
    "classes": ("classes", (21, 60, 100, 150), ("evaluation", "input")),
    "workers": ("workers", (1, 2), ("record", "input")),
}

FIGURES = {figure.name: figure for figure in (
    *(Figure(f"network_{stride}", f"network, a 513x513 picture, stride {stride[1:]}", network_sides(stride), TURNS,
             compare="networks:difference", rounds=7) for stride in ("s16", "s8")),
    Figure("network_s16_batch4", "network, four 513x513 pictures, stride 16", batch_sides("s16", 4), TURNS,
           (Target("ratio", "torch", 1.0),), "networks:difference"),
    *(Figure(f"differences_{stride}", f"probabilities of ONNX Runtime and MindSpore, four inputs, stride {stride[1:]}",
             {key: Side(title, "networks:network", {"stride": stride, "engine": key, "shapes": [
                 (1, 257, 257), (1, 513, 513), (3, 257, 257), (3, 385, 513)]})
              for key, title in (("onnxruntime", "ONNX Runtime"), ("mindspore", "MindSpore"))}, TURNS,
             (Target("difference", "mindspore", 1e-5),), "networks:difference", rounds=1) for stride in ("s16", "s8")),
    evaluator("s16", 1, 0.75), evaluator("s8", 1, 0.80), evaluator("s16", 4, 1.0), evaluator("s8", 4, 1.0),
    engines("s16", 60), engines("s8", 12), engines("s8", 2, five=True, flip=True),
    Figure("around", "before and after the network, a picture and scale, one core",
           {"ours": Side("eval.py", "pictures:around", {"cores": 1}),
            "plain": Side("straightforward Python", "pictures:plain_around", {"cores": 1})},
           f"12 pictures a turn; {TURNS}", (Target("ratio", "plain", 0.34),)),
    Figure("scales", "five scales and flip, stride 16, a picture",
           {"ours": Side("eval.py", "pictures:evaluator", {"stride": "s16", "images": 2, "five": True, "flip": True}),
            "passes": Side("its ten passes", "pictures:alone", {"stride": "s16", "images": 2, "five": True})},
           f"2 pictures a turn; {TURNS}", (Target("ratio", "passes", 1.05),)),
    Figure("precision", "exported file in float32, fp16, int8 and bf16, stride 16",
           {**{name: Side(name, "pictures:exported", {"precision": name}) for name in ("float32", "fp16", "int8")},
            "bf16": Side("float32 in OpenVINO's bf16", "pictures:exported",
                         {"precision": "float32", "engine": "openvino", "arithmetic": "bf16"}, OPENVINO)},
           f"a picture a turn; {TURNS}; mIoU over --data_lst", compare="pictures:agreement", rounds=7),
    Figure("predict", "predict.py, one picture, from the command to its overlay",
           {"ckpt": predict_side(".ckpt", "plain"), "momenta": predict_side(".ckpt with momenta", "momenta"),
            "onnx": predict_side(".onnx", "onnx")}, COMMAND,
           (Target("s", "ckpt", 1.9), Target("s", "momenta", 2.3), Target("s", "onnx", 1.3), Target("mb", "ckpt", 950),
            Target("mb", "momenta", 950)), cold=True),
    Figure("eval_five_command", "eval.py, five scales and flip, one picture, from the command to its table",
           {"ckpt": Side(".ckpt", "commands:evaluate", {"stride": "s16", "kind": "momenta", "five": True}),
            "onnx": Side("eval_onnx.py, .onnx", "commands:evaluate", {"stride": "s16", "kind": "onnx", "five": True})},
           COMMAND, (Target("s", "ckpt", 5.6),), rounds=3, cold=True),
    Figure("eval_onnx_command", "eval_onnx.py, eight pictures, batch 1, from the command to its table",
           {stride: Side(f"stride {stride[1:]}", "commands:evaluate", {"stride": stride, "kind": "onnx", "images": 8})
            for stride in ("s16", "s8")}, COMMAND, (Target("mb", "s16", 1500), Target("mb", "s8", 1500)), rounds=3,
           cold=True, beside=False),
    programs("help"), programs("import"),
    Figure("quickstart", "quickstart, without installation",
           {"ours": Side("this checkout", "commands:quickstart", {"which": "this"}),
            "older": Side("the checkout that --beside names", "commands:quickstart", {"which": "older"})}, COMMAND,
           (Target("ratio", "older", 0.85),), rounds=1, cold=True),
    *(Figure(f"input_{word}", f"training input, a picture, {title}", input_sides(cores),
             f"640 pictures, batch 32, crop 513; {TURNS}",
             (Target("ratio", "zoo", most), *more)) for word, title, cores, most, more in (
                 ("one_core", "one core", 1, 0.33, ()),
                 ("all_cores", "all cores", 0, 0.4, (Target("ratio", "torchvision", 0.67),)))),
    Figure("augmentation", "training input with colours changed and rotation, a picture, one core",
           augmentation_sides(), f"640 pictures, batch 32, crop 513; {TURNS}", beside=False),
    lists("lists", 1.0), lists("lists_small", 0.12),
    Figure("check_data", "check_data.py, a pair, of as many as VOC's train and val have",
           {"ours": Side("check_data.py", "commands:check_data")}, COMMAND, rounds=3, cold=True),
    Figure("build_look", "build_seg_data.py, processor time of a pair, with its look at masks and without",
           {"ours": Side("build_seg_data.py", "commands:build", {"side": "ours"}),
            "without": Side("decoding and comparing alone", "commands:build", {"side": "without"})}, COMMAND,
           (Target("ratio", "without", 1.03),), rounds=5, cold=True),
    train(2), train(2, cores=1), train(8, apart=True),
    Figure("train_start", "train.py from the command to the end of step 1, crop 129, batch 2",
           {"ours": Side("train.py", "commands:train_start")}, COMMAND, rounds=3, cold=True),
    Figure("scaling", "training by several workers, a core each, crop 97, batch 8: a picture",
           {"2": Side("2 workers", "commands:scaling", {"workers": 2}),
            "bound": Side("2 workers, each bound to a core", "commands:scaling", {"workers": 2, "bind": True}),
            "1": Side("1 worker", "commands:scaling", {"workers": 1})},
           "an epoch of 160 pictures a turn, its first steps left out", rounds=1, cold=True),
    *(growth(axis, title, values, work) for axis, (title, values, works) in GROWTH.items() for work in works),
    *cpp("s16"), *cpp("s8"),
    Figure("cpp_memory", "C++ over short and long lists",
           {str(count): Side(f"{count} pictures", "cpp:memory", {"stride": "s16", "images": count})
            for count in (600, 60)}, COMMAND, rounds=1, cold=True, beside=False),
)}
