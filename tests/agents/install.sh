#!/bin/sh
# Puts pinned agent CLIs into ${SMITHERS_AGENT_CACHE:-.cache/agents}, from npm as it is configured. Does nothing when
# they are there. The tests call the native binaries: npm 11 runs no install script that would place a launcher.
set -eu
cd "$(dirname "$0")/../.."
cache=${SMITHERS_AGENT_CACHE:-.cache/agents}
claude=2.1.329
codex=0.169.0

case $(uname -s) in
    Linux) system=linux ;;
    Darwin) system=darwin ;;
    *) echo "there are no agent CLIs for $(uname -s)" >&2; exit 1 ;;
esac
case $(uname -m) in
    x86_64 | amd64) machine=x64 ;;
    aarch64 | arm64) machine=arm64 ;;
    *) echo "there are no agent CLIs for $(uname -m)" >&2; exit 1 ;;
esac

# install NAME VERSION PACKAGE PATTERN: the file in the package whose path ends with PATTERN becomes bin/NAME.
install() {
    name=$1 version=$2 package=$3 pattern=$4
    folder=$cache/$name-$version
    if [ -x "$cache/bin/$name" ] && [ -e "$folder/.complete" ]; then
        return
    fi
    if ! command -v npm > /dev/null; then
        echo "npm is needed to install $name $version; install Node.js, then run this again" >&2
        exit 1
    fi
    echo "installing $name $version into $folder"
    rm -rf "$folder"
    mkdir -p "$folder" "$cache/bin"
    npm install --prefix "$folder" --no-audit --no-fund --ignore-scripts --loglevel=error "$package" > /dev/null
    program=$(find "$folder" -type f -perm -u+x -path "*/$pattern" | head -n 1)
    if [ -z "$program" ]; then
        echo "no $pattern in $package" >&2
        exit 1
    fi
    ln -sf "$(cd "$(dirname "$program")" && pwd)/$(basename "$program")" "$cache/bin/$name"
    touch "$folder/.complete"
}

install claude "$claude" "@anthropic-ai/claude-code-$system-$machine@$claude" "claude-code-$system-$machine/claude"
install codex "$codex" "@openai/codex@$codex" "vendor/*/bin/codex"
