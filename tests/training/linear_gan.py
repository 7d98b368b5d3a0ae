"""A GAN small enough to be written out in NumPy: fakes = z W, logit = x v."""

import keras
import numpy as np

from doggan.training.gan import GAN

LATENT, PIXELS, BATCH = 3, 4, 8


def linear_gan(activation=None, optimizer=None, loss="bce", steps_per_execution=1, **options):
    """Fakes = z W, logit = activation(x v), with SGD of rate 0.1 unless another optimizer is made."""
    generator = keras.Sequential(
        [keras.Input((LATENT,)), keras.layers.Dense(PIXELS, use_bias=False), keras.layers.Reshape((2, 2, 1))]
    )
    discriminator = keras.Sequential(
        [
            keras.Input((2, 2, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(1, use_bias=False, activation=activation),
        ]
    )
    rng = np.random.default_rng(0)
    generator.set_weights([rng.normal(size=(LATENT, PIXELS)).astype("float32")])
    discriminator.set_weights([rng.normal(size=(PIXELS, 1)).astype("float32")])
    gan = GAN(generator, discriminator, **{"labels": "published", "seed": 5} | options)
    optimizer = optimizer or (lambda: keras.optimizers.SGD(0.1))
    gan.compile(optimizer(), optimizer(), loss=loss, steps_per_execution=steps_per_execution)
    return gan


def real_batches(n=1000, rows=BATCH):
    """Batches of real pictures, uniform in [-1, 1]."""
    rng = np.random.default_rng(1)
    return [rng.uniform(-1, 1, (rows, 2, 2, 1)).astype("float32") for _ in range(n)]


def normals(n, *shape):
    """n arrays of standard normal numbers."""
    rng = np.random.default_rng(2)
    return [rng.normal(size=shape).astype("float32") for _ in range(n)]


def fit(gan, batches, steps, draws=None, epochs=1, **options):
    """Train on a list of batches, with a tuple of draws for each step where they are given."""
    elements = [(batch,) for batch in batches] if draws is None else list(zip(batches, draws, strict=False))
    data = (element for element in elements)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        signature = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), elements[0])
        data = tf.data.Dataset.from_generator(lambda: iter(elements), output_signature=signature)
    return gan.fit(data, steps_per_epoch=steps, epochs=epochs, verbose=0, shuffle=False, **options)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def weights(gan):
    """(W, v) in float64."""
    w, v = (net.get_weights()[0].astype("float64") for net in (gan.generator, gan.discriminator))
    return w, v
