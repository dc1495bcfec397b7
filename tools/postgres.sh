#!/bin/sh
# Install PostgreSQL from the system's packages, where it is missing and may be installed: a test starts a server of its own.
set -eu
if command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    exit 0
fi
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "Installing PostgreSQL, once."
    (apt-get update -q && apt-get install -y -q --no-install-recommends postgresql) >/dev/null 2>&1 && exit 0
fi
echo "There is no PostgreSQL here; the tests of searches that machines share are skipped without it." >&2
exit 1
