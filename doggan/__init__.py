"""doggan: from the Stanford Dogs photographs to a scored submission of 10,000 generated dogs.

```python
import doggan

prepared = doggan.prepare("data/stanford-dogs", "dogs64.npz", holdout=0.1)
run = doggan.train("dogs64.npz", "dogs-dcgan", {"train.epochs": 100})
print(doggan.submit(run, "images.zip"))
print(doggan.evaluate("images.zip", "data/stanford-dogs"))
```

The same nouns as on the command line; `doggan.api` has the ten functions.
"""

from doggan.api import (
    build,
    evaluate,
    load_images,
    load_recipe,
    open_run,
    prepare,
    report,
    sample,
    submit,
    train,
)

__version__ = "0.1.0"
__all__ = [  # noqa: RUF022  in the order of the walk
    "prepare",
    "load_images",
    "load_recipe",
    "build",
    "train",
    "open_run",
    "sample",
    "evaluate",
    "submit",
    "report",
]
