#!/bin/sh
# Puts the pinned peers into ${SMITHERS_PEERS_CACHE:-.cache/peers}, with pip as it is configured. Each by itself: one that
# cannot be had is said by name, and the others are measured. Does nothing when they are there.
set -eu
cd "$(dirname "$0")/../../.."
cache=${SMITHERS_PEERS_CACHE:-.cache/peers}
python=${PYTHON:-python3}
list=tests/bench/peers/requirements.txt

wanted=$(grep -v '^#' "$list")
if [ "$(cat "$cache/.complete" 2> /dev/null)" = "$wanted" ]; then
    exit 0
fi
echo "installing what $list names into $cache"
mkdir -p "$cache"
"$python" -m venv --clear "$cache/venv"
missing=''
for one in $wanted; do
    if ! "$cache/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$one" > "$cache/.log" 2>&1; then
        echo "skipped $one: $(tail -n 1 "$cache/.log")" >&2
        missing="$missing $one"
    fi
done
rm -f "$cache/.log"
[ -n "$missing" ] || echo "$wanted" > "$cache/.complete"
