"""Keras and TensorFlow, loaded without the page of notices that their libraries print.

The rest of the family takes them from here, so that whichever module is imported first loads them quietly.
"""

from digits.models.cnn.quiet import quiet_import

with quiet_import():
    import keras
    import tensorflow as tf

__all__ = ["keras", "tf"]
