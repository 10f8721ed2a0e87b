"""The figures of each picture as a CSV file, the worst picture first."""
import csv
import io

import numpy as np

from src.files import write_whole

OPTION = "--per_image_file"
HEAD = ("image", "mean_iou", "pixel_accuracy")    # and "IoU NAME" of each class; src.files knows our files by it
FORMULA = ("=", "+", "-", "@")    # what spreadsheets take for one, and run


class PerImage:
    """An observer of the evaluation that keeps four bytes for each figure of each picture.

    Attributes:
        rows: a list of (2 + num_classes,) float32, later one array: mean IoU over the classes of the picture, pixel
            accuracy, IoU of each class; NaN where there is nothing to score.
    """

    def __init__(self, labels):
        self.labels, self.rows = labels, []

    def __call__(self, sample, image, mask, class_map, own) -> None:
        self.rows.append(np.float32([own.mean_iou, own.pixel_accuracy, *own.iou]))

    def to_bytes(self) -> bytes:
        """All of it, to be sent to another device."""
        return np.array(self.rows, np.float32).tobytes()

    def merge(self, others: list) -> None:
        """Take the rows of all devices, to_bytes() of each, in the list's order: device r of n saw each n-th picture
        from the r-th on."""
        parts = [np.frombuffer(other, np.float32).reshape(-1, 2 + self.labels.num_classes) for other in others]
        self.rows = np.empty((sum(map(len, parts)), 2 + self.labels.num_classes), np.float32)
        for rank, part in enumerate(parts):
            self.rows[rank::len(parts)] = part

    def write(self, path, pairs: list, kind: str = "") -> None:
        """Write the table: a row for each picture, sorted by its mean IoU, pictures without a scored pixel last; cells
        without a figure are empty.

        Args:
            pairs: the list that was evaluated, in its order.
            kind: what may be replaced, as src.files.check_output takes it.

        Raises RunError if it cannot be written.
        """
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow([*HEAD, *(f"IoU {name}" for name in self.labels.names)])
        for number in np.argsort(np.array(self.rows)[:, 0], kind="stable").tolist():    # NaN last
            figures = ["" if np.isnan(figure) else f"{figure:.6f}" for figure in self.rows[number]]
            image = pairs[number].image
            writer.writerow([f"./{image}" if image.startswith(FORMULA) else image, *figures])    # the same file
        write_whole(path, text.getvalue().encode("utf-8", "backslashreplace"), OPTION, kind)
