"""scikit-learn classifiers as pipelines from images to probabilities."""
