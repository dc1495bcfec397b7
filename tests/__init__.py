"""The tests; a package, because tf2onnx installs another one called `tests`."""
