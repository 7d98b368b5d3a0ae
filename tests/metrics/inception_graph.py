"""The frozen graph of 2015-12-05, put together node by node from weights at hand, and run by TensorFlow.

The original file is not redistributed with this package. Its nodes, their operations and their names are spelt out
here, apart from the network of the package, so that the one can be held against the other.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from doggan.metrics.inception_layers import LAYERS, npz_key

Numbers = dict[str, dict[str, np.ndarray]]  # scope → kernel HWIO, beta, mean, var and perhaps gamma


def random_numbers(seed: int = 0) -> Numbers:
    """He-normal kernels, so that a signal reaches the end, and batch norms near the identity."""
    rng = np.random.default_rng(seed)
    numbers = {}
    for scope, shape in LAYERS.items():
        kernel = rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / np.prod(shape[:3])))
        around_one = rng.uniform(0.8, 1.25, (2, shape[3])).astype(np.float32)
        around_zero = rng.normal(0, 0.1, (2, shape[3])).astype(np.float32)
        numbers[scope] = {"kernel": kernel, "beta": around_zero[0], "mean": around_zero[1]}
        numbers[scope] |= {"var": around_one[0], "gamma": around_one[1]}
    return numbers


def random_logits(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Kernel [2048, 1008] and bias [1008] of a softmax layer."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.02, (2048, 1008)).astype(np.float32), rng.normal(0, 0.1, 1008).astype(np.float32)


def published_numbers(npz: Path) -> Numbers:
    """The numbers of the published `.npz`."""
    with np.load(npz) as file:
        return {
            scope: {
                "kernel": file[f"{npz_key(scope)}.weight"].transpose(2, 3, 1, 0),
                **{name: file[f"{npz_key(scope)}.{name}"] for name in ("beta", "mean", "var")},
            }
            for scope in LAYERS
        }


def graph_of(numbers: Numbers, logits: tuple[np.ndarray, np.ndarray]) -> Any:
    """The GraphDef. Without a gamma the batch norm does not scale, as `scale_after_normalization` says."""
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef()
    graph.versions.producer = 8  # TensorFlow runs the old batch norm in old graphs only
    float32 = tf.float32.as_datatype_enum

    def add(name: str, op: str, *inputs: str, **attributes: Any) -> str:
        node = graph.node.add(name=name, op=op, input=inputs)
        node.attr["T"].type = float32
        for key, value in attributes.items():
            attribute = node.attr[key]
            if isinstance(value, bool):
                attribute.b = value
            elif isinstance(value, int):
                attribute.i = value
            elif isinstance(value, float):
                attribute.f = value
            elif isinstance(value, bytes):
                attribute.s = value
            else:
                attribute.list.i.extend(value)
        return name

    def constant(name: str, value: Any) -> str:
        tensor = tf.make_tensor_proto(value)
        node = graph.node.add(name=name, op="Const")
        node.attr["dtype"].type = tensor.dtype
        node.attr["value"].tensor.CopyFrom(tensor)
        return name

    def conv(x: str, scope: str, stride: int = 1, padding: bytes = b"SAME") -> str:
        stored: Mapping[str, np.ndarray] = numbers[scope]
        kernel = constant(f"{scope}/conv2d_params", stored["kernel"])
        y = add(f"{scope}/Conv2D", "Conv2D", x, kernel, strides=[1, stride, stride, 1], padding=padding)
        mean = constant(f"{scope}/batchnorm/moving_mean", stored["mean"])
        variance = constant(f"{scope}/batchnorm/moving_variance", stored["var"])
        beta = constant(f"{scope}/batchnorm/beta", stored["beta"])
        gamma = constant(f"{scope}/batchnorm/gamma", stored.get("gamma", np.ones_like(stored["beta"])))
        norm = "BatchNormWithGlobalNormalization"
        scaled = "gamma" in stored
        y = add(
            f"{scope}/batchnorm", norm, y, mean, variance, beta, gamma,
            variance_epsilon=1e-3, scale_after_normalization=scaled,
        )  # fmt: skip
        return add(scope, "Relu", y)

    def convs(x: str, *scopes: str) -> str:
        for scope in scopes:
            x = conv(x, scope)
        return x

    def pool(x: str, name: str, op: str, side: int, stride: int, padding: bytes) -> str:
        return add(name, op, x, ksize=[1, side, side, 1], strides=[1, stride, stride, 1], padding=padding)

    def join(name: str, *branches: str) -> str:
        axis = constant(f"{name}/concat_dim", np.int32(3))
        return add(name, "Concat", axis, *branches, N=len(branches))

    images = graph.node.add(name="ExpandDims", op="Placeholder")  # the evaluator feeds ExpandDims:0
    images.attr["dtype"].type = float32
    x = add("ResizeBilinear", "ResizeBilinear", "ExpandDims", constant("ResizeBilinear/size", np.int32([299, 299])))
    x = add("Sub", "Sub", x, constant("Sub/y", np.float32(128)))
    x = add("Mul", "Mul", x, constant("Mul/y", np.float32(0.0078125)))
    x = conv(conv(x, "conv", 2, b"VALID"), "conv_1", 1, b"VALID")
    x = pool(conv(x, "conv_2"), "pool", "MaxPool", 3, 2, b"VALID")
    x = conv(conv(x, "conv_3", 1, b"VALID"), "conv_4", 1, b"VALID")
    x = pool(x, "pool_1", "MaxPool", 3, 2, b"VALID")
    for b in ("mixed", "mixed_1", "mixed_2"):
        x = join(
            f"{b}/join",
            conv(x, f"{b}/conv"),
            convs(x, f"{b}/tower/conv", f"{b}/tower/conv_1"),
            convs(x, f"{b}/tower_1/conv", f"{b}/tower_1/conv_1", f"{b}/tower_1/conv_2"),
            conv(pool(x, f"{b}/tower_2/pool", "AvgPool", 3, 1, b"SAME"), f"{b}/tower_2/conv"),
        )
    tower = convs(x, "mixed_3/tower/conv", "mixed_3/tower/conv_1")
    x = join(
        "mixed_3/join",
        conv(x, "mixed_3/conv", 2, b"VALID"),
        conv(tower, "mixed_3/tower/conv_2", 2, b"VALID"),
        pool(x, "mixed_3/pool", "MaxPool", 3, 2, b"VALID"),
    )
    for b in ("mixed_4", "mixed_5", "mixed_6", "mixed_7"):
        x = join(
            f"{b}/join",
            conv(x, f"{b}/conv"),
            convs(x, f"{b}/tower/conv", f"{b}/tower/conv_1", f"{b}/tower/conv_2"),
            convs(x, f"{b}/tower_1/conv", *(f"{b}/tower_1/conv_{i}" for i in range(1, 5))),
            conv(pool(x, f"{b}/tower_2/pool", "AvgPool", 3, 1, b"SAME"), f"{b}/tower_2/conv"),
        )
    tower = conv(x, "mixed_8/tower/conv")
    tower_1 = convs(x, "mixed_8/tower_1/conv", "mixed_8/tower_1/conv_1", "mixed_8/tower_1/conv_2")
    x = join(
        "mixed_8/join",
        conv(tower, "mixed_8/tower/conv_1", 2, b"VALID"),
        conv(tower_1, "mixed_8/tower_1/conv_3", 2, b"VALID"),
        pool(x, "mixed_8/pool", "MaxPool", 3, 2, b"VALID"),
    )
    for b, op in (("mixed_9", "AvgPool"), ("mixed_10", "MaxPool")):
        tower = conv(x, f"{b}/tower/conv")
        tower_1 = convs(x, f"{b}/tower_1/conv", f"{b}/tower_1/conv_1")
        x = join(
            f"{b}/join",
            conv(x, f"{b}/conv"),
            *(conv(tower, f"{b}/tower/mixed/{name}") for name in ("conv", "conv_1")),
            *(conv(tower_1, f"{b}/tower_1/mixed/{name}") for name in ("conv", "conv_1")),
            conv(pool(x, f"{b}/tower_2/pool", op, 3, 1, b"SAME"), f"{b}/tower_2/conv"),
        )
    x = pool(x, "pool_3", "AvgPool", 8, 1, b"VALID")  # [N, 1, 1, 2048]
    x = add("pool_3/_reshape", "Reshape", x, constant("pool_3/_reshape/shape", np.int32([-1, 2048])))
    weights, biases = constant("softmax/weights", logits[0]), constant("softmax/biases", logits[1])
    x = add("softmax/logits/MatMul", "MatMul", x, weights)
    add("softmax/logits", "BiasAdd", x, biases)
    return graph


class GraphRunner:
    """The graph in a session of TensorFlow 1, used as the competition's evaluator uses it."""

    def __init__(self, graph: Any) -> None:
        import tensorflow as tf

        with tf.Graph().as_default() as scope:
            tf.import_graph_def(graph, name="")
        self._session = tf.compat.v1.Session(graph=scope)

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`pool_3` float32 [N, 2048] and `softmax/logits` float32 [N, 1008] of images uint8 [N, H, W, 3]."""
        feed = {"ExpandDims:0": images.astype(np.float32)}
        pooled, logits = self._session.run(["pool_3:0", "softmax/logits:0"], feed)
        return pooled.reshape(len(images), -1), logits

    def features(self, images: np.ndarray, batch_size: int = 50) -> np.ndarray:
        """`pool_3` alone, by the evaluator's batches of 50."""
        parts = []
        for start in range(0, len(images), batch_size):
            feed = {"ExpandDims:0": images[start : start + batch_size].astype(np.float32)}
            parts.append(self._session.run("pool_3:0", feed).reshape(-1, 2048))
        return np.concatenate(parts)
