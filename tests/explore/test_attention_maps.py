"""Self-attention over samples: maps against NumPy, where they are asked from, and the picture of a tiny run."""

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from doggan import plots
from doggan.config import Discriminator, Generator, Init
from doggan.data.imageset import ImageSet
from doggan.explore.attention import (
    Attention,
    attention_layers,
    choose_queries,
    discriminator_attention,
    draw_attention,
    generator_attention,
)
from doggan.nets.dcgan import discriminator, generator
from doggan.plots.attention import attention_figure
from doggan.recipes import load_recipe
from doggan.runs import Run, start_run, train
from doggan.sampling import draw_z, quantise

SHAPE = (16, 16, 3)
KINDS = ("source", "released")


def make_generator(kind, spectral_norm=False, n_classes=0, attention=(1, 2)):
    settings = Generator(
        latent_dim=6, base_size=4, base_depth=4, widths=(16, 8), strides=(2, 2), batch_norm=(True, True),
        dropout=(0.5, 0.0), attention=attention, attention_kind=kind, spectral_norm=spectral_norm,
        condition="batch_norm" if n_classes else "none", init=Init(std=0.5),
    )  # fmt: skip
    return moved(generator(settings, SHAPE, n_classes), 10 if spectral_norm else 0.4)


def make_discriminator(kind, n_classes=0):
    settings = Discriminator(
        widths=(8, 16), strides=(1, 2), batch_norm=(False, True), dropout=(0.0, 0.2), attention=(2,),
        attention_kind=kind, condition="projection" if n_classes else "none", init=Init(std=0.3),
    )  # fmt: skip
    return moved(discriminator(settings, SHAPE, n_classes))


def moved(network, scale=1.0):
    """With another γ for each layer, and biases that are not zero; features are of the size of `scale`."""
    rng = np.random.default_rng(3)
    for variable in network.variables:
        if variable.path.endswith("gamma") and "bn_" in variable.path:
            variable.assign(scale * rng.uniform(0.5, 1.5, variable.shape))
    for i, layer in enumerate(attention_layers(network)):
        layer.gamma.assign(0.3 + i)
        for conv in (layer.f, layer.g):
            if conv.use_bias:
                conv.bias.assign(rng.standard_normal(conv.bias.shape))
    return network


def by_numpy(layer, x):
    """The weights in float64, of feature maps x [N, H, W, C]."""

    def convolved(conv):
        kernel = ops.convert_to_numpy(conv.kernel).astype("float64")[0, 0]
        if layer.spectral_norm:
            kernel = kernel / np.linalg.svd(kernel, compute_uv=False)[0]
        return x @ kernel + (ops.convert_to_numpy(conv.bias) if conv.use_bias else 0)

    queries, keys = convolved(layer.f), convolved(layer.g)
    if layer.kind == "released":
        keys = np.max([keys[:, i::2, j::2] for i in (0, 1) for j in (0, 1)], axis=0)
    raised = np.exp(np.einsum("nijc,nklc->nijkl", queries, keys))
    return raised / raised.sum((3, 4), keepdims=True)


def inputs_of(network, layer, inputs):
    return keras.Model(network.inputs, [network.output, layer.input]).predict_on_batch(inputs)[1].astype("float64")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spectral_norm", [False, pytest.param(True, marks=pytest.mark.both_backends)])
