#!/bin/sh
# Make the virtual environment $1 with the locked packages, with the Python $2 or the first that fits.
# The file `installed` in it is written last: without it the environment counts as absent.
set -eu
venv=$1
for python in ${2:-python3 python3.13 python3.12 python3.11}; do
    if "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
        found=$python
        break
    fi
done
if [ -z "${found:-}" ]; then
    echo "error: no Python 3.11 to 3.13 found (TensorFlow has no other); install one and name it: make setup PYTHON=python3.12" >&2
    exit 2
fi
version() { "$1" -c 'import sys; print(sys.version_info[:2])'; }
if cmp -s requirements.lock "$venv/installed" && [ "$(version "$found")" = "$(version "$venv/bin/python")" ]; then
    exit 0
fi
echo "Setting up $venv with $($found --version); a few minutes, once."
rm -rf "$venv"
"$found" -m venv "$venv"
quiet=--quiet
[ -t 1 ] && quiet=  # a person watching sees pip's progress
"$venv/bin/python" -m pip install $quiet --disable-pip-version-check --require-hashes -r requirements.lock
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
cp requirements.lock "$venv/installed.new"
mv "$venv/installed.new" "$venv/installed"
