"""What passes between the parts of a training step."""

from typing import Any, NamedTuple

from keras import ops

from doggan import replicas


class Pictures(NamedTuple):
    """Pictures [B, H, W, C] in [-1, 1], and the classes int32 [B] that conditional networks are told with them."""

    images: Any
    classes: Any = None  # None where the networks are not conditional

    def split(self, n: int) -> "list[Pictures]":
        """`n` equal parts."""
        classes = [None] * n if self.classes is None else ops.split(self.classes, n)
        return [Pictures(*part) for part in zip(ops.split(self.images, n), classes, strict=True)]


class Latent(NamedTuple):
    """z [B, latent_dim], and the classes int32 [B] that a conditional generator is asked for."""

    z: Any
    classes: Any = None


class Seen(NamedTuple):
    """What an update saw: scalars g_loss, d_loss and penalty (not in d_loss), D's logits [B, 1], the fakes."""

    g_loss: Any
    d_loss: Any
    penalty: Any
    on_real: Any
    on_fake: Any
    fake: Any

    def of_all_replicas(self) -> "Seen":
        """What all replicas saw together: means of the scalars, and everybody's logits [n · B, 1]."""
        scalars = replicas.mean(ops.stack([self.g_loss, self.d_loss, self.penalty]))
        g_loss, d_loss, penalty = ops.unstack(scalars)
        on_real, on_fake = replicas.gather(self.on_real), replicas.gather(self.on_fake)
        return Seen(g_loss, d_loss, penalty, on_real, on_fake, self.fake)


def told(first: Any, classes: Any) -> Any:
    """The input of a network: z or pictures, with the classes where it is conditional."""
    return first if classes is None else [first, classes]
