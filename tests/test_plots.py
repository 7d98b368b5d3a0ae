"""Pictures: geometry by hand, the same file every time, no pyplot; the GIF as Pillow reads it."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from doggan import plots
from doggan.data.imageset import ImageSet
from doggan.errors import DogganError


def image_set(labels, class_names, shape=(16, 16, 3), heldout=()):
    """An ImageSet of noise."""
    n = len(labels)
    split = np.zeros(n, np.uint8)
    split[list(heldout)] = 1
    return ImageSet(
        images=np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8),
        labels=np.asarray(labels, np.int32),
        class_names=tuple(class_names),
        source_ids=np.array([f"n{i}" for i in range(n)]),
        boxes=np.zeros((n, 4), np.int32),
        split=split,
    )


def without_labels(images):
    return ImageSet(images.images, None, (), images.source_ids, images.boxes, images.split)


def read(path):
    """A PNG as uint8 [H, W, 3], by Pillow."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def has_colour(picture, colour):
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return (np.abs(picture.astype(int) - rgb).max(axis=-1) <= 2).sum()


def test_grid_by_hand():
    one, two, three = (np.full((2, 3, 3), level, np.uint8) for level in (10, 20, 30))
    sheet = plots.grid(np.stack([one, two, three]), columns=2, gap=1)
    expected = np.full((2 * 2 + 1, 2 * 3 + 1, 3), 255, np.uint8)
    expected[0:2, 0:3], expected[0:2, 4:7], expected[3:5, 0:3] = 10, 20, 30
    np.testing.assert_array_equal(sheet, expected)


def test_grid_scales_by_whole_pixels():
    image = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)  # 1×2
    np.testing.assert_array_equal(plots.grid(image[None], scale=2), [[[1, 2, 3], [1, 2, 3], [4, 5, 6], [4, 5, 6]]] * 2)


@pytest.mark.parametrize(("n", "shape"), [(1, (8, 8)), (4, (18, 18)), (5, (18, 28)), (9, (28, 28)), (10, (28, 38))])
def test_grid_is_square_by_default(n, shape):
    assert plots.grid(np.zeros((n, 8, 8, 3), np.uint8)).shape == (*shape, 3)


def test_grid_of_grey_pictures_is_rgb():
    grey = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(plots.grid(grey), np.concatenate([grey[0]] * 3, axis=-1))


@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (2, 8, 8, 4)])
def test_grid_refuses(shape):
    with pytest.raises(ValueError, match="pictures with 1 or 3 channels"):
        plots.grid(np.zeros(shape, np.uint8))


def test_save_png(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    plots.save_png(tmp_path / "new" / "a.png", picture)
    np.testing.assert_array_equal(read(tmp_path / "new" / "a.png"), picture)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("n02085620-Chihuahua", "Chihuahua"),
        ("n02098105-soft-coated_wheaten_terrier", "Soft-coated wheaten terrier"),
        ("pointed-ears", "Pointed-ears"),
        ("", ""),
    ],
)
def test_display_name(name, shown):
    assert plots.display_name(name) == shown


def test_balanced_choice():
    labels = np.repeat(np.arange(4), (50, 1, 3, 20)).astype(np.int32)
    labels = np.random.default_rng(0).permutation(labels)
    chosen = plots.balanced_choice(labels, 16, seed=0)
    assert len(set(chosen)) == 16
    assert list(labels[chosen]) == sorted(labels[chosen])
    # 16 from (50, 1, 3, 20): all of the rare ones, and 12 shared equally by the others.
    np.testing.assert_array_equal(np.bincount(labels[chosen]), [6, 1, 3, 6])
    np.testing.assert_array_equal(plots.balanced_choice(labels, 16, seed=0), chosen)
    assert list(plots.balanced_choice(labels, 16, seed=1)) != list(chosen)
    assert sorted(plots.balanced_choice(labels, 1000, seed=0)) == list(range(len(labels)))


def test_balanced_choice_of_fewer_than_the_classes_varies_with_the_seed():
    labels = np.arange(10, dtype=np.int32)
    assert len(set(plots.balanced_choice(labels, 4, seed=0))) == 4
    assert {i for seed in range(30) for i in plots.balanced_choice(labels, 4, seed)} == set(range(10))


