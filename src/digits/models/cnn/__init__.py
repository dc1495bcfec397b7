"""The Keras family: convolutional networks, trained on augmented images by one loop."""

from digits.models.cnn.classifier import CnnClassifier, build, load, save

__all__ = ["CnnClassifier", "build", "load", "save"]
