# shellcheck shell=bash disable=SC2034
# What the scripts of this folder share. Sourced, never run:
#
#     source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
#
# It sets `repo_root` and leaves the working folder alone.

repo_root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)

# The folder where real servers are kept between checkouts.
references_root=${XDG_CACHE_HOME:-${HOME:?HOME is not set, so there is no cache folder}/.cache}/brindle/references

# Where cargo builds.
target_dir=${CARGO_TARGET_DIR:-$repo_root/target}

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
need() { have "$1" || cannot "needs '$1'; on Debian: apt-get install $2"; }

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

# A judge that cannot run on this machine says so by this status, the one that
# automake's tests use; scripts/test.sh then counts it as skipped, or, in CI, as
# failed.
cannot_run=77

# cannot TEXT: why the script cannot run here.
cannot() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit "$cannot_run"
}

# offer COMMAND: names the command that helps and runs it if that is wanted.
offer() {
    local answer=${BRINDLE_INSTALL:-ask}
    say "this helps:  $1"
    if [[ $answer == ask ]]; then
        [[ -t 0 && -t 2 ]] || die "run it, and then this script again"
        read -r -p "run it now? [y/N] " answer
    fi
    case $answer in
        y | Y | yes) bash -c "$1" || die "that failed" ;;
        *) die "run it, and then this script again" ;;
    esac
}

# need_cargo: a cargo that is recent enough for the rust-version of Cargo.toml.
need_cargo() {
    local wanted found
    wanted=$(sed -n 's/^rust-version *= *"\(.*\)"$/\1/p' "$repo_root/Cargo.toml")
    # rustup puts cargo here; a shell that was open before does not know.
    have cargo || PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    if ! have cargo; then
        say "Rust is missing; version $wanted or newer is needed"
        if have rustup; then
            offer "rustup toolchain install stable --profile default && rustup default stable"
        else
            offer "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y"
        fi
        have cargo || die "still no cargo"
    fi
    found=$(rustc --version | awk '{ print $2 }')
    if [[ $(printf '%s\n%s\n' "$wanted" "${found%%-*}" | sort -V | head -n 1) != "$wanted" ]]; then
        say "Rust $found is too old; version $wanted or newer is needed"
        if have rustup; then
            offer "rustup toolchain install stable --profile default && rustup default stable"
        else
            die "this system's own Rust is too old; rustup brings a newer one beside it: https://rustup.rs"
        fi
    fi
}

# build_release ARGUMENTS...: builds in the release profile. Cargo's own output goes to standard
# error, so that a script's, or a server's, stays clean.
build_release() {
    need_cargo
    (cd "$repo_root" && cargo build --release --locked "$@") >&2
}

# release_server: sets `server` to our binary in the release profile, built if anything has
# changed; BRINDLE_SERVER names another.
release_server() {
    server=${BRINDLE_SERVER:-$target_dir/release/brindle-server}
    if [[ -z ${BRINDLE_SERVER:-} ]]; then
        say "building brindle-server in the release profile"
        build_release --package server --bin brindle-server
    fi
    [[ -x $server ]] || die "no server at $server"
    server=$(cd -- "$(dirname -- "$server")" && pwd -P)/${server##*/}
}
