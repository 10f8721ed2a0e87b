"""Warnings and errors about training and validation data before the first step."""
import numpy as np

from src.console import InputError
from src.data.findings import judge, judge_both, tell
from src.data.labels import Labels, count_values
from src.data.masks import decode_mask
from src.data.mindrecord import count_samples, read_records
from src.data.record_header import summary_in_record
from src.data.summary import Summary
from src.data.survey import is_blended, survey_list

SAMPLE = 256    # masks that are checked if the MindRecord has no Summary


def check_data(config, labels: Labels, pairs: list) -> None:
    """Report problems: of the training data from its MindRecord's Summary, of validation data by checking every pair.

    Raises InputError for a validation pair that would stop the evaluation, and for findings that would spoil the run,
    unless --ignore_findings is given.
    """
    train = summary_in_record(config.data_file)
    whole = train is not None
    if not whole:
        train = summary_of_sample(config.data_file)
    found = judge(str(config.data_file), str(config.data_file), train, labels, whole)
    if pairs:
        val, more = survey_list(pairs, config.data_root, config.eval_data_lst, labels, config.workers)
        found += more + (judge_both(train, val, labels, str(config.eval_data_lst)) if whole else [])
    tell(found, config.ignore_findings)


def summary_of_sample(data_file) -> Summary:
    """Summary of SAMPLE masks spread over a MindRecord; damaged ones are skipped, since training reports them."""
    total, summary = count_samples(data_file), Summary()
    indices = np.unique(np.linspace(0, total - 1, min(total, SAMPLE)).astype(int)).tolist()
    for label, name in read_records(data_file, ["label", "file_name"], indices):
        try:
            mask = decode_mask(label, name)
        except InputError:
            continue
        counts = count_values(mask)
        summary.add(counts, is_blended(mask, counts))
    return summary
