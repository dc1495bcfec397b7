#!/bin/sh
# Write requirements/*.lock: the versions and hashes of what each group of commands needs, on every Python and system.
# All of them are chosen together first, so that no package has two versions. Needs uv.
set -eu
cd "$(dirname "$0")/.."
all=$(mktemp)
trap 'rm -f "$all"' EXIT
resolve() { # FILE OPTIONS...
    file=$1
    shift
    uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate -o "$file" "$@" pyproject.toml
}
resolve "$all" --upgrade --all-extras --group dev --group docs "$@"
lock() { # NAME OPTIONS...
    name=$1
    shift
    resolve "requirements/$name.lock" --generate-hashes --constraints "$all" --group build "$@"
}
lock base
lock keras --extra keras
lock gpu --extra gpu
lock database --extra database
lock dashboard --extra dashboard
lock cluster --extra cluster
lock export --extra keras --extra export
lock docs --group docs
lock dev --extra keras --extra database --extra cluster --extra export --group dev
