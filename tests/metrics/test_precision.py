import pytest

from doggan.metrics.precision import full_float32


def test_full_float32_is_put_back() -> None:
    """TensorFlow's switch is global, and a training beside us may want TF32."""
    tf = pytest.importorskip("tensorflow")
    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    before = enabled()
    tf.config.experimental.enable_tensor_float_32_execution(True)
    try:
        with full_float32():
            assert not enabled()
        assert enabled()
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
