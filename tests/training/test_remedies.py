"""Advice is given where it helps, and nowhere else."""

import pytest

from digits.training.remedies import explained

# messages of TensorFlow 2.21, of the dynamic linker and of `common.processes`
DAMAGED = (
    "ImportError: libtensorflow_framework.so.2: file too short",
    "ImportError: libtensorflow_cc.so.2: cannot open shared object file: No such file or directory",
    "ModuleNotFoundError: No module named 'keras.src'",
)
NOT_DAMAGED = (
    "ImportError: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by libtensorflow_cc.so.2)",
    "ImportError: /lib/libstdc++.so.6: version `CXXABI_1.3.13' not found (required by _pywrap_tensorflow_internal.so)",
    "its process was ended by SIGSEGV",
)
GPU_MEMORY = (
    "InternalError: cudaSetDevice() on GPU:0 failed. Status: out of memory",
    "InternalError: failed call to cuDevicePrimaryCtxRetain: CUDA_ERROR_OUT_OF_MEMORY: out of memory",
    "ResourceExhaustedError: {{function_node __wrapped__Conv2D_device_/job:localhost/replica:0/task:0/device:GPU:0}} "
    "OOM when allocating tensor with shape[128,32,26,26] and type float on device:GPU:0 by allocator GPU_0_bfc",
    "its process was ended by SIGABRT: failed to create cublas handle: CUDA_ERROR_OUT_OF_MEMORY",
)
GPU = (
    "InternalError: cudaGetDevice() failed. Status: CUDA driver version is insufficient for CUDA runtime version",
    "NotFoundError: No algorithm worked! cuDNN failed",
)
INSTRUCTIONS = (
    "its process was ended by SIGILL: this processor lacks instructions that a library was built for",
    "its process was ended by SIGABRT: The TensorFlow library was compiled to use AVX instructions, but these aren't "
    "available on your machine.",
)
LIMITED = (
    "ImportError: libtensorflow_cc.so.2: failed to map segment from shared object",
    "its process was ended by SIGABRT: Check failed: ret == 0 (11 vs. 0) Thread tf_async_compiler_threads creation via "
    "pthread_create() failed.",
    "its process was ended by SIGABRT:   what():  std::bad_alloc",
)
MEMORY = ("its process was killed, most often because memory ran out", "MemoryError: ")
ADVICE = {
    "to reinstall it": DAMAGED,
    "nvidia-smi": GPU_MEMORY,
    "with CUDA_VISIBLE_DEVICES=-1 before it, the same command uses the processor": (*GPU_MEMORY, *GPU),
    "make baseline does without TensorFlow": INSTRUCTIONS,
    "in a shell without such a limit": LIMITED,
    "close other programs": MEMORY,
}
ALL = (*DAMAGED, *NOT_DAMAGED, *GPU_MEMORY, *GPU, *INSTRUCTIONS, *LIMITED, *MEMORY)


@pytest.mark.parametrize("cause", ALL)
def test_the_cause_stays_and_what_helps_is_added(cause: str) -> None:
    said = explained(cause)
    assert said.startswith(cause)
    assert "\n" not in said
    for advice, causes in ADVICE.items():
        assert (advice in said.replace("pip install --force-reinstall", "to reinstall it")) == (cause in causes)
