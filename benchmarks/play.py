"""Milliseconds from a move of a slider to the picture, with its nearest training picture and D's opinion.

    python benchmarks/play.py [--data dogs64.npz] [--recipes dogs-dcgan dogs-best] [--moves 60] [--browser]

The networks have their full width and are not trained. The training pictures are as many as the Stanford Dogs have
crops: those of the image set, mirrored and repeated, or drawn patches. Each time is one call of what the page calls,
for one picture; "in the browser" is from the slider's event to another picture in the page, which Chromium shows.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from doggan.startup import load_keras

CROPS = 20_580
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")

WATCH = """async (moves) => {
  const slider = document.querySelectorAll("#right input[type=range]")[1], times = [];
  const shown = () => document.querySelector(".stage .made img").src;
  for (let i = 0; i < moves; i++) {
    const before = shown(), start = performance.now();
    slider.value = String(-4 + 8 * (i + 0.5) / moves);
    slider.dispatchEvent(new Event("input", {bubbles: true}));
    while (shown() === before && performance.now() - start < 5000) await new Promise(done => setTimeout(done, 1));
    times.push(performance.now() - start);
    await new Promise(done => setTimeout(done, 60));
  }
  return times;
}"""


def pictures(data: Path | None) -> Any:
    """An image set of 20,580 pictures 64×64 with 120 classes."""
    from doggan.data.imageset import ImageSet

    rng = np.random.default_rng(0)
    if data is None:
        images = rng.integers(0, 256, (CROPS, 8, 8, 3), np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    else:
        some = ImageSet.load(data).images
        images = np.resize(np.concatenate([some, some[:, :, ::-1]]), (CROPS, *some.shape[1:]))
    return ImageSet(
        images=images,
        labels=(np.arange(CROPS) % 120).astype(np.int32),
        class_names=tuple(f"breed_{i}" for i in range(120)),
        source_ids=np.arange(CROPS).astype(np.str_),
        boxes=np.zeros((CROPS, 4), np.int32),
        split=np.zeros(CROPS, np.uint8),
    )


def times(call: Callable[[int], object], moves: int) -> list[float]:
    """Milliseconds of each call, which is told its number."""
    found = []
    for i in range(moves):
        start = time.perf_counter()
        call(i)
        found.append(1000 * (time.perf_counter() - start))
    return found


def described(found: list[float]) -> str:
    return f"{statistics.median(found):.0f} ms (95% below {np.percentile(found, 95):.0f})"


def in_the_browser(studio: Any, moves: int) -> list[float]:
    import shutil

    from playwright.sync_api import sync_playwright

    from doggan.play.page import build_page
    from doggan.play.server import serve

    page = build_page(studio)
    address = serve(page)
    path = next(filter(None, map(shutil.which, CHROMIUM)))
    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        view = browser.new_page()
        view.goto(address)
        view.wait_for_selector(".stage .made img")
        found: list[float] = view.evaluate(WATCH, moves)
        browser.close()
    page.close(verbose=False)
    return found


def measure(folder: Path, recipe: str, images: Any, moves: int, browser: bool) -> None:
    from doggan.play.drawing import dog_stage
    from doggan.play.studio import Dog, Studio
    from doggan.recipes import load_recipe
    from doggan.runs import start_run
    from doggan.runs.build import build_gan

    config = load_recipe(recipe, ('data.crop="any"',))
    run = start_run(folder / recipe, config, images, folder / "dogs.npz")
    run.checkpoints.save(build_gan(config, run.image_shape, 2, classes=run.classes))
    start = time.perf_counter()
    studio = Studio(run)
    print(f"{recipe}: ready after {time.perf_counter() - start:.0f} s, nothing kept from before")

    def dog(i: int) -> Dog:
        return Dog(i // 20, moves=(0.0, 8 * (i + 0.5) / moves - 4))

    views = [studio.view(dog(i)) for i in range(moves)]
    parts: dict[str, Callable[[int], object]] = {
        "generator": lambda i: studio.picture(studio.z(dog(i)), views[i].label),
        "discriminator": lambda i: studio.opinion(views[i].picture, views[i].label),
        "nearest": lambda i: studio.nearest(views[i].picture),
        "all, with its HTML": lambda i: dog_stage(studio, dog(i)),
    }
    for name, call in parts.items():
        print(f"  {name}: {described(times(call, moves))}", flush=True)
    if browser:
        print(f"  in the browser: {described(in_the_browser(studio, moves))}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="an .npz of pictures 64×64; drawn patches without it")
    parser.add_argument("--recipes", nargs="+", default=["dogs-dcgan", "dogs-best"])
    parser.add_argument("--moves", type=int, default=60)
    parser.add_argument("--browser", action="store_true", help="measure in Chromium too, by Playwright")
    arguments = parser.parse_args()
    load_keras()
    with tempfile.TemporaryDirectory() as folder:
        images = pictures(arguments.data)
        images.save(Path(folder) / "dogs.npz")
        for recipe in arguments.recipes:
            measure(Path(folder), recipe, images, arguments.moves, arguments.browser)


if __name__ == "__main__":
    main()
