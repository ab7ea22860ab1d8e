# Sourced by the other scripts: a virtual environment that is made once and reused, and Debian packages.
# shellcheck shell=bash

set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"

export ORT_DISABLE_TELEMETRY=1 # since 1.29 onnxruntime reports each session to its makers by default

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

fail() {
    say "$@"
    exit 1
}

# need COMMAND PACKAGE WHY: installs the Debian package of a command that is missing, if this is root on Debian.
need() {
    command -v "$1" >/dev/null && return
    [[ $EUID == 0 ]] && command -v apt-get >/dev/null ||
        fail "$3 need $1; on Debian and Ubuntu: apt-get install $2"
    say "installing the Debian package $2, which $3 need"
    apt-get update -qq && apt-get install -qq -y --no-install-recommends "$2"
}

# want COMMAND PACKAGE WHY: as need, but outside CI a command that cannot be installed is no failure: it returns 1.
want() {
    command -v "$1" >/dev/null && return
    (need "$@") && return
    [[ -z ${CI:-} ]] || exit 1
    say "$3 are left out"
    return 1
}

# make_web_tools: node_modules with the tools of package-lock.json, made once and reused. Returns 1 without node or npm.
make_web_tools() {
    want node nodejs "the checks of the web pages" || return 1
    want npm npm "the checks of the web pages" || return 1
    cmp -s "$root/package-lock.json" "$root/node_modules/matcaps-stamp" && return
    say "installing the tools that check the web pages"
    npm ci --prefix "$root" --no-audit --no-fund --loglevel=error >&2 || exit 1
    cp "$root/package-lock.json" "$root/node_modules/matcaps-stamp"
}

# Whether $1 runs and is a supported Python. A launcher on the PATH may exist and still not run.
supported() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

# Prints the first supported Python that can make virtual environments. If PYTHON is set, only that one is tried.
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

# make_environment FOLDER EXTRAS: a virtual environment with the project, editable, and those extras, in the versions
# of requirements/. `cpu` or `gpu` alone is the serving set, which is installed with hashes.
# A stamp in the folder holds the purpose and all that was installed. While it is up to date, nothing is done. When the
# lock or pyproject.toml changed, pip runs again. When the folder was moved or the extras changed, the environment is
# made anew, since cpu and gpu exclude each other.
make_environment() {
    local folder="$root/$1" extras=$2 lock python purpose wanted have
    local stamp="$folder/matcaps-stamp"
    case $extras in
        cpu | gpu) lock="$root/requirements/serve-$extras.txt" ;;
        *) lock="$root/requirements/test.txt" ;;
    esac
    purpose="[$extras] of $root"
    wanted="$purpose"$'\n'"$(cat "$root/pyproject.toml" "$root/requirements/build.txt" "$lock")"
    have="$(cat "$stamp" 2>/dev/null || true)"
    if [[ $have == "$wanted" ]] && supported "$folder/bin/python"; then
        return
    fi
    if ! supported "$folder/bin/python" || [[ -n $have && ${have%%$'\n'*} != "$purpose" ]]; then
        python="$(find_python)"
        say "making $folder with $python"
        "$python" -m venv --clear "$folder"
    fi
    printf '%s\n' "$purpose" >"$stamp" # the purpose alone: after an interrupted install, the next run continues it
    say "installing matcaps[$extras] (the first time downloads all of it)"
    local install=("$folder/bin/python" -m pip install --disable-pip-version-check --quiet)
    "${install[@]}" --require-hashes --requirement "$root/requirements/build.txt"
    if [[ $lock == */serve-* ]]; then
        "${install[@]}" --require-hashes --requirement "$lock"
    fi
    # Without isolation: setuptools is the one of build.txt, not the newest.
    "${install[@]}" --no-build-isolation --no-deps --editable "$root"
    if [[ $lock != */serve-* ]]; then
        # Constraints and not requirements: a CPU build of torch needs none of the CUDA libraries in the lock.
        "${install[@]}" --constraint "$lock" "matcaps[$extras]"
    fi
    printf '%s\n' "$wanted" >"$stamp"
}
