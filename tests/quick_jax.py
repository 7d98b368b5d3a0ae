"""JAX that compiles in a third of the time: XLA optimises for seconds what a test runs a few times."""

import functools
import os
import subprocess
import sys

FLAGS = ("--xla_cpu_use_fusion_emitters=false", "--xla_llvm_disable_expensive_passes=true")
READ_FLAGS = "from jaxlib.xla_client import CompileOptions; CompileOptions()"


@functools.cache
def quick_jax(level: int = 0) -> dict[str, str]:
    """What the environment of a process on JAX must hold for it.

    Args:
        level: 0 compiles in the least time, 1 where a step is run often: the gradient of a transposed convolution's
            kernel takes ten times as long at 0.
    """
    flags = (os.environ.get("XLA_FLAGS", ""), *FLAGS, f"--xla_backend_optimization_level={level}")
    quick = {"XLA_FLAGS": " ".join(flags).strip()}
    # XLA ends a process whose flags it does not know, and a later one may not know these.
    read = subprocess.run([sys.executable, "-c", READ_FLAGS], env=os.environ | quick, capture_output=True)
    return quick if read.returncode == 0 else {"JAX_DISABLE_MOST_OPTIMIZATIONS": "true"}
