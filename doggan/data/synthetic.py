"""A synthetic Stanford-Dogs tree: photographs of drawn dogs with XML boxes, in either published layout.

For demonstrations and tests that may not download anything. Ten invented breeds (`synthetic_breeds.BREEDS`),
one to three dogs a photograph, everything a function of (seed, index of the photograph).
"""

import os
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from doggan.data.annotations import BoundingBox
from doggan.data.synthetic_breeds import BREEDS, Breed, Pose
from doggan.data.synthetic_dogs import draw_dog
from doggan.data.synthetic_scenes import SCENES, draw_scene
from doggan.errors import DogganError

Layout = Literal["stanford", "kaggle"]

# Where each layout keeps its photographs and its annotations.
_FOLDERS = {"stanford": ("Images", "Annotation"), "kaggle": ("all-dogs/all-dogs", "annotation/Annotation")}
_JPEG_QUALITY = 92
_MARGIN = 4  # pixels that the square crop adds around a box
_DOGS = (0.72, 0.20, 0.08)  # probabilities of one, two and three dogs in a photograph
_POSES = {"portrait": 0.68, "sit": 0.24, "stand": 0.08}
_COLLARS = ((200, 44, 52), (40, 98, 190), (36, 146, 96), (232, 152, 34), (140, 62, 160))
_CONTRAST = 60.0  # least distance in RGB between a dog and what is behind it, where a scene offers that


@dataclass(frozen=True)
class SyntheticTree:
    """What `draw_tree` wrote.

    Attributes:
        root: the folder handed in as `dest`.
        images: the folder that holds the photographs (Stanford: one folder per breed in it).
        annotations: the folder that holds one folder of XML files per breed.
        photographs: how many photographs.
        dogs: how many boxes.
        breeds: folder name of each breed with its number of dogs.
    """

    root: Path
    images: Path
    annotations: Path
    photographs: int
    dogs: int
    breeds: dict[str, int]


def draw_photograph(seed: int, index: int, breed: Breed) -> tuple[NDArray[np.uint8], list[BoundingBox]]:
    """Draw one photograph: one to three dogs of `breed` before a scene.

    The result is a function of the arguments alone.

    Returns:
        uint8 [H, W, 3], RGB, sides of 200 to 400 pixels; and the dogs' boxes from left to right, inside the
        photograph. A box is the smallest that holds every pixel which the dog covers by at least half; as all
        over this package it counts from 0 and ends before column xmax and row ymax.
    """
    rng = np.random.default_rng([seed, index])
    n = 1 + int(rng.choice(3, p=_DOGS))
    width, height = _photo_size(n, rng)
    kind = str(rng.choice(list(_POSES), p=list(_POSES.values())))
    if n == 3 and kind == "stand":
        kind = "sit"  # three standing dogs side by side would be too small
    light = _unit(rng.uniform(-0.75, 0.75), -0.8)
    photo = _contrasting_scene(breed, width, height, rng)
    boxes = []
    share = width // n  # each dog has a column of its own
    for left in range(0, n * share, share):
        # A square cut around the dog with a margin shows all of it and nothing of the next one.
        side = round(rng.uniform(0.84, 1.0) * (min(height, share) - 2 * _MARGIN))
        colour, cover = draw_dog(breed, _posed(kind, breed, light, rng), (side, side), rng)
        h, w = cover.shape
        play = share - max(w, h) - 2 * _MARGIN
        x = left + round((share - w) / 2 + rng.uniform(-0.5, 0.5) * play)
        if kind == "portrait":
            floor = height
        else:
            floor = height - 1 - round(rng.uniform(0, 0.5) * min(height - h - 1, 40))
            _ground_shadow(photo, x, floor, w, h)
        window = photo[floor - h : floor, x : x + w]
        window += cover[..., None] * (colour - window)
        boxes.append(BoundingBox(x, floor - h, x + w, floor))
    return _developed(photo, rng), boxes


