"""`doggan prepare` against a plain loop that reads, converts, crops and resizes the photographs one by one.

    python benchmarks/prepare.py [--data ../shared/data] [--copies 4] [--repeats 5] [--size 64]

unpacks the 450 real photographs and their annotations into a temporary folder (each photograph `--copies`
times under its own id, so that a run takes seconds), lets the contestants take turns, and prints the median
times, their ratios, and how far the pictures differ. Each contestant starts from the folder and ends with an
array written as `.npz`.
"""

import argparse
import os
import statistics
import tarfile
import tempfile
import time
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

import cv2
import numpy as np

from doggan.data.prepare import prepare


def unpack(data: Path, folder: Path, copies: int) -> None:
    """Kaggle's layout with `copies` of each photograph, and the annotations of these only."""
    photographs, annotations = folder / "all-dogs" / "all-dogs", folder / "annotation" / "Annotation"
    photographs.mkdir(parents=True)
    with zipfile.ZipFile(data / "stanford-dogs" / "all-dogs-450.zip") as archive:
        for name in archive.namelist():
            if name.endswith(".jpg"):
                for copy in range(copies):
                    (photographs / f"{Path(name).stem}_{copy}.jpg").write_bytes(archive.read(name))
    ids = {path.stem.rpartition("_")[0] for path in photographs.iterdir()}
    with tarfile.open(data / "stanford-dogs" / "annotation.tar.xz") as archive:
        for member in archive:
            path = Path(member.name)
            if member.isfile() and path.name in ids:
                (annotations / path.parent.name).mkdir(parents=True, exist_ok=True)
                for copy in range(copies):
                    target = annotations / path.parent.name / f"{path.name}_{copy}"
                    target.write_bytes(archive.extractfile(member).read())


def plain_loop(folder: Path, out: Path, size: int) -> None:
    """What one writes first, with the rule of `crops.square` written out."""
    pictures = []
    annotations = sorted((folder / "annotation" / "Annotation").glob("*/*"), key=lambda path: path.name)
    for path in annotations:
        image = cv2.imread(str(folder / "all-dogs" / "all-dogs" / f"{path.name}.jpg"))
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        height, width = image.shape[:2]
        for element in ElementTree.parse(path).getroot().findall("object"):
            box = element.find("bndbox")
            xmin, ymin, xmax, ymax = (int(box.find(tag).text) for tag in ("xmin", "ymin", "xmax", "ymax"))
            xmin, ymin, xmax, ymax = max(xmin, 0), max(ymin, 0), min(xmax, width), min(ymax, height)
            side = min(max(xmax - xmin, ymax - ymin) + 8, width, height)
            left = min(max((xmin + xmax - side) // 2, 0), width - side)
            top = min(max((ymin + ymax - side) // 2, 0), height - side)
            crop = image[top : top + side, left : left + side]
            method = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
            pictures.append(cv2.resize(crop, (size, size), interpolation=method))
    np.savez(out, images=np.stack(pictures))


def main() -> None:
    parser = argparse.ArgumentParser(description="doggan prepare against a plain loop")
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--copies", type=int, default=4, help="of each photograph")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--size", type=int, default=64)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        folder, out = Path(temporary), Path(temporary) / "dogs.npz"
        unpack(arguments.data, folder, arguments.copies)

        size = arguments.size
        contestants = {
            "plain loop": lambda: plain_loop(folder, out, size),
            "prepare": lambda: prepare(folder, out, size=size, progress=False),
            "prepare --fast-decode": lambda: prepare(folder, out, size=size, fast_decode=True, progress=False),
        }
        pictures = {}
        for name, run in contestants.items():  # warms the file cache, too
            run()
            with np.load(out) as file:
                pictures[name] = file["images"]
        times: dict[str, list[float]] = {name: [] for name in contestants}
        work: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(arguments.repeats):
            for name, run in contestants.items():
                started, worked = time.perf_counter(), time.process_time()
                run()
                times[name].append(time.perf_counter() - started)
                work[name].append(time.process_time() - worked)

    plain = pictures["plain loop"].astype(np.int16)
    base = statistics.median(times["plain loop"])
    print(
        f"{len(plain)} crops of {450 * arguments.copies} photographs, OpenCV {cv2.__version__}, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, medians of {arguments.repeats} in turn"
    )
    for name, seconds in times.items():
        median = statistics.median(seconds)
        difference = np.abs(pictures[name] - plain).mean()
        print(
            f"{name:22} {median:6.2f} s (best {min(seconds):.2f}, "
            f"cores' time {statistics.median(work[name]):.2f} s)  "
            f"{450 * arguments.copies / median:6.0f} photographs/s  {base / median:5.2f}×  "
            f"mean difference {difference:.2f} grey levels"
        )


if __name__ == "__main__":
    main()
