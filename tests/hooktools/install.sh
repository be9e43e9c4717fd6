#!/bin/sh
# Puts pinned tools that own git hooks into ${SMITHERS_HOOKTOOLS_CACHE:-.cache/hooktools}: pre-commit with pip, husky and
# lefthook with npm, each as it is configured. Does nothing when they are there.
set -eu
cd "$(dirname "$0")/../.."
cache=${SMITHERS_HOOKTOOLS_CACHE:-.cache/hooktools}
python=${PYTHON:-python3}
pre_commit=4.3.0
husky=9.1.7
lefthook=1.13.6

mkdir -p "$cache"
if [ ! -e "$cache/pre-commit-$pre_commit/.complete" ]; then
    echo "installing pre-commit $pre_commit"
    "$python" -m venv "$cache/pre-commit-$pre_commit"
    "$cache/pre-commit-$pre_commit/bin/python" -m pip install --quiet --disable-pip-version-check "pre-commit==$pre_commit"
    touch "$cache/pre-commit-$pre_commit/.complete"
fi
ln -sfn "pre-commit-$pre_commit" "$cache/pre-commit"

# npm 11 runs no install script: lefthook's only looks for the binary of the system, which is a package of its own.
for tool in "husky@$husky" "lefthook@$lefthook"; do
    folder=$cache/$(echo "$tool" | tr @ -)
    if [ ! -e "$folder/.complete" ]; then
        if ! command -v npm > /dev/null; then
            echo "npm is needed to install $tool; install Node.js, then run this again" >&2
            exit 1
        fi
        echo "installing $tool"
        mkdir -p "$folder"
        npm install --prefix "$folder" --no-audit --no-fund --ignore-scripts --loglevel=error "$tool" > /dev/null
        touch "$folder/.complete"
    fi
    ln -sfn "$(basename "$folder")" "$cache/${tool%@*}"
done