def test_a_generator_s_maps_are_what_its_kernels_make_of_the_layer_s_input(kind, spectral_norm):
    network, z = make_generator(kind, spectral_norm), draw_z(3, 6, seed=1)
    found = generator_attention(network, z, batch_size=2)
    assert [each.layer for each in found] == ["attention_1", "attention_2"]
    assert [each.gamma for each in found] == [pytest.approx(0.3), pytest.approx(1.3)]
    for each, layer, side in zip(found, attention_layers(network), (8, 16), strict=True):
        attended = side // 2 if kind == "released" else side
        assert (each.maps.dtype, each.maps.shape) == (np.float32, (3, side, side, attended, attended))
        np.testing.assert_allclose(each.maps, by_numpy(layer, inputs_of(network, layer, [z])), rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(each.maps.sum((3, 4)), 1, rtol=1e-5)
        assert each.maps.std() > 0.1 * each.maps.mean()
        difference = each.pictures.astype(int) - quantise(network.predict_on_batch(z))
        assert each.pictures.dtype == np.uint8
        assert np.abs(difference).max() <= 1


@pytest.mark.both_backends
@pytest.mark.parametrize("kind", KINDS)
def test_a_discriminator_s_maps_are_of_the_pictures_it_is_given(kind):
    network = make_discriminator(kind, n_classes=3)
    pictures = np.random.default_rng(0).integers(0, 256, (3, *SHAPE)).astype(np.uint8)
    classes = np.array([2, 0, 1], np.int32)
    (found,) = discriminator_attention(network, pictures, classes)
    (layer,) = attention_layers(network)
    x = inputs_of(network, layer, [pictures.astype("float32") / 127.5 - 1, classes])
    np.testing.assert_allclose(found.maps, by_numpy(layer, x), rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(found.pictures, pictures)


@pytest.mark.both_backends
def test_batches_do_not_matter_and_classes_do():
    network, z = make_generator("released", n_classes=2), draw_z(5, 6, seed=2)
    classes = np.array([0, 1, 0, 1, 0], np.int32)
    whole = generator_attention(network, z, classes, batch_size=9)
    for size in (1, 2):
        for each, other in zip(whole, generator_attention(network, z, classes, batch_size=size), strict=True):
            np.testing.assert_allclose(each.maps, other.maps, rtol=1e-4, atol=1e-7)
    (second,) = generator_attention(network, z, classes, layers=attention_layers(network)[1:])
    np.testing.assert_allclose(second.maps, whole[1].maps, rtol=1e-4, atol=1e-7)
    others = generator_attention(network, z, 1 - classes)
    assert np.abs(others[1].maps - whole[1].maps).max() > 0.01 * whole[1].maps.mean()


def test_without_layers_there_are_no_maps():
    assert generator_attention(make_generator("source", attention=()), draw_z(2, 6, seed=0)) == []


def test_a_query_is_what_differs_most_in_the_middle_of_its_quarter():
    maps = np.full((16, 16, 2, 2), 0.25, np.float32)
    for row, column, weight in ((2, 3, 0.7), (4, 12, 0.9), (13, 5, 1.0), (10, 10, 0.4), (0, 0, 1.0), (7, 8, 1.0)):
        maps[row, column] = [[weight, (1 - weight) / 3], [(1 - weight) / 3, (1 - weight) / 3]]
    np.testing.assert_array_equal(choose_queries(maps), [(2, 3), (4, 12), (13, 5), (10, 10)])
    for side in (2, 3, 4, 5):
        assert len({tuple(query) for query in choose_queries(maps[:side, :side])}) == 4
    np.testing.assert_array_equal(choose_queries(maps[:1, :1]), [(0, 0)])


@pytest.mark.parametrize(("shape", "side", "attended"), [((32, 32, 1), 8, 8), ((64, 64, 3), 32, 16)])
def test_the_figure_has_a_row_for_each_sample(tmp_path, shape, side, attended):
    maps = np.random.default_rng(0).random((3, side, side, attended, attended)).astype(np.float32)
    attention = Attention(
        "attention_2", -1e-5, np.full((3, *shape), 200, np.uint8), maps / maps.sum((3, 4))[..., None, None]
    )
    queries = np.stack([choose_queries(each) for each in attention.maps])
    sizes = []
    for n, names in ((1, None), (3, None), (3, ("n02113624-toy_poodle", "a$b$", "x" * 90))):
        part = Attention(attention.layer, attention.gamma, attention.pictures[:n], attention.maps[:n])
        attention_figure(tmp_path / "a.png", part, queries[:n], "A title that goes on and on " * 9, names)
        with Image.open(tmp_path / "a.png") as picture:
            sizes.append(picture.size)
            pixels = np.asarray(picture.convert("RGB"))
        margins = (pixels[:12], pixels[-12:], pixels[:, :12], pixels[:, -12:])
        assert all((margin == 255).all() for margin in margins)
    widths, heights = zip(*sizes, strict=True)
    assert len(set(widths)) == 1
    assert heights[1] - heights[0] == 2 * (192 + 56)
    assert heights[2] - heights[1] == 3 * 24  # a second line of names


RECIPE = """
[generator]
latent_dim = 6
base_size = 8
base_depth = 4
widths = [8, 8]
strides = [2, 2]
batch_norm = [true, true]
dropout = [0.0, 0.0]
attention = [1, 2]
attention_kind = "released"

[discriminator]
widths = [8, 8]
strides = [2, 2]
batch_norm = [false, true]
dropout = [0.0, 0.0]
attention = [2]

[train]
epochs = 1
batch_size = 8
samples = 4
score_every = 0
"""
CLASSES = ("generator.condition=one_hot", "discriminator.condition=projection")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of networks that are told no classes, one of such that are, and one without attention, by name."""
    folder = tmp_path_factory.mktemp("runs")
    recipe = folder / "attentive.toml"
    recipe.write_text(RECIPE)
    rng = np.random.default_rng(1)
    images = ImageSet(
        images=rng.integers(0, 256, (16, 32, 32, 3)).astype(np.uint8),
        labels=(np.arange(16) % 2).astype(np.int32),
        class_names=("n02113624-toy_poodle", "n02099601-golden_retriever"),
        source_ids=np.array([f"photo-{i}" for i in range(16)]),
        boxes=np.zeros((16, 4), np.int32),
        split=np.zeros(16, np.uint8),
    )
    images.save(folder / "tiny.npz")
    without = ("generator.attention=[]", "generator.attention_kind=source")
    with pytest.MonkeyPatch.context() as patch:
        for figure in ("epoch_losses", "all_losses", "all_verdicts"):  # take longer than training
            patch.setattr(plots, figure, lambda *args: None)
        for name, settings in (("plain", ()), ("told", CLASSES), ("without", without)):
            run = start_run(folder / name, load_recipe(str(recipe), settings), images, folder / "tiny.npz")
            train(run, images, progress=False)
    return folder


@pytest.mark.parametrize(
    ("name", "options", "drawn"),
    [
        ("plain", (), "attention_1 of the generator in 4 samples"),
        ("plain", ("--layer", 2, "--n", 2, "--seed", 3), "attention_2 of the generator in 2 samples"),
        ("plain", ("--network", "discriminator", "--raw-generator"), "attention_2 of the discriminator in 4 samples"),
        ("told", ("--class", "toy poodle", "--n", 1), "attention_1 of the generator in 1 samples"),
        ("told", ("--network", "discriminator", "--n", 3), "attention_2 of the discriminator in 3 samples"),
    ],
)
def test_the_command_draws_a_picture_and_says_which(doggan, runs, tmp_path, name, options, drawn):
    picture = tmp_path / "attention.png"
    status, out, err = doggan("explore", "attention", runs / name, "--out", picture, *options)
    assert (status, err) == (0, "")
    weights = "weights as trained" if "--raw-generator" in options else "averaged weights"
    assert out == f"{drawn} of step 2, {weights}: {picture}\n"
    with Image.open(picture) as image:
        assert image.width > 1000


def test_the_same_arguments_give_the_same_picture(runs, tmp_path):
    run = Run.open(runs / "told")
    drawn = []
    for i, class_name in enumerate(("toy_poodle", "Toy poodle", "golden retriever", None)):
        draw_attention(run, tmp_path / f"{i}.png", n=2, class_name=class_name)
        drawn.append((tmp_path / f"{i}.png").read_bytes())
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("without", (), "recipes that have it are cifar10-csagan, cifar10-sagan, dogs-best, dogs-best-whole, "),
        ("plain", ("--layer", 3), "no self-attention after convolution 3; it has it after 1 and 2."),
        ("plain", ("--class", "poodle"), "told no classes"),
        ("told", ("--class", "cat"), "There is no class 'cat'"),
        ("plain", ("--checkpoint", 99), "has no checkpoint '99'"),
        ("absent", (), "is not a run"),
    ],
)
def test_a_mistake_is_one_sentence(doggan, runs, tmp_path, name, options, message):
    status, out, err = doggan("explore", "attention", runs / name, "-o", tmp_path / "x.png", *options)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())
