"""Going on with a run under other settings, as far as that is possible."""

from pathlib import Path

from doggan.data.imageset import ImageSet
from doggan.devices import ONE, Devices
from doggan.recipes import override
from doggan.runs.build import data_hash, plan_data, training_images
from doggan.runs.folder import Run
from doggan.runs.overrides import changes, check_changes
from doggan.runs.scores import load_scoring


def override_run(
    run: Run, overrides: tuple[str, ...], data: ImageSet, *, weights: Path | None = None, devices: Devices = ONE
) -> Run:
    """The run with some of its settings changed for good, from its newest checkpoint on.

    Args:
        run: as `Run.open` gives it.
        overrides: "key=value" as for `doggan.recipes.load_recipe`. Settings that the weights do not depend on may
            change: the intervals of what is written and scored, how many checkpoints are kept, what is done about a
            collapse; how steps are run (train.steps_per_execution, data.place), which changes the weights by rounding;
            and the number of epochs, where nothing depends on it and so many are not done.
        data: the pictures the run was started with.
        weights, devices: as for `doggan.runs.train`.

    Raises:
        DogganError: a setting cannot change (each is named, with the reason) or does not exist, or the new settings do
            not fit each other or the pictures. Nothing was written then.
    """
    config = override(run.config, overrides)
    if not changes(run.config, config):
        return devices.chief_first(lambda: run)  # which the others wait for, where the chief was quicker to change it
    images = training_images(run.config, data)
    run.check_pictures(data_hash(run.config, images))
    plan = plan_data(run.config, images)
    step = max((step for step, _ in run.checkpoints.saved()), default=0)
    check_changes(run.config, config, step / plan.steps_per_epoch)
    plan_data(config, images)

    def change() -> Run:
        if not devices.chief:
            return Run.open(run.folder)
        load_scoring(config, data, images, plan.image_size, weights)
        return run.override(config, step)

    return devices.chief_first(change)
