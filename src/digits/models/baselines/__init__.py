"""Classifiers of scikit-learn behind one interface."""
