"""What benchmarks/scaling.py counts of a training step on several devices, by hand and against TensorFlow's step."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from doggan.recipes import load_recipe

ROOT = Path(__file__).parents[1]
CHECK = """
import json, sys
from doggan.devices import open_devices
from scaling import differences, load_recipe
two = open_devices(2)
recipe, *cases = json.loads(sys.argv[1])
print(json.dumps([differences(load_recipe(recipe, tuple(case)), two) for case in cases]))
"""

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="it counts what TensorFlow is asked for"
)


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    """The script can be imported."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def differences(recipe, *cases):
    """What the count and a step on two devices differ in, for each case, in a process of its own."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])
    done = subprocess.run(
        [sys.executable, "-c", CHECK, json.dumps([str(recipe), *cases])],
        env=os.environ | {"PYTHONPATH": path, "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


def test_the_items_are_those_of_a_count_by_hand(tiny_recipe):
    """G: z 6 → 8×8×4 → 16×16×8 → 32×32×4 → 32×32×3; D: 32×32×3 → 16×16×4 → 8×8×8 → 1."""
    from scaling import all_reduces, build, copies

    config = load_recipe(str(tiny_recipe))
    gan = build(config)
    g_parameters = (6 * 256 + 256) + (25 * 4 * 8 + 2 * 8) + (25 * 8 * 4 + 2 * 4) + (4 * 3 + 3)
    d_parameters = (25 * 3 * 4 + 4) + (25 * 4 * 8 + 2 * 8) + (512 + 1)
    n, batch = 2, 4
    wide, narrow = n * 2 * 8 * 4, n * 2 * 4 * 4  # moments of 8 channels and of 4
    found = {item.name: item.payloads for item in all_reduces(config, gan, batch, n)}
    assert found == {
        "gradients of G": [4 * g_parameters],
        "gradients of D": [4 * d_parameters],
        "batch norm's moments, forward": [wide, narrow, wide, wide],
        "the same, backward": [wide, narrow, wide, wide, wide],
        "which labels are flipped": [n * batch * 4] * 2,
        "logits, for logs, histograms and ADA": [n * batch * 4] * 2,
        "losses, for logs": [12],
    }
    copied = {item.name: sorted(item.payloads) for item in copies(config, gan)}
    assert copied["spectral norm's u"] == sorted([4 * 4, 4 * 8, 4 * 1] * 2)
    assert copied["batch norm's moving statistics"] == sorted([4 * 8, 4 * 4] * 2 + [4 * 8] * 2 * 2)


def test_more_devices_send_the_same_gradients_and_more_moments(tiny_recipe):
    from scaling import all_reduces, build

    config = load_recipe(str(tiny_recipe))
    gan = build(config)
    two, eight = ({item.name: sum(item.payloads) for item in all_reduces(config, gan, 1, n)} for n in (2, 8))
    trained = sum(int(keras.ops.size(variable)) for variable in gan.generator.trainable_variables)
    assert two["gradients of G"] == eight["gradients of G"] == 4 * trained
    for name in ("batch norm's moments, forward", "the same, backward", "which labels are flipped"):
        assert eight[name] == 4 * two[name]


def test_a_ring_sends_each_byte_twice_but_for_the_share_that_stays():
    from scaling import LAUNCH, Interconnect, seconds

    link = Interconnect("", bandwidth=1e9, hop=1e-6)
    assert seconds([10**9], 2, link) == pytest.approx((1.0, LAUNCH + 2e-6))
    assert seconds([10**9, 10**9], 4, link) == pytest.approx((3.0, 2 * (LAUNCH + 6e-6)))


@pytest.mark.slow
def test_what_is_counted_is_what_tensorflow_is_asked_for(tiny_recipe):
    apart = ["train.update=alternating", "penalty.r1=1.0", "augment.policy=['color']", "augment.target=0.6"]
    several = ["train.update=alternating", "train.d_steps=2", "train.loss=rasgan", "labels=published", "penalty.r2=1.0"]
    paired = ["train.loss=rsgan", "generator.spectral_norm=true", "discriminator.spectral_norm=false"]
    coarse = ["train.precision=bfloat16", "label_noise.flip=0.0"]
    together = ["train.loss=rasgan", "penalty.gp=1.0", "train.replay=4"]
    assert differences(tiny_recipe, [], apart, several, paired, coarse, together) == [[]] * 6
    assert differences("dogs-dcgan", []) == [[]]


def test_the_table_has_both_kinds_of_scaling(tiny_recipe, monkeypatch, capsys):
    """1e6 bytes/s, so that next to nothing but the bytes counts, and 100 ms a step of 8 pictures."""
    import scaling

    arguments = ["--recipe", str(tiny_recipe), "--devices", "1", "2", "--bandwidth", "0.001", "--step-seconds", "0.1"]
    monkeypatch.setattr(sys, "argv", ["scaling.py", *arguments])
    scaling.main()
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    sent = int(next(row for row in rows if row[0] == "together")[2].replace(",", ""))
    (row,) = (row for row in rows if row[0] == "0.001 GB/s")
    assert row[1] == "2"
    assert float(row[2]) == pytest.approx(sent / 1e6 * 1e3, abs=0.01)
    weak, strong = (float(cell.rstrip("%")) / 100 for cell in row[4:])
    assert weak == pytest.approx(0.1 / (0.1 + sent / 1e6), abs=0.02)
    assert strong == pytest.approx(0.05 / (0.05 + sent / 1e6), abs=0.02)


def test_a_batch_that_cannot_be_divided_is_refused(tiny_recipe, monkeypatch, capsys):
    import scaling

    monkeypatch.setattr(sys, "argv", ["scaling.py", "--recipe", str(tiny_recipe), "--devices", "3"])
    with pytest.raises(SystemExit):
        scaling.main()
    assert "a batch of 8 cannot be divided between 3 devices" in capsys.readouterr().err
