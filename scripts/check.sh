#!/usr/bin/env bash
# The quick door: what must be clean before each commit. Formatting, lints with
# warnings denied (the fuzz targets', which are no part of the workspace, as well),
# the invariants of the design (tidy), and the unit tests.
#
#     scripts/check.sh [--fix]
#
#     --fix    let cargo fmt write the formatting instead of complaining
#
# The slow judges are in scripts/test.sh.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

main() {
    local format=(cargo fmt --all --check)
    case ${1:-} in
        '') ;;
        --fix) format=(cargo fmt --all) ;;
        -h | --help) usage && exit 0 ;;
        *) die "unknown argument '$1' (see --help)" ;;
    esac
    need_cargo
    cd "$repo_root"

    step 'formatting' "${format[@]}"
    step 'lints' cargo clippy --workspace --all-targets --locked -- -D warnings
    step 'lints of the fuzz targets' fuzz_targets
    if have shellcheck; then
        step 'scripts' shellcheck -x scripts/*.sh .ci/run
    else
        say "-- scripts: not checked, shellcheck is not here (Debian: apt-get install shellcheck)"
    fi
    step 'tidy' cargo test --quiet --package testkit --test tidy
    step 'unit tests' cargo test --quiet --workspace --lib --bins
    say "-- clean"
}

# fuzz_targets: their lints. Nothing is linked, so libFuzzer need not be built, which would take
# a C++ compiler: its build script is content with any file.
fuzz_targets() {
    local manifest
    for manifest in crates/*/fuzz/Cargo.toml; do
        CUSTOM_LIBFUZZER_PATH=$repo_root/Cargo.toml cargo clippy --quiet --locked \
            --manifest-path "$manifest" --target-dir "$target_dir/fuzz/check" -- -D warnings || return
    done
}

# step NAME COMMAND...
step() {
    local name=$1 started=$SECONDS
    shift
    say "-- $name: $*"
    "$@" || die "$name: not clean"
    say "   $((SECONDS - started)) s"
}

main "$@"
