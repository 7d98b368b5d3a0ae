"""benchmarks/ablation.py: that every row can be trained at either scale, and what its table says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from doggan.config import Config
from doggan.data.imageset import ImageSet
from doggan.recipes import flatten
from doggan.runs import plan_data


@pytest.fixture(scope="module")
def ablation():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
        import ablation

        yield ablation


@pytest.fixture(scope="module")
def scales(ablation):
    return {
        32: ablation.Scale(True, 3, 2000, 5000, "bfloat16"),
        64: ablation.Scale(False, 60, 10_000, 0, "float32"),
    }


def dogs(side):
    n = 240
    return ImageSet(
        images=np.zeros((n, side, side, 3), np.uint8),
        labels=np.arange(n, dtype=np.int32) % 120,
        class_names=tuple(f"breed {i}" for i in range(120)),
        source_ids=np.array([f"dog {i}" for i in range(n)]),
        boxes=np.zeros((n, 4), np.int32),
        split=np.zeros(n, np.uint8),
    )


@pytest.mark.parametrize("side", [32, 64])
def test_every_row_fits_the_pictures_of_its_scale(ablation, scales, side):
    for name in ablation.rows():
        plan = plan_data(ablation.config_of(name, scales[side], seed=0), dogs(side))
        assert plan.image_size == side


def test_a_row_differs_from_its_base_by_its_settings_alone(ablation, scales):
    def settings(name):
        return flatten(ablation.config_of(name, scales[64], seed=0))

    for row in ablation.rows().values():
        if row.base and not row.recipe:
            found, base = settings(row.name), settings(row.base)
            named = {setting.partition("=")[0] for setting in row.settings}
            assert named == {key for key in found if found[key] != base[key]}


def test_a_result_is_of_its_settings_and_budget(ablation, scales, tmp_path):
    small = scales[32]
    key = ablation.key_of("+ EMA", 0, small)
    ablation.result_path(tmp_path, "+ EMA", 0).write_text(f'{{"key": "{key}"}}')
    assert ablation.read_result(tmp_path, "+ EMA", 0, small) is not None
    assert ablation.read_result(tmp_path, "+ EMA", 0, replace(small, epochs=4)) is None
    assert ablation.key_of("+ EMA", 1, small) != key
    row = ablation.rows()["+ EMA"]
    assert ablation.done_key(Config(), row, small) != ablation.done_key(Config(), replace(row, truncated=True), small)


def test_rows_are_told_apart_only_where_their_ranges_are(ablation):
    def results(*kids):
        return [{"scores": {"kid": kid}} for kid in kids]

    base = results(0.10, 0.12)
    assert ablation.compared(results(0.08, 0.09), base) == "better"
    assert ablation.compared(results(0.13, 0.14), base) == "worse"
    assert ablation.compared(results(0.08, 0.11), base) == "ranges overlap"
    assert ablation.compared(results(0.08), base) == "one seed"
    assert ablation.cell(results(0.08, 0.1), "kid", 1e3, 1) == "90.0 (80.0 to 100.0)"
