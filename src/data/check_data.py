"""Look for mistakes in a data set before training does: lists of pairs or a MindRecord, training against validation."""
import json
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from src.claims import claim_folder
from src.config import parse_args
from src.console import InputError, RunError, counted, number_of, run_program, styled
from src.data.dataset_yaml import check_classes, facts_beside, labels_of
from src.data.findings import KINDS, Finding, judge, judge_all, judge_both, judge_names
from src.data.labels import Labels
from src.data.likeness import alike_pictures, same_pictures
from src.data.lists import escaped, read_list
from src.data.masks import decode_mask
from src.data.pictures import decode_image, limit_pixels
from src.data.record_header import facts_in_record
from src.data.summary import Summary, summary_of
from src.data.survey import Job, jobs_of, look_at
from src.data.workers import in_threads
from src.drawing.encoding import fit
from src.drawing.overlay import striped_overlay
from src.drawing.sheets import draw_sheet, save_sheet
from src.files import check_output, write_whole
from src.foreign import printable

OPTION = "--check_dir"
PER_FILE = {"value", "gray", "ignored"}    # already reported for each file
TILE = 240    # long side of a picture on the contact sheet, pixels
SHOWN = 3    # examples of a kind on the console; the JSON has all


def jobs_of_records(set_name: str, read, indices=None):
    """Yield a Job, with its bytes, for each (name, picture, mask) that `read` yields for `indices`."""
    for number, (name, data, label) in enumerate(read(indices=indices)):
        yield Job(set_name, number if indices is None else indices[number], name, f"mask of {name}", (data, label))


def read_sets(config) -> dict:
    """Name -> (source, number of pairs, function of indices, or None for all, that returns the jobs)."""
    from_list = [(name, path) for name, path in (("train", config.data_lst), ("val", config.eval_data_lst)) if path]
    sets = {}
    if config.data_file:
        # Imported here: lists need no MindSpore, and --help does not wait for it.
        from src.data.mindrecord import count_samples, read_records
        read = partial(read_records, config.data_file, ["file_name", "data", "label"])
        sets["train"] = (config.data_file, count_samples(config.data_file), partial(jobs_of_records, "train", read))
    for name, path in from_list:
        jobs = jobs_of(read_list(path, config.data_root), config.data_root, name)
        sets[name] = (path, len(jobs), lambda indices=None, jobs=jobs: jobs if indices is None else
                      [jobs[index] for index in indices])
    return sets


def read_known_labels(config) -> Labels:
    """Labels from the options and from the MindRecord or the dataset.yaml beside the lists."""
    if bool(config.data_lst) == bool(config.data_file):
        raise InputError("give one of --data_lst and --data_file: the list or MindRecord to check; "
                         "--eval_data_lst is the list to compare it with")
    facts, source = ((facts_in_record(config.data_file), config.data_file) if config.data_file else
                     facts_beside(config.data_lst, config.data_root))
    labels = labels_of(config, facts, source)
    if config.eval_data_lst:
        check_classes(config, config.eval_data_lst, labels.num_classes, facts.get("class_names", ()),
                      config.data_file or source)
    return labels


def look_at_all(sets: dict, labels: Labels, workers: int) -> list:
    """Looks of every pair, by `workers` threads."""
    look = partial(look_at, labels=labels, alike=True)
    looks = (one for _, _, jobs in sets.values() for one in in_threads(look, jobs(), workers))
    return list(counted(looks, "check", "pair", sum(count for _, count, _ in sets.values())))


