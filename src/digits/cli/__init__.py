"""The command line. It cleans what its process inherits before anything else is imported."""

import os
import signal

from digits.common.environment import clean

clean(os.environ)
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # during the imports; `main` handles it later
