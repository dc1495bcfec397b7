"""The command line. It cleans what its process inherits before anything else is imported."""

import os

from digits.common.environment import clean

clean(os.environ)
