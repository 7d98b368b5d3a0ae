"""The whole path on drawn dogs: draw, prepare, train, sample, submit, check, and measure what was learned."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggan import plots, runs
from doggan.data.imageset import ImageSet
from doggan.data.prepare import prepare
from doggan.data.synthetic import draw_tree
from doggan.errors import DogganError
from doggan.metrics.callback import Scorer
from doggan.metrics.diversity import mean_pairwise_distance
from doggan.metrics.extractors import RandomExtractor
from doggan.recipes import load_recipe
from doggan.sampling import generate, sample_pictures
from doggan.submission import check_submission, write_submission

PHOTOGRAPHS = 800
HOLDOUT = 0.2
MEASURED = 1000  # samples the distances are measured on


@dataclass(frozen=True)
class Learned:
    """What the network learned, in figures.

    Attributes:
        kid: distance of its samples to held-out dogs (KID on a fixed random convolutional network).
        kid_untrained: the same for the generator before its first step.
        spread: mean pairwise distance of its samples over that of the held-out dogs; 0 is one picture over and over.
    """

    kid: float
    kid_untrained: float
    spread: float

    def __str__(self) -> str:
        return (
            f"distance to held-out dogs: {self.kid:.4f}, {self.kid / self.kid_untrained:.2f} of the untrained "
            f"generator's {self.kid_untrained:.4f} (KID, fixed random network)\n"
            f"variety: mean pairwise distance of the samples is {self.spread:.2f} of the held-out dogs'"
        )


@dataclass(frozen=True)
class DemoResult:
    """Where everything is, and how long it took."""

    photographs: Path
    data: Path
    crops: Path
    run: Path
    sheet: Path
    comparison: Path
    losses: Path
    scores: Path
    gif: Path
    submission: Path
    learned: Learned
    seconds: float

    def __str__(self) -> str:
        places = {
            "drawn photographs": self.photographs,
            "prepared crops": self.data,
            "sheet of crops": self.crops,
            "run folder": self.run,
            "sample sheet": self.sheet,
            "drawn | generated": self.comparison,
            "losses": self.losses,
            "distance by epoch": self.scores,
            "learning, as a GIF": self.gif,
            "submission": self.submission,
        }
        width = max(map(len, places))
        lines = [f"{name:<{width}}  {path}" for name, path in places.items()]
        return "\n".join([*lines, "", str(self.learned), f"done in {self.seconds:.0f} s"])


def demo(
    out: Path,
    *,
    seed: int = 0,
    recipe: str = "dogs-demo",
    overrides: tuple[str, ...] = (),
    photographs: int = PHOTOGRAPHS,
    count: int = 10_000,
    progress: bool = True,
) -> DemoResult:
    """Draw a synthetic Stanford-Dogs tree, prepare it, train a narrow DCGAN on it, and write a checked submission.

    Args:
        out: a folder that does not hold a demo yet.
        seed: decides the drawn dogs and the run.
        recipe, overrides: what to train, as in `load_recipe`.
        photographs: how many to draw.
        count: pictures in the submission.
        progress: say what is being done, with bars.

    Raises:
        DogganError: `out` already holds files.
        Interrupted: Ctrl-C or SIGTERM ended training; the run in `out`/run can be resumed.
    """
    started = time.monotonic()
    out = Path(out)
    if out.exists() and any(out.iterdir()):
        raise DogganError(f"{out} is not empty; remove it or choose another --out.")

    def say(text: str) -> None:
        if progress:
            print(f"[{time.monotonic() - started:4.0f} s] {text}", flush=True)

    say("drawing photographs of dogs")
    tree = out / "stanford-dogs"
    draw_tree(tree, photographs, seed=seed, progress=progress)
    say("preparing crops")
    data_path = out / "dogs64.npz"
    say(str(prepare(tree, data_path, holdout=HOLDOUT, progress=progress)))
    data = ImageSet.load(data_path)
    plots.labelled_sheet(out / "crops.png", data)

    say("training a narrow DCGAN")
    config = load_recipe(recipe, (*overrides, f"seed={seed}"))
    run = runs.start_run(out / "run", config, data, data_path)
    untrained = runs.build_generator(run.config, run.image_shape)
    before = sample_pictures(untrained, MEASURED, seed=seed + 1)
    outcome = runs.train(run, data, progress=progress)
    outcome.raise_if_interrupted()
    say(str(outcome))

    say("sampling and writing the submission")
    # Not the best checkpoint: it was chosen by the distance to the held-out dogs that is measured below.
    generator, *_ = runs.load_generator(run, "newest")
    samples = sample_pictures(generator, MEASURED, seed=seed + 1)  # not the z that the sheets show through training
    plots.save_png(out / "samples.png", plots.grid(samples[:64], scale=2))
    plots.save_png(out / "comparison.png", side_by_side(data.training().images, samples))
    zip_path = out / "images.zip"
    write_submission(generate(generator, count, seed=seed, progress=progress), zip_path, count)
    say(str(check_submission(zip_path, count)))

    learned = measure(before, samples, data.heldout().images)
    return DemoResult(
        photographs=tree,
        data=data_path,
        crops=out / "crops.png",
        run=run.folder,
        sheet=out / "samples.png",
        comparison=out / "comparison.png",
        losses=run.folder / "losses.png",
        scores=run.folder / "scores.png",
        gif=run.gif,
        submission=zip_path,
        learned=learned,
        seconds=time.monotonic() - started,
    )


def side_by_side(real: NDArray[np.uint8], samples: NDArray[np.uint8], n: int = 30) -> NDArray[np.uint8]:
    """Pictures of a data set, spread over it, on the left and generated ones on the right, uint8 [h, w, 3]."""
    spread = real[np.linspace(0, len(real) - 1, n).astype(int)]
    left, right = (plots.grid(pictures, columns=6, scale=2) for pictures in (spread, samples[:n]))
    return np.concatenate([left, np.full((len(left), 24, 3), 255, np.uint8), right], axis=1)


def measure(before: NDArray[np.uint8], after: NDArray[np.uint8], real: NDArray[np.uint8]) -> Learned:
    """Compare pictures of the untrained and the trained generator with real ones, all uint8 [N, H, W, C]."""
    scorer = Scorer(RandomExtractor(), real, ("kid",))
    kid, kid_untrained = (scorer(images)["random-kid"] for images in (after, before))
    return Learned(kid, kid_untrained, mean_pairwise_distance(after) / mean_pairwise_distance(real))
