#!/usr/bin/env bash
# Builds Brindle and serves on port 6379.
#
#     scripts/run.sh [CONFIG_FILE] [--directive value ...]
#
# All arguments go to the server, as they would to redis-server: a configuration
# file, `-` for standard input, directives that override it. Without any, it serves
# with its defaults; Ctrl-C ends it. It needs no root. What the server takes is
# printed by `target/release/brindle-server --help`.
#
# The build needs a C compiler and Rust. Where one is missing, the command that
# helps is named, and carried out after a question; BRINDLE_INSTALL=yes answers
# the question beforehand, BRINDLE_INSTALL=no refuses.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

main() {
    case ${1:-} in
        -h | --help) usage && exit 0 ;;
    esac
    need_c_compiler
    local binary=$target_dir/release/brindle-server
    if [[ ! -x $binary ]]; then
        say "building brindle-server; the first time this takes two to five minutes on two cores"
    fi
    build_release --package server --bin brindle-server
    exec "$binary" "$@"
}

need_c_compiler() {
    have cc || have gcc || have clang || {
        say "a C compiler is missing (the memory allocator is written in C)"
        if have apt-get; then
            offer "$(as_root)apt-get update && $(as_root)apt-get install -y gcc libc6-dev"
        elif have dnf; then
            offer "$(as_root)dnf install -y gcc"
        elif have apk; then
            offer "$(as_root)apk add gcc musl-dev"
        elif have xcode-select; then
            offer "xcode-select --install"
        else
            die "install gcc or clang with your system's package manager"
        fi
        have cc || have gcc || have clang || die "still no C compiler"
    }
}

as_root() { [[ $(id -u) -eq 0 ]] || printf 'sudo '; }

main "$@"
