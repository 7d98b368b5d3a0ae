"""`GAN`: a generator and a discriminator as one Keras model, trained with `compile` and `fit`."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import keras
from keras import ops

from doggan import replicas
from doggan.config import Augment, Ema, InstanceNoise, LabelNoise, Penalty
from doggan.errors import DogganError
from doggan.losses import LOSSES, PAIRED, RELATIVISTIC, SQUASHABLE, Targets, squashed
from doggan.randomness import Asked, normal, step_scope
from doggan.sampling import is_conditional, latent_dim
from doggan.training.adaptive import AdaptiveProbability
from doggan.training.augment import augment, instance_noise, noise_std
from doggan.training.average import GeneratorAverage
from doggan.training.backend import has_accelerator
from doggan.training.fake_classes import FakeClasses
from doggan.training.histogram import Histogram
from doggan.training.labels import hard_targets, noisy_targets
from doggan.training.moments import MeanStd, take_in
from doggan.training.optimizers import BothOptimizers
from doggan.training.penalties import annealed, between, one_centred, state_kept, zero_centred
from doggan.training.replay import ReplayBuffer
from doggan.training.seen import Latent, Pictures, Seen, told

if keras.backend.backend() == "tensorflow":
    from doggan.training.engine_tensorflow import Engine
elif keras.backend.backend() == "jax":
    from doggan.training.engine_jax import Engine  # type: ignore[assignment]
else:
    raise DogganError(
        f"KERAS_BACKEND is {keras.backend.backend()}; doggan trains on tensorflow and jax, set it to one."
    )


class GAN(Engine, keras.Model):
    """Trains `generator` against `discriminator`; calling it maps z to pictures.

    Args:
        generator: z float32 [B, latent_dim] → pictures [B, H, W, C] in [-1, 1].
        discriminator: pictures → logits [B, 1]. Either both networks have classes int32 [B] as a second input, or none.
        labels: "intended" (flipped and smoothed as `label_noise` says) or "published" (hard).
        fake_classes: of conditional networks: which classes the fakes are asked for.
        update: "simultaneous", both networks from one shared batch of fakes, as the reference solution does it; or
            "alternating", `d_steps` updates of D, each on its own share of the batch and fresh fakes, then one of G.
        reuse_z: alternating: G makes its fakes of the z that D was updated on last, and D, updated, scores them anew.
            G's moving statistics move once a step then.
        augment, instance_noise: what the discriminator sees, real and fake alike; None leaves pictures alone.
        penalty: gradient penalties on D, in all of its updates of a step where they are due; None for none.
        ema: average of the generator, which samples are drawn from; None keeps none.
        replay: the first fake of every step goes into a buffer of this size; when it is full, D is updated once on it
            with the target 0, which moves u and batch-norm statistics once more, and it is emptied. 0 for none.
        seed: decides z, label noise, augmentation and dropout masks of every step.
        total_steps: of the run; instance noise and penalties fade by it.
        pictures: uint8 pictures on the device, which `fit`'s indices are taken from (`doggan.data.device`); None where
            `fit` takes pictures.

    `fit` takes elements (batch,) or (batch, draws). `batch` is float32 [d_steps · B, H, W, C] in [-1, 1], its size
    static; for conditional networks (that, classes int32 [d_steps · B]); or what `pictures` takes. `draws` replace the
    step's own random numbers, in the order of `asked`. Its logs are those of `stats`: `g_loss`, `d_loss`, the mean
    probabilities `d_real` and `d_fake`, then, where there are such, `augment_p` and `penalty`, which `d_loss` does not
    count (with an interval above 1 it is 0 in most steps, and larger by that factor in the others); each of the last
    step, and over the epoch so far `<name>_mean` and `<name>_std`, summed inside the step. `verdicts` count the
    probabilities of the epoch so far, on real pictures and on fakes.

    Keras' own callbacks work with `fit`, those that watch a number given their `mode`; to save and restore use
    `doggan.training.checkpoints`, since Keras' knows neither the step nor both optimizers.

    The step number is a variable, and everything random is a function of it, so restoring `saved_variables` continues
    exactly.
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        *,
        labels: str = "intended",
        label_noise: LabelNoise | None = None,
        fake_classes: FakeClasses | None = None,
        update: str = "simultaneous",
        d_steps: int = 1,
        reuse_z: bool = False,
        augment: Augment | None = None,
        instance_noise: InstanceNoise | None = None,
        penalty: Penalty | None = None,
        ema: Ema | None = None,
        replay: int = 0,
        seed: int = 0,
        total_steps: int = 1,
        pictures: Any = None,
    ) -> None:
        super().__init__(name="gan")
        if labels not in ("intended", "published"):
            raise ValueError(f"labels are 'intended' or 'published', not {labels!r}")
        if update not in ("simultaneous", "alternating"):
            raise ValueError(f"update is 'simultaneous' or 'alternating', not {update!r}")
        if (d_steps > 1 or reuse_z) and update == "simultaneous":
            raise ValueError("d_steps above 1 and reuse_z need update='alternating'")
        if {is_conditional(generator), is_conditional(discriminator)} != {fake_classes is not None}:
            raise ValueError("both networks are conditional and fake_classes is given, or neither")
        if fake_classes is not None and replay:
            raise ValueError("a replay buffer forgets the classes of its fakes; conditional networks need replay=0")
        self.generator, self.discriminator = generator, discriminator
        self.latent_dim, self.fake_classes = latent_dim(generator), fake_classes
        self.labels, self.label_noise = labels, label_noise or LabelNoise()
        self.update_rule, self.d_steps, self.reuse_z = update, d_steps, reuse_z
        self.augment, self.instance_noise = augment or Augment(), instance_noise or InstanceNoise()
        self.penalty = penalty or Penalty()
        self.seed, self.total_steps, self.pictures = seed, total_steps, pictures
        self.asked: tuple[Asked, ...] = ()  # of the last step that was traced
        self.step = self.add_weight(
            shape=(),
            dtype="int32",
            initializer="zeros",
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
            name="step",
        )
        self.replay = ReplayBuffer(replay, generator.output_shape[1:]) if replay else None
        self.average = GeneratorAverage(generator, ema) if ema is not None and ema.half_life > 0 else None
        self.sampler = self.average.generator if self.average else generator
        self.adaptive = AdaptiveProbability(self.augment) if self.augment.policy and self.augment.target > 0 else None
        # So that Keras finds what plain objects own.
        self.adaptive_variables = self.adaptive.variables if self.adaptive else []
        self.replay_images = self.replay.images if self.replay else None
        names = ["g_loss", "d_loss", "d_real", "d_fake"]
        names += ["penalty"] * self._penalised + ["augment_p"] * (self.adaptive is not None)
        self.stats = [MeanStd(name) for name in names]
        self.verdicts = (Histogram("d_real"), Histogram("d_fake"))
        self.built = True

    steps_per_execution: int
    train_function: Any

    def compile(
        self,
        g_optimizer: keras.optimizers.Optimizer,
        d_optimizer: keras.optimizers.Optimizer,
        loss: str = "bce",
        squash: bool = False,
        jit_compile: bool | None = None,
        steps_per_execution: int = 1,
    ) -> None:
        """Set the optimizers and the loss (a name in `doggan.losses.LOSSES`; with `squash`, `squashed`).

        XLA (`jit_compile`) is on by default where the backend has an accelerator; under TensorFlow it is off on a CPU,
        where it makes these convolutions several times slower, and on several devices, where it cannot be. With
        `steps_per_execution` above 1 `fit` runs so many steps in one call, logs the last one's numbers, and takes
        epochs of a multiple of it only.
        """
        if jit_compile is None:
            jit_compile = keras.backend.backend() == "jax" or (has_accelerator() and not replicas.planned())
        if jit_compile and replicas.planned():
            raise DogganError("XLA does not compile a step of several devices under TensorFlow; leave jit_compile out.")
        if loss not in LOSSES:
            raise DogganError(f"There is no loss {loss!r}; it is one of {', '.join(LOSSES)}.")
        if squash and loss not in SQUASHABLE:
            raise DogganError(f"squash is for the loss {', '.join(SQUASHABLE)}, and not for {loss}; leave it out.")
        if self.replay is not None and loss in PAIRED:
            raise DogganError(f"The loss {loss} pairs real pictures with fakes, and a replay buffer has no pairs.")
        super().compile(
            optimizer=None,
            loss=None,
            auto_scale_loss=False,
            jit_compile=jit_compile,
            steps_per_execution=steps_per_execution,
        )
        self._loss_tracker = None
        self.train_functions: dict[int, Any] = {}  # by the steps in a call
        self.gan_loss = squashed(LOSSES[loss]) if squash else LOSSES[loss]
        self.relativistic = loss in RELATIVISTIC
        self.g_optimizer, self.d_optimizer = g_optimizer, d_optimizer
        # Built now, so that their slots exist to be restored before the first step.
        g_optimizer.build(self.generator.trainable_variables)
        d_optimizer.build(self.discriminator.trainable_variables)
        self.prepare(g_optimizer)
        self.prepare(d_optimizer)
        self.optimizer = BothOptimizers(g_optimizer, d_optimizer)

    def set_steps_per_execution(self, steps: int) -> None:
        """Let the next `fit` run so many steps in one call; a number it has not had compiles again."""
        self.train_functions[self.steps_per_execution] = self.train_function
        self.steps_per_execution = steps
        self.train_function = self.train_functions.get(steps)

    def call(self, z: Any, training: bool = False) -> Any:
        """Pictures [B, H, W, C] in [-1, 1] from z [B, latent_dim], or [z, classes], by `sampler`."""
        return self.sampler(z, training=training)

    def step_on(self, batch: Any, draws: Sequence[Any] | None = None) -> dict[str, Any]:
        """One training step: the updates of both networks, and what follows from them."""
        step = ops.copy(self.step)
        with step_scope(self.seed, step, draws) as asked:
            given = batch if self.pictures is None else self.pictures(batch)
            real = Pictures(given) if self.fake_classes is None else Pictures(*given)
            if real.images.shape[0] is None:
                raise DogganError("The step needs batches of one known size; batch with drop_remainder=True.")
            if self.update_rule == "simultaneous":
                seen = self._update_both(real)
            else:
                for share in real.split(self.d_steps):
                    seen, latent = self._update_discriminator(share)
                seen = self._update_generator(share, seen, latent if self.reuse_z else self._draw_latent(share))
            if self.replay is not None:
                self._learn_from(self.replay, step, seen)
        self.asked = tuple(asked)
        seen = seen.of_all_replicas()
        images = real.images.shape[0] * replicas.count()
        if self.average is not None:
            self.average.update(self.generator, ops.cast(step, "float32") * images, images)
        if self.adaptive is not None:
            self.adaptive.update(seen.on_real, step, images)
        self.step.assign(step + 1)
        return self._logs(seen)

    def _update_both(self, real: Pictures) -> Seen:
        """Draw z, make fakes, score real and fake, two losses, two updates."""
        latent = self._draw_latent(real)
        targets = self._targets(real.images.shape[0])

        def forward(penalised: bool) -> tuple[tuple[Any, Any], Seen]:
            seen = self._judge_both(real, self._fakes(latent), targets, penalised)
            losses = (
                self.g_optimizer.scale_loss(seen.g_loss),
                self.d_optimizer.scale_loss(seen.d_loss + seen.penalty),
            )
            return losses, seen

        (g_gradients, d_gradients), seen = self._differentiate(
            forward, [self.generator.trainable_variables, self.discriminator.trainable_variables]
        )
        self.apply(self.g_optimizer, g_gradients, self.generator.trainable_variables)
        self.apply(self.d_optimizer, d_gradients, self.discriminator.trainable_variables)
        return seen

    def _update_discriminator(self, real: Pictures) -> tuple[Seen, Latent]:
        """Draw z, make fakes, score real and fake, update D."""
        latent = self._draw_latent(real)
        with state_kept() if self.reuse_z else nullcontext():
            fake = self._fakes(latent)
        fake = fake._replace(images=ops.stop_gradient(fake.images))
        targets = self._targets(real.images.shape[0])

        def forward(penalised: bool) -> tuple[tuple[Any], Seen]:
            seen = self._judge_both(real, fake, targets, penalised)
            return (self.d_optimizer.scale_loss(seen.d_loss + seen.penalty),), seen

        (gradients,), seen = self._differentiate(forward, [self.discriminator.trainable_variables])
        self.apply(self.d_optimizer, gradients, self.discriminator.trainable_variables)
        return seen, latent

    def _update_generator(self, real: Pictures, before: Seen, latent: Latent) -> Seen:
        """Make fakes, score them, update G; D's side of the result is that of its update before."""
        batch_size = real.images.shape[0]

        def forward() -> tuple[tuple[Any], Seen]:
            fake = self._fakes(latent)
            # Only a relativistic g_loss reads D(real); none reads the targets.
            on_real = self.judge(*real) if self.relativistic else before.on_real
            g_loss, _ = self.gan_loss(on_real, self.judge(*fake), hard_targets(batch_size, batch_size))
            return (self.g_optimizer.scale_loss(g_loss),), before._replace(g_loss=g_loss, fake=fake.images)

        (gradients,), seen = self.losses_and_gradients(forward, [self.generator.trainable_variables])
        self.apply(self.g_optimizer, gradients, self.generator.trainable_variables)
        return seen

    def _draw_latent(self, real: Pictures) -> Latent:
        """z, and the classes that the fakes are asked for, as many as there are real pictures."""
        z = normal((real.images.shape[0], self.latent_dim))
        return Latent(z, None if self.fake_classes is None else self.fake_classes(real.classes))

    def _fakes(self, latent: Latent) -> Pictures:
        return Pictures(self.generator(told(*latent), training=True), latent.classes)

    def judge(self, images: Any, classes: Any = None) -> Any:
        """D's logits [B, 1] on pictures, augmented and noisy as the step has it, and their classes."""
        p = self.augment.probability if self.adaptive is None else self.adaptive.value
        images = augment(images, self.augment.policy, p)
        if self.instance_noise.std > 0:
            images = instance_noise(images, noise_std(self.instance_noise, self.step, self.total_steps))
        return self.discriminator(told(images, classes), training=True)

    def _judge_both(self, real: Pictures, fake: Pictures, targets: Targets, penalised: bool) -> Seen:
        """D on real pictures and fakes, both losses, and the weighted sum of the penalties on D."""
        weights = self.penalty if penalised else Penalty()
        on_real, r1 = self._judge_with_slope(real, weights.r1)
        on_fake, r2 = self._judge_with_slope(fake, weights.r2)
        penalty = r1 + r2
        if weights.gp > 0:
            # A mixture has no class of its own; where that of the fake is another, D is asked as of the real one.
            mixed = Pictures(between(real.images, fake.images), real.classes)
            with state_kept():
                _, gradient = self._logits_and_slope(mixed)
            penalty += weights.gp * one_centred(gradient)
        if weights.final != 1:
            penalty *= annealed(weights.final, self.step, self.total_steps)
        g_loss, d_loss = self.gan_loss(on_real, on_fake, targets)
        return Seen(g_loss, d_loss, weights.interval * penalty, on_real, on_fake, fake.images)

    def _judge_with_slope(self, pictures: Pictures, weight: float) -> tuple[Any, Any]:
        """D's logits, and weight / 2 · E‖∇D‖² from the same forward pass."""
        if weight == 0:
            return self.judge(*pictures), ops.zeros(())
        logits, gradient = self._logits_and_slope(pictures)
        return logits, weight / 2 * zero_centred(gradient)

    def _logits_and_slope(self, pictures: Pictures) -> tuple[Any, Any]:
        return self.value_and_input_gradient(lambda images: self.judge(images, pictures.classes), pictures.images)

    @property
    def _penalised(self) -> bool:
        return self.penalty.r1 > 0 or self.penalty.r2 > 0 or self.penalty.gp > 0

    def _differentiate(
        self, forward: Callable[[bool], tuple[tuple[Any, ...], Seen]], variables: Sequence[Sequence[Any]]
    ) -> tuple[list[list[Any]], Seen]:
        """Gradients of `forward`'s losses, with the penalties in the steps where they are due."""

        def gradients(penalised: bool) -> tuple[list[list[Any]], Seen]:
            return self.losses_and_gradients(lambda: forward(penalised), variables)

        if not self._penalised or self.penalty.interval == 1:
            return gradients(self._penalised)
        due = ops.convert_to_tensor(self.step) % self.penalty.interval == 0
        return self.cond(due, lambda: gradients(True), lambda: gradients(False))

    def _targets(self, batch_size: int) -> Targets:
        if self.labels == "published":
            return hard_targets(batch_size, batch_size)
        return noisy_targets(batch_size, batch_size, self.label_noise)

    def _learn_from(self, replay: ReplayBuffer, step: Any, seen: Seen) -> None:
        """Keep a fake; when the buffer is full, teach D that its content is fake, and empty it.

        D(real) of the step stands still meanwhile: it counts only in the relativistic losses, which compare with it.
        """
        # All replicas keep the first fake of the whole batch, and each teaches its rows of the content.
        content = replicas.own_rows(replay.keep(replicas.gather(seen.fake[:1]), step))

        def learn() -> Any:
            on_real = ops.stop_gradient(seen.on_real)

            def forward() -> tuple[tuple[Any], None]:
                targets = hard_targets(on_real.shape[0], content.shape[0])
                _, d_loss = self.gan_loss(on_real, self.judge(content), targets)
                return (self.d_optimizer.scale_loss(d_loss),), None

            (gradients,), _ = self.losses_and_gradients(forward, [self.discriminator.trainable_variables])
            self.apply(self.d_optimizer, gradients, self.discriminator.trainable_variables)
            replay.empty()
            return ops.zeros(())

        self.cond(replay.is_full(step), learn, lambda: ops.zeros(()))

    def _logs(self, seen: Seen) -> dict[str, Any]:
        verdicts = [ops.sigmoid(ops.cast(logits, "float32")) for logits in (seen.on_real, seen.on_fake)]
        for histogram, probabilities in zip(self.verdicts, verdicts, strict=True):
            histogram.update_state(probabilities)
        values = {
            "g_loss": seen.g_loss,
            "d_loss": seen.d_loss,
            "d_real": ops.mean(verdicts[0]),
            "d_fake": ops.mean(verdicts[1]),
            "penalty": seen.penalty,
        }
        if self.adaptive is not None:
            values["augment_p"] = self.adaptive.value
        return take_in(self.stats, values)

    def saved_variables(self) -> dict[str, Any]:
        """Every variable that training moves, by a key that is stable between processes."""
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        if self.average is not None:
            networks["average"] = self.average.generator
        optimizers = {"g_optimizer": self.g_optimizer, "d_optimizer": self.d_optimizer}
        saved = {
            f"{owner}.{i:03d}.{variable.name}": variable
            for owner, network in networks.items()
            for i, variable in enumerate(network.variables)
        }
        # An optimizer's variables are named after those it moves, whose numbering depends on what was built before.
        saved |= {
            f"{owner}.{i:03d}": variable
            for owner, optimizer in optimizers.items()
            for i, variable in enumerate(optimizer.variables)
        }
        saved |= {f"moments.{stat.name}.{v.name}": v for stat in self.stats for v in stat.variables}
        saved |= {f"histogram.{verdict.name}.counts": verdict.counts for verdict in self.verdicts}
        saved |= {f"augment.{variable.name}": variable for variable in self.adaptive_variables}
        if self.replay is not None:
            saved["replay"] = self.replay.images
        return saved | {"step": self.step}
