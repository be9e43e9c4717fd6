#!/bin/sh
# Usage: install.sh [NAME...]
#
# Puts pinned agent CLIs into ${SMITHERS_AGENT_CACHE:-.cache/agents}, all of the table or those that are named: npm and
# PyPI packages, from where npm and pip are set up to look. What is there is left alone. What cannot be had is said by
# name and skipped; that is a failure only for a single CLI that was asked for. bin/ holds a program for each.
set -eu
cd "$(dirname "$0")/../.."
cache=${SMITHERS_AGENT_CACHE:-.cache/agents}
python=${PYTHON:-python3}
node=22.23.3

case $(uname -s) in
    Linux) system=linux ;;
    Darwin) system=darwin ;;
    *) system=none ;;
esac
case $(uname -m) in
    x86_64 | amd64) machine=x64 ;;
    aarch64 | arm64) machine=arm64 ;;
    *) machine=none ;;
esac
platform=$system-$machine

# NAME VERSION KIND PACKAGES PROGRAMS. Several packages or programs are separated by commas; the first program becomes
# bin/NAME, the others keep their names. `native`: from npm, a program of its own; npm 11 runs no install script, so the
# launcher that some place with theirs is not there. `node`: from npm, a script for Node 22. `pythonLOW-HIGH`: from PyPI,
# for these Python versions (3.LOW to 3.HIGH).
table() {
    cat << END
claude    2.1.329   native        @anthropic-ai/claude-code-$platform@2.1.329   claude-code-$platform/claude
codex     0.169.0   native        @openai/codex@0.169.0                         vendor/*/bin/codex
gemini    0.61.0    node          @google/gemini-cli@0.61.0                     gemini-cli/bundle/gemini.js
qwen      0.24.4    node          @qwen-code/qwen-code@0.24.4                   qwen-code/cli-entry.js
copilot   1.0.102   native        @github/copilot-$platform@1.0.102             copilot-$platform/copilot
opencode  1.18.33   native        opencode-$platform@1.18.33                    opencode-$platform/bin/opencode
pi        0.87.1    node          @earendil-works/pi-coding-agent@0.87.1        pi-coding-agent/dist/bundle/cli.js
kimi      1.51.0    python12-13   kimi-cli==1.51.0                              bin/kimi,bin/kimi-cli
kimi-code 2.1.0     node          @moonshot-ai/kimi-code@2.1.0                  kimi-code/dist/main.mjs
vibe      3.0.2     python12-13   mistral-vibe==3.0.2                           bin/vibe,bin/vibe-acp
cline     3.0.65    native        @cline/cli-$platform@3.0.65                   cli-$platform/bin/cline
mini      2.4.6     python10-13   mini-swe-agent==2.4.6,mcp                     bin/mini
aider     0.86.2    python10-12   aider-chat==0.86.2                            bin/aider
amp       0.0.1790142911 native   @ampcode/cli-$platform@0.0.1790142911-g7618fb cli-$platform/amp
END
}

skip() {
    echo "skipped $name $version: $1" >&2
    return 1
}

# Prints the file in the folder $1 whose path ends with $2.
find_program() {
    find "$1" -type f -path "*/$2" | head -n 1
}

npm_install() {
    command -v npm > /dev/null || skip "there is no npm; install Node.js" || return 1
    npm install --prefix "$1" --no-audit --no-fund --ignore-scripts --loglevel=error \
        --fetch-timeout=60000 --fetch-retries=1 "$2" > "$cache/.log" 2>&1 ||
        skip "npm could not install $2: $(grep -v '^npm warn' "$cache/.log" | head -n 1)"
}

# Sets `node_program` to Node 22, which is on npm too.
need_node() {
    node_program=$cache/node-$node/node_modules/node-$platform/bin/node
    [ -x "$node_program" ] || npm_install "$cache/node-$node" "node-$platform@$node" || return 1
    [ -x "$node_program" ] || skip "there is no Node $node for $platform"
}

# Prints a Python between 3.$1 and 3.$2.
find_python() {
    {
        echo "$python"
        for minor in 13 12 11 10; do
            echo "python3.$minor"
            uv --no-config python find --no-python-downloads "3.$minor" 2> /dev/null || true
            find "${PYENV_ROOT:-$HOME/.pyenv}/versions" -maxdepth 3 -path "*/3.$minor.*/bin/python" 2> /dev/null || true
        done
    } | while read -r one; do
        if "$one" -c "import sys; sys.exit(not (3, $1) <= sys.version_info[:2] <= (3, $2))" 2> /dev/null; then
            echo "$one"
            break
        fi
    done
}

python_install() {
    low=${kind#python} high=${kind#*-} low=${low%-*}
    base=$(find_python "$low" "$high")
    [ -n "$base" ] || skip "there is no Python from 3.$low to 3.$high" || return 1
    "$base" -m venv --clear "$folder" > "$cache/.log" 2>&1 || skip "$base cannot make a virtual environment" || return 1
    # shellcheck disable=SC2046 # one word a package
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check $(echo "$packages" | tr , ' ') \
        > "$cache/.log" 2>&1 || skip "pip could not install it: $(tail -n 1 "$cache/.log")"
}

# Makes bin/$2 start the file $1.
place() {
    rm -f "$cache/bin/$2"
    if [ "$kind" = node ]; then
        printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$node_program" "$1" > "$cache/bin/$2"
        chmod +x "$cache/bin/$2"
    else
        chmod +x "$1"
        ln -s "$1" "$cache/bin/$2"
    fi
}

install() {
    folder=$cache/$name-$version
    if [ -x "$cache/bin/$name" ] && [ -e "$folder/.complete" ]; then
        return
    fi
    [ "$system" != none ] && [ "$machine" != none ] || skip "not for $(uname -s) on $(uname -m)" || return 1
    echo "installing $name $version"
    case $kind in
        node) need_node || return 1 ;;
    esac
    case $kind in
        python*) python_install || return 1 ;;
        *) npm_install "$folder" "$packages" || return 1 ;;
    esac
    first=$name
    for pattern in $(set -f; echo "$programs" | tr , ' '); do
        program=$(find_program "$folder" "$pattern")
        [ -n "$program" ] || skip "there is no $pattern in $packages" || return 1
        place "$program" "${first:-$(basename "$pattern")}"
        first=
    done
    touch "$folder/.complete"
}

mkdir -p "$cache/bin"
cache=$(cd "$cache" && pwd)
# Two of these at once would install into the same folder.
if command -v flock > /dev/null; then
    exec 9> "$cache/.lock"
    flock 9
fi

for wanted in "$@"; do
    table | grep -q "^$wanted " || { echo "there is no $wanted here; there are $(table | cut -d ' ' -f 1 | xargs)" >&2; exit 2; }
done
there='' missing=''
set -f # the patterns are for find
while read -r name version kind packages programs; do
    case " ${*:-$name} " in
        *" $name "*)
            # npm and pip read standard input, which is the table.
            if install < /dev/null; then there="$there $name"; else missing="$missing $name"; fi
            ;;
    esac
done << END
$(table)
END
rm -f "$cache/.log"
echo "agent CLIs in $cache:${there:- none}${missing:+; not there:$missing}"
[ -z "$missing" ] || [ $# -ne 1 ]