def test_labelled_sheet_shows_the_pictures_enlarged(tmp_path):
    images = image_set([1, 0, 1, 0], ["n02085620-Chihuahua", "a_very_long_name " * 5])
    plots.labelled_sheet(tmp_path / "sheet.png", images, n=4)
    sheet = read(tmp_path / "sheet.png")
    # Sorted by class: pictures 1 and 3 in the first row, eight times enlarged, 14 pixels apart.
    expected = plots.grid(images.images[[1, 3]], columns=2, gap=14, scale=8)
    np.testing.assert_array_equal(sheet[64 : 64 + 128, 24 : 24 + 270][:, :128], expected[:, :128])
    np.testing.assert_array_equal(sheet[64 : 64 + 128, 24 : 24 + 270][:, 142:], expected[:, 142:])
    assert (sheet[64 + 132 : 64 + 150, 24:152] < 128).any(), "no name under the picture"


def test_sheet_without_labels_has_no_text_below(tmp_path):
    images = without_labels(image_set([0] * 9, ["a"], shape=(28, 28, 1)))
    plots.labelled_sheet(tmp_path / "sheet.png", images, n=1)
    sheet = read(tmp_path / "sheet.png")
    assert sheet.shape == (64 + 140 + 14 + 24, 400, 3)
    assert (sheet[64 + 140 :] == 255).all()
    with pytest.raises(DogganError, match="no pictures to draw"):
        plots.labelled_sheet(tmp_path / "empty.png", images.select(slice(0, 0)))


def test_histogram_marks_the_heldout_part(tmp_path):
    labels = np.repeat(np.arange(8), 10)
    plain, marked = tmp_path / "plain.png", tmp_path / "marked.png"
    plots.class_histogram(plain, image_set(labels, "abcdefgh"))
    plots.class_histogram(marked, image_set(labels, "abcdefgh", heldout=range(0, 80, 5)))
    assert has_colour(read(plain), "#D55E00") == 0
    training, heldout = (has_colour(read(marked), colour) for colour in ("#0072B2", "#D55E00"))
    assert heldout / (training + heldout) == pytest.approx(0.2, abs=0.03)  # 16 of 80, by area


def test_histogram_of_many_classes_is_laid_out_in_panels(tmp_path):
    path = tmp_path / "breeds.png"
    plots.class_histogram(path, image_set(np.arange(120), [f"breed_{i}" for i in range(120)]))
    height, width = read(path).shape[:2]
    assert width / height == pytest.approx(1.3, abs=0.1)


def test_histogram_needs_labels(tmp_path):
    with pytest.raises(DogganError, match="has no labels"):
        plots.class_histogram(tmp_path / "a.png", without_labels(image_set([0], ["a"])))


def rows(n):
    """n epochs after a first row that has no losses yet."""
    first = {"epoch": 0, "step": 0, "g_loss": None, "d_loss": float("nan"), "g_lr": 2e-4, "d_lr": 2e-4}
    names = ("g_loss", "g_loss_std", "d_loss", "d_loss_std", "d_real", "d_fake", "g_lr", "d_lr")
    return [first] + [{"epoch": i, **{name: 1 / (i + k + 1) for k, name in enumerate(names)}} for i in range(1, n)]


@pytest.mark.parametrize("n", [1, 2, 4, 100])
def test_all_losses(tmp_path, n):
    plots.all_losses(tmp_path / "losses.png", rows(n))
    picture = read(tmp_path / "losses.png")
    assert picture.shape == (900, 1350, 3)
    top = picture[80:500]  # between the legend and the panels below
    assert bool(has_colour(top, "#0072B2")) == bool(has_colour(top, "#D55E00")) == (n > 1)


def test_all_losses_before_the_first_epoch(tmp_path):
    plots.all_losses(tmp_path / "losses.png", [])
    assert read(tmp_path / "losses.png").shape == (900, 1350, 3)


@pytest.mark.parametrize("values", [[0.5], [0.7, float("nan"), 0.4], [1.0, float("inf")], np.linspace(1, 2, 200)])
def test_epoch_losses(tmp_path, values):
    means = np.mean(values), np.mean(values)
    plots.epoch_losses(tmp_path / "epoch.png", np.arange(1, len(values) + 1), values, values, means, epoch=3)
    picture = read(tmp_path / "epoch.png")
    assert picture.shape == (540, 1200, 3)
    assert has_colour(picture[80:], "#D55E00")


@pytest.mark.parametrize(
    ("iteration", "title"),
    [([1, 2, 3], "Epoch 3: loss by iteration"), ([4, 8, 12], "Epoch 3: loss by iteration, one iteration in 4")],
)
def test_epoch_losses_have_the_means_of_all_steps_also_of_those_not_drawn(tmp_path, monkeypatch, iteration, title):
    figures = []
    monkeypatch.setattr("doggan.plots.losses.save", lambda figure, path: figures.append(figure))
    plots.epoch_losses(tmp_path / "epoch.png", iteration, [1, 2, 3], [4, 5, 6], means=(1.25, 7.5), epoch=3)
    axes = figures[0].axes[0]
    assert title in {axes.get_title(), axes.get_title(loc="left")}
    assert axes.get_legend_handles_labels()[1] == ["generator, mean 1.250", "discriminator, mean 7.500"]
    drawn, dashed = axes.get_lines()[::2], axes.get_lines()[1::2]
    assert [list(line.get_ydata()) for line in drawn] == [[1, 2, 3], [4, 5, 6]]
    assert [set(line.get_ydata()) for line in dashed] == [{1.25}, {7.5}]