def _unit(x: float, y: float) -> tuple[float, float]:
    length = float(np.hypot(x, y))
    return x / length, y / length


def _photo_size(n: int, rng: np.random.Generator) -> tuple[int, int]:
    """Width and height in pixels: landscape, portrait or square for one dog, landscape for several."""
    if n > 1:
        width = int(rng.integers(360, 401))
        return width, max(200, int(rng.uniform(1.0, 1.25) * width / n))
    long, short = int(rng.integers(300, 401)), int(rng.integers(220, 301))
    shapes = ((long, short), (short, long), (short, short))
    return shapes[rng.choice(3, p=(0.45, 0.3, 0.25))]


def _posed(kind: str, breed: Breed, light: tuple[float, float], rng: np.random.Generator) -> Pose:
    return Pose(
        kind=kind,
        tilt=float(np.clip(rng.normal(0, 0.10), -0.25, 0.25)),
        turn=float(np.clip(rng.normal(0, 0.45), -1, 1)),
        nod=float(rng.uniform(-1, 1)),
        mirror=bool(rng.random() < 0.5),
        tongue=bool(rng.random() < breed.tongue),
        collar=_COLLARS[rng.integers(len(_COLLARS))] if rng.random() < 0.3 else None,
        light=light,
    )


def _contrasting_scene(breed: Breed, width: int, height: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A scene in front of which the coat stands out: the first of four that does, else the best of them."""
    tried: list[tuple[float, NDArray[np.float32]]] = []
    while len(tried) < 4 and (not tried or tried[-1][0] < _CONTRAST):
        scene = draw_scene(str(rng.choice(list(SCENES))), width, height, rng)
        centre = scene[height // 4 :, width // 5 : -width // 5].mean((0, 1))
        tried.append((float(np.linalg.norm(centre - np.array(breed.coat, np.float32))), scene))
    return max(tried, key=lambda candidate: candidate[0])[1]


def _ground_shadow(photo: NDArray[np.float32], x: int, floor: int, w: int, h: int) -> None:
    """Darken the ground under a dog that stands on row `floor`, in place."""
    shade = np.zeros(photo.shape[:2], np.float32)
    cv2.ellipse(shade, (x + w // 2, floor - h // 30), (round(0.48 * w), max(2, h // 16)), 0, 0, 360, 0.4, -1)
    side = 2 * (h // 20) + 1
    photo *= 1 - cv2.blur(shade, (side, side))[..., None]


def _developed(photo: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The light's brightness and warmth, and the sensor's noise: float32 0 to 255 → uint8."""
    warmth = rng.normal(0, 0.03)
    gain = rng.uniform(0.92, 1.08) * np.array([1 + warmth, 1.0, 1 - warmth], np.float32)
    noise = rng.standard_normal(photo.shape[:2], np.float32)[..., None] * np.float32(rng.uniform(1, 3))
    return np.clip(np.rint(photo * gain + noise), 0, 255).astype(np.uint8)


def photograph_id(index: int) -> str:
    """The published form of a name, `<synset>_<number>`: the id of photograph `index` of a tree."""
    return f"{breed_of(index).synset}_{index}"


def breed_of(index: int) -> Breed:
    """The breed of photograph `index` of a tree: the breeds take turns."""
    return BREEDS[index % len(BREEDS)]


def annotation_xml(breed: Breed, photograph: str, width: int, height: int, boxes: list[BoundingBox]) -> str:
    """The XML of one photograph, tag by tag as Stanford publishes it (tabs, no declaration, no extension)."""
    objects = "".join(
        f"\t<object>\n\t\t<name>{escape(breed.name)}</name>\n\t\t<pose>Unspecified</pose>\n"
        "\t\t<truncated>0</truncated>\n\t\t<difficult>0</difficult>\n"
        f"\t\t<bndbox>\n\t\t\t<xmin>{box.xmin}</xmin>\n\t\t\t<ymin>{box.ymin}</ymin>\n"
        f"\t\t\t<xmax>{box.xmax}</xmax>\n\t\t\t<ymax>{box.ymax}</ymax>\n\t\t</bndbox>\n\t</object>\n"
        for box in boxes
    )
    return (
        f"<annotation>\n\t<folder>{breed.synset[1:]}</folder>\n\t<filename>{photograph}</filename>\n"
        "\t<source>\n\t\t<database>doggan synthetic</database>\n\t</source>\n"
        f"\t<size>\n\t\t<width>{width}</width>\n\t\t<height>{height}</height>\n\t\t<depth>3</depth>\n"
        f"\t</size>\n\t<segment>0</segment>\n{objects}</annotation>"
    )


def draw_tree(
    dest: str | os.PathLike[str],
    photographs: int = 600,
    *,
    seed: int = 0,
    layout: Layout = "stanford",
    progress: bool = True,
    workers: int | None = None,
) -> SyntheticTree:
    """Draw a tree of photographs and annotations under `dest`.

    Photograph `i` of a seed is the same in every tree, however long, in either layout, with any number
    of workers.

    Args:
        dest: a folder that is empty or does not exist yet.
        photographs: how many; the ten breeds take turns.
        seed: of everything random.
        layout: "stanford" (`Images/<breed>/<id>.jpg`, `Annotation/<breed>/<id>`) or "kaggle"
            (`all-dogs/all-dogs/<id>.jpg`, `annotation/Annotation/<breed>/<id>`).
        progress: show a progress bar.
        workers: threads; by default one per core.

    Raises:
        DogganError: `dest` is not an empty folder, or an argument is out of range.
    """
    if photographs < 1:
        raise DogganError(f"photographs is {photographs}; ask for at least one.")
    if layout not in ("stanford", "kaggle"):
        raise DogganError(f'layout is "{layout}"; choose "stanford" or "kaggle".')
    if seed < 0:
        raise DogganError(f"seed is {seed}; choose 0 or more.")
    root = Path(dest)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise DogganError(f"{root} is not an empty folder; name one that is empty or does not exist yet.")
    root.mkdir(parents=True, exist_ok=True)
    images, annotations = _FOLDERS[layout]
    dogs: Counter[str] = Counter()
    # Drawn in a folder beside its place and moved at the end, so that a tree is whole wherever it is found.
    with tempfile.TemporaryDirectory(prefix=".drawing-", dir=root) as unfinished:
        write = _Writer(Path(unfinished), layout, seed)
        with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
            written = pool.map(write, range(photographs))
            for index, n in enumerate(tqdm(written, "drawing dogs", photographs, unit="photo", disable=not progress)):
                dogs[breed_of(index).folder] += n
        for folder in Path(unfinished).iterdir():
            folder.rename(root / folder.name)
    return SyntheticTree(root, root / images, root / annotations, photographs, dogs.total(), dict(sorted(dogs.items())))


@dataclass(frozen=True)
class _Writer:
    """Draws photograph `index` and writes its two files; returns its number of dogs."""

    root: Path
    layout: Layout
    seed: int

    def __call__(self, index: int) -> int:
        breed, name = breed_of(index), photograph_id(index)
        photo, boxes = draw_photograph(self.seed, index, breed)
        images, annotations = (self.root / folder for folder in _FOLDERS[self.layout])
        pictures, boxings = (
            images / breed.folder if self.layout == "stanford" else images,
            annotations / breed.folder,
        )
        for folder in (pictures, boxings):
            folder.mkdir(parents=True, exist_ok=True)
        _, jpeg = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        (pictures / f"{name}.jpg").write_bytes(jpeg.tobytes())
        height, width = photo.shape[:2]
        xml = annotation_xml(breed, name, width, height, boxes)
        (boxings / name).write_text(xml, encoding="utf-8")
        return len(boxes)