def findings_of(looks: list, sets: dict, labels: Labels, pairs: dict, totals: dict) -> list:
    """Every Finding; its `item` is a file or a class. `pairs`: set -> the lines of its list; `totals`: its Summary."""
    found = [Finding(kind, one.job.set, one.job.image if kind == "picture" else one.job.mask, detail)
             for one in looks for kind, detail in one.problems]
    for group in same_pictures(looks):
        held = {one.job.set for one in group}
        kind = "leak" if len(held) > 1 else "repeat"
        found.append(Finding(kind, "+".join(sorted(held)), group[0].job.image, others(group)))
        if len({one.mask_key for one in group if one.mask_key}) > 1:
            found.append(Finding("contradiction", "+".join(sorted(held)), group[0].job.image, others(group)))
    for one, other, alike in alike_pictures(looks):
        kind = "near" if one.job.set == other.job.set else "near_leak"
        found.append(Finding(kind, "+".join(dict.fromkeys((one.job.set, other.job.set))), one.job.image,
                             f"and {other.job.set} {other.job.image}, correlation {alike:.3f}"))
    told = {kind for kind, *_ in found}
    for name, summary in totals.items():
        found += judge_names(name, sets[name][0], pairs.get(name, []))
        found += [one for one in judge(name, sets[name][0], summary, labels) if one.kind not in PER_FILE & told]
    if "val" in totals:
        found += [one for one in judge_both(totals["train"], totals["val"], labels, sets["val"][0])
                  if one.kind != "leak"]    # already reported for each picture
    found += judge_all("+".join(totals), sets["train"][0], list(totals.values()), labels)
    return sorted(found, key=lambda one: list(KINDS).index(one.kind))


def others(group: list) -> str:
    return "and " + ", ".join(f"{one.job.set} {one.job.image}" for one in group[1:])


def summarise(looks: list, summary: Summary, source, labels: Labels) -> dict:
    """Figures of one set, for the table and the JSON."""
    sizes = Counter(one.size for one in looks if one.size)
    total = int(summary.pixels.sum())
    shares = (summary.pixels / max(total, 1)).tolist()
    return {"source": str(source), "pairs": len(looks), "sizes": dict(sizes.most_common()),
            "readable": sum(one.size != "" and one.counts is not None for one in looks),
            "pixels": total, "ignored_share": shares[labels.ignore_label],
            "classes": [{"class": n, "name": name, "share": shares[n], "pixels": int(summary.pixels[n]),
                         "masks": int(summary.holding[n])} for n, name in enumerate(labels.names)]}


def format_sets(summaries: dict) -> str:
    """Two tables of at most 80 columns: the sets, and the share of pixels and the masks of each class."""
    def area(size):
        return int(np.prod(list(map(int, size.split("x")))))
    rows = [("", *summaries), *((title, *(format(summary) for summary in summaries.values())) for title, format in (
        ("pairs", lambda s: f"{s['pairs']:,}"), ("readable", lambda s: f"{s['readable']:,}"),
        ("most frequent size", lambda s: next(iter(s["sizes"]), "-")),
        ("smallest", lambda s: min(s["sizes"], key=area, default="-")),
        ("largest", lambda s: max(s["sizes"], key=area, default="-")),
        ("sizes", lambda s: f"{len(s['sizes']):,}"), ("mask pixels", lambda s: f"{s['pixels']:,}"),
        ("ignored", lambda s: f"{100 * s['ignored_share']:.2f} %")))]
    lines = ["".join([f"{row[0]:<20}", *(f"{cell:>18}" for cell in row[1:])]) for row in rows]
    lines += ["", "".join([f"{'class':<20}", *(f"{name + ' pixels':>18}{'masks':>9}" for name in summaries)])]
    for one in zip(*(summary["classes"] for summary in summaries.values())):
        name = f"{one[0]['class']} {one[0]['name']}"
        lines.append("".join([f"{name if len(name) < 20 else name[:16] + '...':<20}",
                              *(f"{100 * c['share']:16.3f} %{c['masks']:9,}" for c in one)]))
    return "\n".join(lines)


def format_findings(found: list) -> str:
    """Each kind of finding with its number, hint and first examples, errors first."""
    lines = []
    for kind, (severity, what, hint) in KINDS.items():
        some = [one for one in found if one[0] == kind]
        if some:
            lines += ["", f"{styled(severity, severity)}: {what}: {len(some)}", f"  ({hint})"]
            lines += [f"  {set_name} {item}: {detail}" for _, set_name, item, detail in some[:SHOWN]]
            lines += [f"  ... and {len(some) - SHOWN} more"] if len(some) > SHOWN else []
    return "\n".join(lines or ["", "no problems found"])


