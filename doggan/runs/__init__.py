"""The one place that wires a recipe to data, networks, training, metrics and plots."""

from doggan.runs.build import build_gan, build_generator, plan_data, scores_wanted
from doggan.runs.cost import describe_cost
from doggan.runs.folder import Run, next_folder
from doggan.runs.load import load_generator
from doggan.runs.outcome import Outcome
from doggan.runs.train import start_run, train

__all__ = [
    "Outcome",
    "Run",
    "build_gan",
    "build_generator",
    "describe_cost",
    "load_generator",
    "next_folder",
    "plan_data",
    "scores_wanted",
    "start_run",
    "train",
]
