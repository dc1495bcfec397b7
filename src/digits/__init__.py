"""From a Kaggle competition's CSVs of images to a scored submission that can be trusted."""
