"""The Keras family: networks of digits.models.architecture, trained on distorted images by one loop."""

from digits.models.cnn.classifier import CnnClassifier, build, save

__all__ = ["CnnClassifier", "build", "save"]
