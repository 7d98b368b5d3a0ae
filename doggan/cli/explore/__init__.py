"""Commands that show what a run has learned, and whether it memorises."""

import click

from doggan.cli.sections import Contents, Sections

_SECTIONS: Sections = {
    "copies": {
        "neighbors": ("doggan.cli.explore.neighbors", "The training picture nearest to each sample."),
        "collision": ("doggan.cli.explore.collision", "Near-duplicates, by hashes of 128 bits."),
        "overfit": ("doggan.cli.explore.overfit", "Does the discriminator memorise?"),
    },
    "variety": {
        "modes": ("doggan.cli.explore.modes", "Repeated samples; clusters and classes that they reach."),
    },
    "z": {
        "interpolate": ("doggan.cli.explore.interpolate", "What lies between samples, and how evenly it changes."),
        "arithmetic": ("doggan.cli.explore.arithmetic", "Add and subtract groups of samples."),
    },
    "networks": {
        "features": ("doggan.cli.explore.features", "What D's features are worth to a classifier."),
        "visualize": ("doggan.cli.explore.visualize", "What D's features respond to."),
        "attention": ("doggan.cli.explore.attention", "What self-attention attends to."),
    },
}
_EPILOG = """\
Example: doggan explore neighbors runs/00000-dogs-dcgan
doggan explore COMMAND --help has options and more examples."""


@click.group(cls=Contents, sections=_SECTIONS, epilog=_EPILOG)
def explore() -> None:
    """What a run has learned, and whether it memorises: pictures and figures."""
