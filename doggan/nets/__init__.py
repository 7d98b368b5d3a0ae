"""Networks by the name a recipe calls them: `generator.network` and `discriminator.network`.

A family is a module with one or both of the functions

    generator(config: Generator, image_shape: (H, W, C), n_classes: int, seed: int) → keras.Model
    discriminator(config: Discriminator, image_shape: (H, W, C), n_classes: int, seed: int) → keras.Model

The generator maps z [B, latent_dim] to pictures [B, H, W, C] in [-1, 1] and the discriminator pictures to logits
[B, 1]; where `config.condition` is not "none" the input is [z, classes] or [pictures, classes], classes int32 [B].
Optional are `image_size(config) → int`, the side of a generator that makes one size only, and `check_generator(config,
n_classes)` and `check_discriminator(config, image_shape, n_classes)`, which refuse settings before anything is built.

`docs/networks.md` shows a family of one's own, which is a file in the folder that `doggan` is run in.
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType

from doggan.errors import DogganError
from doggan.nets import allconv, dcgan, mlp, r3gan, resnet

FAMILIES: dict[str, ModuleType] = {"dcgan": dcgan, "allconv": allconv, "mlp": mlp, "resnet": resnet, "r3gan": r3gan}


def family(name: str, section: str) -> ModuleType:
    """The module of a family: one of ours, or one that Python finds, in the working folder too.

    Args:
        name: as in a recipe.
        section: "generator" or "discriminator": which the module must have.

    Raises:
        DogganError: there is no such module, it cannot be imported, or it lacks the function.
    """
    module = FAMILIES.get(name) or _own_family(name, section)
    if not callable(getattr(module, section, None)):
        where = getattr(module, "__file__", None) or f"the module {name}"
        raise DogganError(f"{section}.network = {name!r}: {where} has no function `{section}`; write one.")
    return module


def _own_family(name: str, section: str) -> ModuleType:
    called = f"{section}.network = {name!r}"
    missing = (
        f"{called} is not one of {', '.join(FAMILIES)}, nor a module that Python finds; run doggan in the folder that "
        f"holds {name}.py."
    )
    if not all(part.isidentifier() for part in name.split(".")):
        raise DogganError(missing)
    here = str(Path.cwd())
    if here not in sys.path:  # the script `doggan` is not started with it, as `python -m doggan` is
        sys.path.append(here)
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
            raise DogganError(missing) from None
        raise DogganError(f"{called} cannot be imported ({type(error).__name__}: {error}); mend it.") from error


__all__ = ["FAMILIES", "family"]
