#!/bin/sh
# Makes the virtual environment for the peer tests: a LiteLLM proxy, a translator between wire formats that nobody
# here wrote. Kept under the target directory; running this again with the same pins does nothing.
#
#   tests/peers/setup.sh && GREENROOM_PEER_TESTS=1 cargo test --test peers --test main
set -eu

cd "$(dirname "$0")/../.."
peers="${CARGO_TARGET_DIR:-target}/peers"
requirements=tests/peers/requirements.txt

if cmp -s "$requirements" "$peers/installed.txt"; then
    echo "peers: $peers is up to date"
    exit 0
fi
command -v python3 >/dev/null || { echo "peers: python3 is missing; install it with its venv module" >&2; exit 1; }
python3 -m venv --clear "$peers/venv"
nice -n 10 "$peers/venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
cp "$requirements" "$peers/installed.txt"
echo "peers: installed $(head -n 1 "$requirements") in $peers"