def choose(looks: list, most: int) -> list:
    """Looks for the sheet: those with problems first, then pictures spread evenly over all others."""
    whole = [one for one in looks if one.size and one.counts is not None]
    bad = [one for one in whole if one.problems][:most * 2 // 3]
    rest = [one for one in whole if not one.problems]
    picks = np.linspace(0, len(rest) - 1, min(most - len(bad), len(rest))).astype(int)
    return bad + [rest[pick] for pick in picks]


def write_sheet(path: Path, looks: list, sets: dict, labels: Labels, most: int) -> bool:
    """Draw the chosen pairs, masks over pictures. Returns False if there was nothing to draw."""
    tiles, captions = [], []
    for set_name, (_, _, jobs) in sets.items():
        chosen = {one.job.index: one for one in choose([one for one in looks if one.job.set == set_name],
                                                       most // len(sets))}
        for job in jobs(list(chosen)) if chosen else []:
            image = fit(decode_image(job.read(0), job.image), TILE)
            mask = cv2.resize(decode_mask(job.read(1), job.mask), image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
            tiles.append(striped_overlay(image, mask, labels.ignore_label))
            problems = chosen[job.index].problems
            captions.append((printable(f"{set_name} {escaped(Path(job.image).stem)}"),
                             printable(": ".join(problems[0]), 1000) if problems else ""))
    if tiles:
        save_sheet(draw_sheet(tiles, captions, labels.names, 6), path, OPTION)
    return bool(tiles)


def write_json(path: Path, summaries: dict, found: list) -> None:
    """Write all figures and all findings as JSON."""
    findings = [{"kind": kind, "severity": KINDS[kind][0], "set": set_name, "item": str(item), "detail": detail}
                for kind, set_name, item, detail in found]
    write_whole(path, json.dumps({"sets": summaries, "findings": findings}, indent=1, ensure_ascii=False).encode(
        "utf-8", "backslashreplace"), OPTION)


def check(config) -> None:
    """Check everything, print and write the findings. Raises RunError if something would break training."""
    start = time.perf_counter()
    limit_pixels(config.max_pixels)
    labels, sets = read_known_labels(config), read_sets(config)
    figures, sheet = (Path(config.check_dir, name) for name in ("check.json", "contact_sheet.png"))
    for path, kind in ((figures, "checked"), (sheet, "drawn")):
        check_output(path, OPTION, "" if config.overwrite else kind)
    claim_folder(config.check_dir, OPTION)
    looks = look_at_all(sets, labels, config.workers)
    pairs = {name: [(job.image, job.mask) for job in jobs()]
             for name, (source, _, jobs) in sets.items() if source != config.data_file}
    looks_of = {name: [one for one in looks if one.job.set == name] for name in sets}
    totals = {name: summary_of(own) for name, own in looks_of.items()}
    found = findings_of(looks, sets, labels, pairs, totals)
    summaries = {name: summarise(looks_of[name], totals[name], source, labels) for name, (source, _, _) in sets.items()}
    write_json(figures, summaries, found)
    drawn = write_sheet(sheet, looks, sets, labels, config.sheet_max)
    print(format_sets(summaries))
    print(format_findings(found))
    print(f"\n{number_of(len(looks), 'pair')} in {time.perf_counter() - start:.1f} s; written: {figures}"
          + (f", {sheet}" if drawn else ""), flush=True)
    errors = sum(KINDS[kind][0] == "error" for kind, *_ in found)
    if errors:
        raise RunError(f"{errors} of {len(found)} findings would break or spoil training; {figures} lists all")


def main(argv=None):
    check(parse_args("check_data", __doc__, argv))


if __name__ == "__main__":
    sys.exit(run_program(main))
