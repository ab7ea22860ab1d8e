# Sourced by scripts/check-* and make-peers before anything else: with --help or -h, prints the comment at the head of the
# script and ends. It needs no virtual environment.
# shellcheck shell=bash

for argument in "$@"; do
    if [[ $argument == -h || $argument == --help ]]; then
        sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
        exit
    fi
done