def test_verdicts_are_shares_of_each_epoch_with_their_means(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr("doggan.plots.verdicts.save", lambda figure, path: figures.append(figure))
    real, fake = [[0, 0, 0, 8], [0, 3, 3, 0], [1, 0, 0, 0]], [[4, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 9]]
    plots.all_verdicts(tmp_path / "verdicts.png", [2, 3, 5], real, fake)
    top, bottom = figures[0].axes[:2]
    shares = np.asarray(top.get_images()[0].get_array().filled(np.nan))  # [bins, epochs], the lowest bin first
    np.testing.assert_array_equal(shares.T, [[0, 0, 0, 1], [0, 0.5, 0.5, 0], [np.nan] * 4, [1, 0, 0, 0]])
    for axes, means in ((top, [0.875, 0.5, np.nan, 0.125]), (bottom, [0.125, 0.5, np.nan, 0.875])):
        np.testing.assert_allclose(axes.get_lines()[0].get_ydata(), means)
        assert list(axes.get_lines()[0].get_xdata()) == [2, 3, 4, 5]
        assert axes.get_images()[0].get_extent() == [1.5, 5.5, 0, 1]
        assert axes.get_images()[0].norm.vmax == 1


@pytest.mark.parametrize("n", [0, 1, 100])
def test_verdicts_of_any_number_of_epochs(tmp_path, n):
    counts = np.arange(20 * n).reshape(n, 20)
    plots.all_verdicts(tmp_path / "verdicts.png", range(1, n + 1), counts, counts)
    picture = read(tmp_path / "verdicts.png")
    assert picture.shape == (720, 1350, 3)
    assert bool(has_colour(picture[:, 150:1150], "#D55E00")) == (n > 0)


def test_the_same_arguments_give_the_same_file(tmp_path):
    for name in ("one", "other"):
        images = image_set(np.arange(12) % 3, "abc")
        plots.labelled_sheet(tmp_path / name / "sheet.png", images, n=6, seed=4)
        plots.class_histogram(tmp_path / name / "classes.png", images)
        plots.all_losses(tmp_path / name / "all.png", rows(5))
        plots.all_verdicts(tmp_path / name / "verdicts.png", [1, 2], [[1, 2], [3, 4]], [[4, 3], [2, 1]])
        sheets = frames(tmp_path / name, 3)
        plots.write_gif(tmp_path / name / "run.gif", sheets, captions=["a", "b", "c"])
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes(), path.name


def test_pyplot_is_never_loaded_and_matplotlib_only_for_figures(tmp_path):
    code = f"""
import sys
from doggan import plots
assert not any(name in sys.modules for name in ("matplotlib", "PIL", "keras", "tensorflow"))
plots.epoch_losses({str(tmp_path / "epoch.png")!r}, [1, 2], [1, 2], [2, 1], (1.5, 1.5), 1)
assert "matplotlib" in sys.modules and "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def frames(folder, n, shape=(40, 60, 3)):
    """n different sheets with smooth colours."""
    paths = []
    ramp = np.linspace(0, 1, shape[0] * shape[1]).reshape(shape[:2])[..., None]
    for i in range(n):
        path = folder / f"epoch-{i:04d}.png"
        picture = 255 * (ramp * [i / n, 1 - i / n, 0.5] + [0, 0, 0.5 * i / n])
        plots.save_png(path, picture.round().astype(np.uint8))
        paths.append(path)
    return paths


def gif_frames(path):
    """(duration in ms, RGB) of every frame, by Pillow."""
    with Image.open(path) as image:
        assert image.format == "GIF"
        assert image.info["loop"] == 0
        found = []
        for i in range(image.n_frames):
            image.seek(i)
            found.append((image.info["duration"], np.asarray(image.convert("RGB"))))
        return found


def test_gif(tmp_path):
    sheets = frames(tmp_path, 10)
    plots.write_gif(tmp_path / "run.gif", [str(path) for path in sheets], seconds=4, hold=1.5)
    found = gif_frames(tmp_path / "run.gif")
    assert [duration for duration, _ in found] == [400] * 9 + [1900]
    for path, (_, frame) in zip(sheets, found, strict=True):
        assert frame.shape == (40, 60, 3)
        assert np.abs(frame.astype(int) - read(path)).mean() < 6  # levels: 256 colours for all ten sheets


def test_gif_of_many_sheets_is_thinned(tmp_path):
    sheets = frames(tmp_path, 30)
    plots.write_gif(tmp_path / "run.gif", sheets, seconds=8, hold=0, max_frames=4)
    found = gif_frames(tmp_path / "run.gif")
    assert [duration for duration, _ in found] == [2000] * 4
    for i, (_, frame) in zip((0, 10, 19, 29), found, strict=True):  # 29 · (0, ⅓, ⅔, 1), rounded
        nearest = min(range(30), key=lambda k: np.abs(frame.astype(int) - read(sheets[k])).mean())
        assert abs(nearest - i) <= 1


def test_gif_captions_stand_under_the_sheet(tmp_path):
    sheets = frames(tmp_path, 3, shape=(40, 120, 3))
    plots.write_gif(tmp_path / "run.gif", sheets, captions=["epoch 1", "epoch 2", "epoch 3"])
    found = [frame for _, frame in gif_frames(tmp_path / "run.gif")]
    assert {frame.shape for frame in found} == {(64, 120, 3)}
    texts = [frame[40:] for frame in found]
    assert all((text < 100).any() and (text > 250).mean() > 0.5 for text in texts)
    assert not np.array_equal(texts[0], texts[2])


def test_gif_of_one_sheet_is_the_last(tmp_path):
    sheets = frames(tmp_path, 2)
    plots.write_gif(tmp_path / "one.gif", sheets[:1])
    assert len(gif_frames(tmp_path / "one.gif")) == 1
    plots.write_gif(tmp_path / "last.gif", sheets, max_frames=1)
    ((_, frame),) = gif_frames(tmp_path / "last.gif")
    assert np.abs(frame.astype(int) - read(sheets[1])).mean() < 6


def test_gif_refuses(tmp_path):
    sheets = frames(tmp_path, 2)
    gif = tmp_path / "run.gif"
    with pytest.raises(DogganError, match=r"no sheets to make .*run\.gif of"):
        plots.write_gif(gif, [])
    with pytest.raises(ValueError, match="1 captions for 2 frames"):
        plots.write_gif(gif, sheets, captions=["one"])
    (other,) = frames(tmp_path / "other", 1, shape=(20, 20, 3))
    with pytest.raises(DogganError, match=r"other.*not of the same size"):
        plots.write_gif(gif, [*sheets, other])
    sheets[1].write_bytes(b"no picture")
    with pytest.raises(DogganError, match=r"epoch-0001\.png cannot be read"):
        plots.write_gif(gif, sheets)
    assert not gif.exists()


def test_class_names_are_taken_literally(tmp_path, tiny_images):
    """A dollar sign begins a formula in matplotlib, and half a formula is an error there."""
    from dataclasses import replace

    odd = replace(tiny_images, class_names=("a_$x^$_b", "c"))
    plots.labelled_sheet(tmp_path / "sheet.png", odd, n=8)
    plots.class_histogram(tmp_path / "classes.png", odd)
    assert (tmp_path / "sheet.png").exists()
    assert (tmp_path / "classes.png").exists()


@pytest.mark.parametrize(("size", "channels", "n"), [(32, 1, 8), (64, 3, 3)])
def test_a_class_sheet_has_a_row_for_each_class(tmp_path, size, channels, n):
    """Each picture is of one colour, found again at its place; names are written at the left of their rows."""
    pictures = np.empty((3, n, size, size, channels), np.uint8)
    levels = 60 + 5 * np.arange(3 * n, dtype=np.uint8).reshape(3, n)
    pictures[:] = levels[:, :, None, None, None]
    path = tmp_path / "classes.png"
    plots.class_sheet(
        path, pictures, ["0", "n02098105-soft-coated_wheaten_terrier_of_a_long_name_indeed", "b"], "title"
    )
    sheet = np.asarray(Image.open(path).convert("RGB"))
    side = max(1, round(64 / size)) * size
    for row in range(3):
        band = sheet[64 + row * (side + 4) :][:side]  # below the title, whose letters have all levels at their edges
        columns = [np.flatnonzero((band == level).all(axis=(0, 2))) for level in levels[row]]
        assert [len(found) for found in columns] == [side] * n
        lefts = [found[0] for found in columns]
        assert np.diff(lefts).tolist() == [side + 4] * (n - 1)
        name = band[:, 24 : lefts[0] - 4]
        assert (name < 100).any()
        assert (name[:, -4:] == 255).all()  # it ends before the pictures begin
