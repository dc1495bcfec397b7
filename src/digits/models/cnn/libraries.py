"""Keras and TensorFlow, imported without the notices that their libraries print.

All modules of the family import them from here, so that the first import is the quiet one.
"""

import os
import platform

from digits.common.errors import UserError
from digits.models.cnn.quiet import quiet_import

if platform.machine().lower() in ("x86_64", "amd64"):
    # By default TensorFlow uses oneDNN's convolutions only from AVX512-VNNI on, but they are faster on AVX2 too
    # (docs/experiments/training-speed.md).
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# The probe's processes, and other programs, share a GPU's memory; by default TensorFlow takes all of it at once.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

with quiet_import():
    import keras
    import tensorflow as tf

__all__ = ["keras", "set_threads", "tf"]


def set_threads(count: int) -> None:
    """Set the number of threads of a TensorFlow operation; the same number gives the same bits.

    Raises UserError if this process has already computed with another number, because TensorFlow cannot change it.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if count == (tf.config.threading.get_intra_op_parallelism_threads() or cores):  # 0: one per core
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(count)
    except RuntimeError:
        raise UserError(
            f"train.threads = {count}, but TensorFlow already computes with another number in this process"
        ) from None
