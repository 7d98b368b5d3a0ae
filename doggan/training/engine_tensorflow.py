"""How TensorFlow runs the step: gradients by tapes, variables assigned in place, Keras' own loop over steps.

Under `tf.distribute` (`doggan.devices`) every replica runs the step on its rows, and the loop is ours: Keras' own fails
where several steps run in one call, and joins the logs of workers by concatenation.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from doggan import replicas
from doggan.randomness import alternatives


def _dense(gradient: Any) -> Any:
    """A gradient as one tensor: that of an embedding is a list of rows, in which a row may stand several times.

    Keras' optimizers take the squares of such rows one by one, and Adam would see Σ g² where it should see (Σ g)².
    """
    return tf.convert_to_tensor(gradient) if isinstance(gradient, tf.IndexedSlices) else gradient


class Engine:
    """Mixed into `GAN`, which provides `step_on(batch, draws)`."""

    step_on: Callable[..., dict[str, Any]]
    steps_per_execution: int
    train_function: Any
    distribute_strategy: Any

    def make_train_function(self, force: bool = False) -> None:
        """What `fit` calls, `steps_per_execution` steps at once."""
        strategy, k = self.distribute_strategy, self.steps_per_execution
        if strategy.num_replicas_in_sync == 1:
            super().make_train_function(force)  # type: ignore[misc]
            return
        if self.train_function is not None and not force:
            return

        def one(iterator: Iterator[Any]) -> dict[str, Any]:
            logs = strategy.run(self._step_on_own_rows, args=(next(iterator),))
            return {name: strategy.experimental_local_results(value)[0] for name, value in logs.items()}

        @tf.function
        def run(iterator: Iterator[Any]) -> dict[str, Any]:
            if k > 1:  # TensorFlow would trace the step for a loop of no rounds too
                for _ in tf.range(k - 1):
                    one(iterator)
            return one(iterator)

        self.train_function = run

    def _maybe_symbolic_build(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: Keras would try the model on the mean of a batch, and indices of pictures have none."""

    def _step_on_own_rows(self, data: Any) -> dict[str, Any]:
        """One step on parts [1, B, ...] of what `doggan.data.batches` divided between the replicas."""
        return self.train_step(tf.nest.map_structure(lambda part: part[0], data))

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step as Keras' TensorFlow trainer calls it, on a batch, (batch,) or (batch, draws)."""
        return self.step_on(*data) if isinstance(data, tuple) else self.step_on(data)

    def losses_and_gradients(
        self, forward: Callable[[], tuple[tuple[Any, ...], Any]], variables: Sequence[Sequence[Any]]
    ) -> tuple[list[list[Any]], Any]:
        """Run `forward() -> (losses, extra)` once; the i-th loss is differentiated by the i-th variables.

        Returns:
            The gradients and `extra`.
        """
        watched = [[variable.value for variable in group] for group in variables]
        with contextlib.ExitStack() as open_tapes:
            # Each sees only what leads to its own variables: among replicas, where going back means to exchange, no
            # unused result is pruned.
            tapes = [open_tapes.enter_context(tf.GradientTape(watch_accessed_variables=False)) for _ in watched]
            for tape, group in zip(tapes, watched, strict=True):
                tape.watch(group)
            losses, extra = forward()
        gradients = [tape.gradient(*pair) for tape, *pair in zip(tapes, losses, watched, strict=True)]
        return tf.nest.map_structure(_dense, gradients), extra

    def value_and_input_gradient(self, function: Callable[[Any], Any], x: Any) -> tuple[Any, Any]:
        """y = function(x) and d sum(y) / dx, both differentiable, from one forward pass: state moves once."""
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return y, tape.gradient(y, x)

    def cond(self, predicate: Any, yes: Callable[[], Any], no: Callable[[], Any]) -> Any:
        """`yes()` where the scalar `predicate` is true, else `no()`; both may assign, and return the same structure."""
        branches = alternatives(yes, no)
        if replicas.count() == 1:
            return tf.cond(predicate, *branches)

        # Replicas cannot meet inside of a condition. So they meet first, and the condition sends them into a branch.
        def together(strategy: Any, predicate: Any, *branches: Any) -> Any:
            def on_each(branch: Any) -> Callable[[], Any]:
                return lambda: strategy.extended.call_for_each_replica(lambda own: own(), args=(branch,))

            return tf.cond(strategy.experimental_local_results(predicate)[0], *map(on_each, branches))

        result = tf.distribute.get_replica_context().merge_call(together, args=(predicate, *branches))
        return tf.nest.map_structure(tf.identity, result)  # on the replica's own device, which reducing goes by

    def prepare(self, optimizer: Any) -> None:
        """Make an optimizer ready for `apply`."""
        if replicas.planned():
            # Keras would add the replicas' gradients up, after each was clipped and checked for overflows by itself.
            inner = getattr(optimizer, "inner_optimizer", optimizer)
            assert hasattr(inner, "_all_reduce_sum_gradients"), "this Keras adds up gradients elsewhere"
            inner._all_reduce_sum_gradients = list

    def apply(self, optimizer: Any, gradients: list[Any], variables: list[Any]) -> None:
        """One optimizer update, by the gradients of the whole batch."""
        optimizer.apply(replicas.mean(gradients), variables)
