# Sourced by scripts/test, scripts/format and scripts/serve: a virtual environment that is made once and reused.
# shellcheck shell=bash

set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"

export ORT_DISABLE_TELEMETRY=1 # since 1.29 onnxruntime reports each session to its makers unless told not to

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

fail() {
    say "$@"
    exit 1
}

# need COMMAND PACKAGE WHY: that command, from Debian's package where it may be installed.
need() {
    command -v "$1" >/dev/null && return
    [[ $EUID == 0 ]] && command -v apt-get >/dev/null ||
        fail "$3 need $1; on Debian and Ubuntu: apt-get install $2"
    say "installing $2, which $3 need"
    apt-get update -qq && apt-get install -qq -y --no-install-recommends "$2"
}

# Whether $1 runs and is a Python that the project supports. A launcher on the PATH may exist and still not run.
supported() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

# The first supported Python that can make virtual environments; PYTHON, when set, is the only one tried.
find_python() {
    local name version found="" without_venv=""
    if [[ -n ${PYTHON:-} ]]; then
        set -- "$PYTHON"
    else
        set -- python3 python3.13 python3.12 python3.11 python
    fi
    for name in "$@"; do
        version="$("$name" -c 'import platform; print(platform.python_version())' 2>/dev/null)" || continue
        found="$found $name ($version)"
        supported "$name" || continue
        if "$name" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            command -v "$name"
            return
        fi
        without_venv="${without_venv:-$name}"
    done
    if [[ -n $without_venv ]]; then
        fail "$without_venv has no ensurepip, which virtual environments need;" \
            "on Debian and Ubuntu: apt-get install python3-venv"
    fi
    fail "Python 3.11 or newer is needed; found:${found:- none}. Set PYTHON to the path of one."
}

# make_environment FOLDER EXTRAS: a virtual environment with the project, editable, and those extras.
# A stamp says what was installed for whom. As long as it still holds, nothing is done. When requirements changed, pip
# runs again; when the folder was moved or the extras changed (cpu and gpu exclude each other), all is made anew.
make_environment() {
    local folder="$root/$1" extras=$2 python purpose wanted have
    local stamp="$folder/matcaps-stamp"
    purpose="[$extras] of $root"
    wanted="$purpose"$'\n'"$(cat "$root/pyproject.toml" "$root/constraints.txt")"
    have="$(cat "$stamp" 2>/dev/null || true)"
    if [[ $have == "$wanted" ]] && supported "$folder/bin/python"; then
        return
    fi
    if ! supported "$folder/bin/python" || [[ -n $have && ${have%%$'\n'*} != "$purpose" ]]; then
        python="$(find_python)"
        say "making $folder with $python"
        "$python" -m venv --clear "$folder"
    fi
    printf '%s\n' "$purpose" >"$stamp" # without the requirements, so that an interrupted install is taken up again
    say "installing matcaps[$extras] (the first time downloads it all)"
    "$folder/bin/python" -m pip install --disable-pip-version-check --quiet \
        --constraint "$root/constraints.txt" --editable "${root}[$extras]"
    printf '%s\n' "$wanted" >"$stamp"
}
