#!/bin/sh
# Install packages into a virtual environment, as far as they are not there: sh tools/setup.sh VENV PYTHON NAME...
# NAME: the packages of requirements/NAME.lock. PYTHON: the one to use; empty: that of VENV, else the first that fits.
# VENV/locks/NAME.lock is written last. Where it is absent, NAME is installed; where it differs, VENV is made anew.
set -eu
# pip would install elsewhere, or nothing, and `cd` would go elsewhere
unset PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT PIP_REQUIRE_VIRTUALENV PIP_CONSTRAINT PYTHONPATH PYTHONHOME CDPATH
venv=$1
python=$2
shift 2

version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }
installed() { cmp -s "requirements/$1.lock" "$venv/locks/$1.lock"; }
find_python() { # CANDIDATE...
    seen=
    for candidate; do
        number=$(version "$candidate")
        case $number in 3.11 | 3.12 | 3.13) echo "$candidate" && return ;; esac
        [ -z "$number" ] || seen="$seen; $candidate is $number"
    done
    if [ -z "$python" ] && command -v uv >/dev/null && uv python install --quiet 3.12 >&2; then
        uv python find 3.12 && return
    fi
    echo "error: no Python 3.11 to 3.13 found (TensorFlow supports no other)$seen; install one and name it," \
        "make setup PYTHON=python3.12, or install uv (https://docs.astral.sh/uv/), which brings its own" >&2
    return 2
}
make_venv() { # PYTHON
    if command -v uv >/dev/null; then
        uv venv --quiet --python "$1" "$venv"
    elif "$1" -c 'import ensurepip; ensurepip.version()' 2>/dev/null; then
        "$1" -m venv "$venv"
    elif "$1" -m pip --version >/dev/null 2>&1; then # Debian without python3-venv, Colab: pip brings a pip
        "$1" -m venv --without-pip "$venv"
        site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
        "$1" -m pip install --quiet --disable-pip-version-check --target "$site" pip
    else
        package=python$(version "$1")-venv
        echo "error: $1 has no ensurepip and no pip, so it cannot make $venv; on Debian or Ubuntu type" \
            "sudo apt install $package, elsewhere install uv (https://docs.astral.sh/uv/)" >&2
        return 2
    fi
}
install() {
    if command -v uv >/dev/null; then
        uv pip install $quiet --python "$venv/bin/python" "$@"
    else
        "$venv/bin/python" -m pip install $quiet --disable-pip-version-check "$@"
    fi
}
done_with() { # NAME: packages of NAME are there, and those of every lock that it contains
    case $1 in gpu | export) done_with keras ;; dev) done_with export && done_with database && done_with cluster ;; esac
    [ "$1" = base ] || done_with base
    cp "requirements/$1.lock" "$venv/locks/$1.new"
    mv "$venv/locks/$1.new" "$venv/locks/$1.lock"
}

missing=
for name; do
    [ -f "requirements/$name.lock" ] || { echo "error: EXTRAS: there is no $name; there are gpu, database, dashboard, cluster and export" >&2; exit 2; }
    installed "$name" || missing="$missing $name"
done
[ -n "$missing" ] || [ -n "$python" ] || exit 0

if [ -n "$python" ]; then
    found=$(find_python "$python")
else
    found=$(find_python "$venv/bin/python" python3 python3.13 python3.12 python3.11)
fi
"$found" tools/supported.py "$@"
keep=$([ "$(version "$found")" != "$(version "$venv/bin/python")" ] || echo yes)
for lock in "$venv"/locks/*.lock; do
    cmp -s "requirements/${lock##*/}" "$lock" || keep=
done
if [ -z "$keep" ]; then
    found=$("$found" -c 'import sys; print(sys._base_executable)') # VENV's own Python is about to go
    missing=$*
    rm -rf "$venv"
    make_venv "$found"
    mkdir "$venv/locks"
fi

quiet=--quiet
[ ! -t 1 ] || quiet= # a person who watches sees the progress
for name in $missing; do
    installed "$name" && continue
    echo "Installing requirements/$name.lock into $venv, once."
    install --require-hashes -r "requirements/$name.lock"
    installed base || install --no-deps --no-build-isolation -e .
    done_with "$name"
done
