"""The network against the graph of 2015-12-05 run by TensorFlow itself: the same operations, other code."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from inception_graph import GraphRunner, graph_of, published_numbers, random_logits, random_numbers

from doggan.metrics.frechet import frechet_distance, statistics
from doggan.metrics.inception import Inception, find_inception, load_inception
from doggan.metrics.inception_score import inception_score

pytest.importorskip("tensorflow")


def relative_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest over the images."""
    return float((np.linalg.norm(ours - theirs, axis=1) / np.linalg.norm(theirs, axis=1)).max())


def spread(images: np.ndarray, count: int) -> np.ndarray:
    return images[:: len(images) // count][:count]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("DOGGAN_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def both(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[GraphRunner, Inception]:
    """A graph of random weights in TensorFlow, and the network that was read from its file."""
    graph = graph_of(random_numbers(), random_logits())
    path = tmp_path_factory.mktemp("graph") / "classify_image_graph_def.pb"
    path.write_bytes(graph.SerializeToString())
    return GraphRunner(graph), load_inception(path)


def test_random_weights(both: tuple[GraphRunner, Inception]) -> None:
    graph, inception = both
    images = np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    images[1] //= 8
    images[2] = 200
    features, logits = graph(images)
    assert np.ptp(features, axis=0).max() > 0.1  # the images differ at the end
    assert relative_error(inception.features(images), features) < 1e-5
    # As in the code of Salimans et al., which multiplies by the kernel and leaves the bias out.
    _, bias = random_logits()
    assert relative_error(inception.logits(features) + bias, logits) < 1e-5
    assert relative_error(np.asarray(inception.classifier.layers[-1](features)), logits) < 1e-5


def test_classifier_is_the_whole_graph(both: tuple[GraphRunner, Inception]) -> None:
    graph, inception = both
    images = np.random.default_rng(3).integers(0, 256, (1, 299, 299, 3), dtype=np.uint8)
    features, logits = inception.classifier((images.astype(np.float32) - 128) / 128, training=False)
    expected = graph(images)
    assert relative_error(np.asarray(features), expected[0]) < 1e-5
    assert relative_error(np.asarray(logits), expected[1]) < 1e-5


def test_random_weights_are_not_called_published(both: tuple[GraphRunner, Inception]) -> None:
    inception = both[1]
    assert inception.name.startswith("inception with other weights (")
    assert inception.name.endswith(") pool_3")


@pytest.fixture(scope="module")
def published(shared_data: Path) -> tuple[GraphRunner, Inception]:
    path = find_inception(shared_data)
    assert path is not None
    return GraphRunner(graph_of(published_numbers(path), random_logits())), load_inception(path)


def test_published_weights(real_crops: np.ndarray, published: tuple[GraphRunner, Inception]) -> None:
    graph, inception = published
    images = spread(real_crops, 4)
    assert relative_error(inception.features(images), graph(images)[0]) < 1e-5
    assert inception.name == "inception-2015-12-05 pool_3"


def test_the_published_graph_itself(cache: Path) -> None:
    """Where the file is at hand: its own nodes run by TensorFlow against what is read from it, logits included."""
    path = os.environ.get("DOGGAN_TEST_GRAPH")
    if path is None:
        pytest.skip("no published graph: set DOGGAN_TEST_GRAPH to the path of classify_image_graph_def.pb")
    import tensorflow as tf

    graph = GraphRunner(tf.compat.v1.GraphDef.FromString(Path(path).read_bytes()))
    inception = load_inception(path)
    assert inception.published
    images = np.random.default_rng(5).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    features = graph.features(images)
    assert relative_error(inception.features(images), features) < 1e-4
    logits = np.concatenate(
        [graph(image[None])[1] for image in images]
    )  # behind pool_3 the graph may take one at a time
    assert inception.classifier is not None
    assert relative_error(np.asarray(inception.classifier.layers[-1](features)), logits) < 1e-4


@pytest.mark.slow
def test_xla_changes_rounding_only(real_crops: np.ndarray, published: tuple[GraphRunner, Inception]) -> None:
    graph, inception = published
    images = spread(real_crops, 3)
    compiled = load_inception(inception.source, xla=True).features(images, batch_size=2)  # the last batch is filled up
    assert relative_error(compiled, graph(images)[0]) < 1e-5


@pytest.mark.slow
def test_fid_of_500_images(real_crops: np.ndarray, published: tuple[GraphRunner, Inception]) -> None:
    """Two halves of 500 crops: the scores are those of the graph, and so are the features."""
    graph, inception = published
    images = spread(real_crops, 500)
    ours, theirs = inception.features(images), graph.features(images)
    assert relative_error(ours, theirs) < 1e-5
    fids = [frechet_distance(*statistics(f[:250]), *statistics(f[250:])) for f in (ours, theirs)]
    assert fids[1] > 10
    assert abs(fids[0] - fids[1]) < 1e-3
    kernel, _ = random_logits()
    scores = [inception_score(f @ kernel, splits=5).mean for f in (ours, theirs)]
    assert abs(scores[0] - scores[1]) < 1e-4
