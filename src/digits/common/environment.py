"""Cleans what a process inherits: variables of other programs that would change a result or break a command."""

import atexit
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import MutableMapping

# A notebook's MPLBACKEND names a backend that only notebooks have. XLA_FLAGS with an unknown flag ends TensorFlow. An
# older Keras may have written the keras.json that Keras reads in KERAS_HOME. With the MALLOC_TRIM_THRESHOLD_ of Dask's
# nanny, glibc returns each large array to the system at once: an MLPClassifier took 2.2 times as long.
_REMOVED = ("MPLBACKEND", "MATPLOTLIBRC", "TF_USE_LEGACY_KERAS", "TF_XLA_FLAGS", "XLA_FLAGS", "PYTHONWARNINGS")
_REMOVED_ALL = ("JOBLIB_", "TF_NUM_", "MALLOC_TRIM_")  # beginnings of names
_SET = {
    "KERAS_BACKEND": "tensorflow",
    "KERAS_HOME": os.path.join(os.devnull, "keras"),  # noqa: PTH118 - no such folder, so there is no keras.json
    "HDF5_USE_FILE_LOCKING": "FALSE",  # network file systems may have none, and each file has one writer
}


def clean(environment: MutableMapping[str, str]) -> None:
    """Remove and set variables of `environment`; call it before any library is imported. Ends the process on Windows.

    What the user may want to decide stays: CUDA_VISIBLE_DEVICES, proxies, TF_ENABLE_ONEDNN_OPTS, the number of threads.
    """
    if sys.platform == "win32":  # it has no fcntl, which the locks need
        sys.exit("error: Windows needs WSL2; type wsl --install in PowerShell, then use digits in the Linux of WSL")
    if environment.get("PYTHONWARNINGS"):  # the interpreter has read it already
        sys.warnoptions.clear()
        warnings.resetwarnings()
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
    if "HOME" not in environment:
        home = os.path.expanduser("~")  # noqa: PTH111 - it is "~" for a user without a name, as in containers
        environment["HOME"] = os.devnull if home == "~" else home
    if "MPLCONFIGDIR" not in environment and not os.access(environment["HOME"], os.W_OK):
        try:
            environment["MPLCONFIGDIR"] = folder = tempfile.mkdtemp(prefix="matplotlib-")
        except OSError as error:
            sys.exit(f"error: no temporary folder: {error.strerror}; type: export TMPDIR=FOLDER, then the same command")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in [*environment]:
        if name in _REMOVED or name.startswith(_REMOVED_ALL):
            del environment[name]
    environment.update(_SET)
