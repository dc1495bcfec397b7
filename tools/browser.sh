#!/bin/sh
# Install Chromium from the system's packages, where it is missing and may be installed.
set -eu
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then
        exit 0
    fi
done
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "Installing Chromium, once."
    (apt-get update -q && apt-get install -y -q --no-install-recommends chromium) >/dev/null 2>&1 && exit 0
fi
echo "There is no Chromium here; install it by your system's packages to look at the report in a browser." >&2
exit 1
