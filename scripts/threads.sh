#!/usr/bin/env bash
# Judges what threads share: models of the small parts, and a sanitizer over the keyspace.
#
#     scripts/threads.sh
#
# The models go through all interleavings (loom). The thread sanitizer runs the stress tests of
# the keyspace and of the log's ring; it needs a switch of the compiler that is for nightly only, so it is set by
# RUSTC_BOOTSTRAP. std itself is not instrumented: what it reports of std's own channels and
# threads is suppressed in crates/testkit/tsan-suppressions.txt, and nothing else is.
# miri runs the tests of the values' memory where rustup has it in a nightly toolchain. It cannot run
# those of the log's ring, whose memory comes from calls to the system that miri does not know.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

main() {
    [[ ${1:-} != -h && ${1:-} != --help ]] || { usage && exit 0; }
    need_cargo
    cd "$repo_root"
    echo '-- models (loom)'
    RUSTFLAGS='--cfg loom' CARGO_TARGET_DIR=$target_dir/loom \
        cargo test --locked --quiet --package server --bin brindle-server mailbox
    RUSTFLAGS='--cfg loom' CARGO_TARGET_DIR=$target_dir/loom \
        cargo test --locked --quiet --package store --lib -- walk::part bias::model
    # At full depth the ring's models go through all interleavings with two pre-emptions instead
    # of one, which takes minutes even when it is optimised.
    local opt_level=0
    [[ ${BRINDLE_DEPTH:-} != full ]] || opt_level=2
    RUSTFLAGS='--cfg loom' CARGO_TARGET_DIR=$target_dir/loom \
        CARGO_PROFILE_TEST_OPT_LEVEL=$opt_level CARGO_PROFILE_DEV_OPT_LEVEL=$opt_level \
        cargo test --locked --quiet --package replication --lib ring::model
    echo '-- thread sanitizer'
    sanitized store keyspace::
    sanitized store walk::tests
    sanitized store bias::tests
    sanitized replication ring::tests
    if cargo +nightly miri --version >/dev/null 2>&1; then
        echo '-- miri'
        CARGO_TARGET_DIR=$target_dir/miri cargo +nightly miri test --locked --quiet --package store --lib value::room
    else
        echo '-- miri: not here, not run (rustup component add --toolchain nightly miri rust-src)'
    fi
}

# sanitized PACKAGE TESTS
sanitized() {
    RUSTC_BOOTSTRAP=1 \
        RUSTFLAGS='-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer' \
        TSAN_OPTIONS="suppressions=$repo_root/crates/testkit/tsan-suppressions.txt" \
        CARGO_TARGET_DIR=$target_dir/tsan \
        cargo test --locked --quiet --package "$1" --lib --target x86_64-unknown-linux-gnu -- --test-threads 1 "$2"
}

main "$@"
