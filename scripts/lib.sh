# shellcheck shell=bash
# What the scripts of this folder share. Sourced, never run:
#
#     source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
#
# It sets `repo_root` and leaves the working folder alone.

repo_root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)

# The folder where real servers are kept between checkouts.
references_root=${XDG_CACHE_HOME:-${HOME:?HOME is not set, so there is no cache folder}/.cache}/brindle/references

# say TEXT: a line of progress. It goes to standard error, so that a script's
# standard output holds results only.
say() { printf '%s\n' "$*" >&2; }

# die TEXT: why the script cannot go on, with the script's name.
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# A script that `set -e` ends says where, so that no failure is silent.
set -E
trap 'say "${0##*/}: line $LINENO: failed: $BASH_COMMAND"' ERR

# usage: prints the comment at the top of the running script, which is its
# help, without the `#!` line and the comment signs.
usage() { awk 'NR == 1 { next } !/^#/ { exit } { sub(/^# ?/, ""); print }' "$0"; }

# have TOOL: whether a program of that name can be run.
have() { command -v "$1" >/dev/null 2>&1; }

# need TOOL PACKAGE: stops with the command that helps when TOOL is missing.
need() { have "$1" || die "needs '$1'; on Debian: apt-get install $2"; }

# retry TIMES COMMAND...: runs it until it succeeds, with growing pauses.
retry() {
    local times=$1 attempt=1
    shift
    until "$@"; do
        [[ $attempt -lt $times ]] || return 1
        say "  attempt $attempt of $times failed: $*"
        sleep $((attempt * 2))
        attempt=$((attempt + 1))
    done
}
