"""Published recipes, fitted here and compared with their published figures: `make recipes`.

recipe: a published configuration of a model and its data, in the YAML files of this folder. unit: one fit of a recipe,
from one seed. chain: units, each of which starts from the weights of the one before it. figure: an accuracy that a
recipe reports, on its training images (train) or its test images (test). findings: what the fits show, in sentences.
"""
