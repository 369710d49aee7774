#!/usr/bin/env bash
# Fuzzes what reads bytes that nobody vouches for: requests and replies, RDB files, RESTORE payloads and the packed
# forms in them, and what a primary says to its replica.
#
#     scripts/fuzz.sh [--seconds N] [TARGET...]
#
#     --seconds N   how long each target runs (default 60)
#     --list        print the targets
#
# A target is CRATE/NAME or a crate alone. It fails on a panic, on a fault that the address sanitizer finds, on an
# allocation or a residency above the limits below, and on an input that takes seconds. What was found stays in
# target/fuzz/found and is tried first in every later run; what reached new code stays in target/fuzz/corpus. The first
# seeds are written by the targets themselves.
#
# The targets are built by the compiler that builds the server, with the switches for sanitizers allowed by
# RUSTC_BOOTSTRAP: no nightly is needed. cargo-fuzz is put into the user's cache folder if it is missing.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# The crates with a folder `fuzz`.
crates=(resp-parser store rdb replication)

# The longest input, in bytes. What matters is met in small ones, and these are quick.
input_len_max=8192
# Megabytes for one allocation, and for the process. The most that an input may rightly ask for at once is what it
# unpacks to, 88 times its length; the sanitizer's quarantine takes the rest.
allocation_mb_max=16
resident_mb_max=1024
# Seconds for one input by the clock on the wall, on a machine that has other things to do.
input_seconds_max=60

tools_dir=${references_root%/*}/tools
work_dir=$target_dir/fuzz
# A finding is told by this status, since libFuzzer's own, 77, is the one of a judge that cannot run.
found_status=3

main() {
    local seconds=60 wanted=()
    while [[ $# -gt 0 ]]; do
        case $1 in
            --seconds)
                [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || die "--seconds needs a number"
                seconds=$2 && shift 2
                ;;
            --list) all_targets && exit 0 ;;
            -h | --help) usage && exit 0 ;;
            -*) die "unknown option '$1' (see --help)" ;;
            *) wanted+=("$1") && shift ;;
        esac
    done
    need_cargo
    need c++ g++
    cd "$repo_root"
    bring_cargo_fuzz
    export RUSTC_BOOTSTRAP=1

    local targets target findings=0 crate built=''
    mapfile -t targets < <(chosen "${wanted[@]}")
    [[ ${#targets[@]} -gt 0 ]] || die "no target is called '${wanted[*]}' (see --list)"
    for target in "${targets[@]}"; do
        crate=${target%/*}
        [[ $crate == "$built" ]] || build "$crate"
        built=$crate
        fuzz "$target" "$seconds" || findings=$((findings + 1))
    done
    printf '%s targets, %s with findings\n' "${#targets[@]}" "$findings"
    [[ $findings -eq 0 ]] || exit 1
}

# all_targets: CRATE/NAME, a line each, as the manifests name them.
all_targets() {
    local crate
    for crate in "${crates[@]}"; do
        sed -n "/^\[\[bin\]\]/,/^\$/s#^name = \"\(.*\)\"#$crate/\1#p" "$repo_root/crates/$crate/fuzz/Cargo.toml"
    done
}

# chosen WANTED...: the targets that were asked for, all without a choice.
chosen() {
    local target want
    all_targets | while read -r target; do
        [[ $# -gt 0 ]] || printf '%s\n' "$target"
        for want in "$@"; do
            [[ $target != "$want" && ${target%/*} != "$want" ]] || printf '%s\n' "$target"
        done
    done
}

bring_cargo_fuzz() {
    PATH=$tools_dir/bin:$PATH
    have cargo-fuzz && return
    say "bringing cargo-fuzz into $tools_dir"
    cargo install --quiet --locked --root "$tools_dir" cargo-fuzz >&2 || cannot "cargo-fuzz could not be installed"
}

# build CRATE: all its targets. cargo-fuzz would write a lock file that has grown old anew, so that is asked first.
build() {
    say "building the fuzz targets of $1"
    cargo fetch --quiet --locked --manifest-path "crates/$1/fuzz/Cargo.toml" ||
        die "crates/$1/fuzz/Cargo.lock does not fit the manifests: run 'cargo check' in that folder"
    cargo fuzz build --sanitizer address --fuzz-dir "crates/$1/fuzz" --target-dir "$work_dir/build" >&2 ||
        die "the fuzz targets of $1 do not build"
}

# fuzz TARGET SECONDS: runs it and prints what came of it; fails on a finding.
fuzz() {
    local target=$1 seconds=$2 name=${1/\//-} status=0 executed
    local corpus=$work_dir/corpus/$name found=$work_dir/found/$name log=$work_dir/$name.log
    mkdir -p "$corpus" "$found"
    # What the target's own manifest names is built below the host's triple.
    local binary=("$work_dir"/build/*/release/"${target#*/}")
    say "-- $target, $seconds s"
    # A trace of the place of a panic takes longer than to find it, and libFuzzer prints its own.
    RUST_BACKTRACE=0 BRINDLE_FUZZ_SEEDS=$corpus "${binary[0]}" \
        -max_total_time="$seconds" -timeout="$input_seconds_max" -max_len="$input_len_max" \
        -malloc_limit_mb="$allocation_mb_max" -rss_limit_mb="$resident_mb_max" \
        -error_exitcode="$found_status" -timeout_exitcode="$found_status" \
        -artifact_prefix="$found/" -print_final_stats=1 \
        "$corpus" "$found" >"$log" 2>&1 || status=$?
    executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
    if [[ $status -eq 0 ]]; then
        printf '%-22s %12s executions, nothing found\n' "$target" "${executed:-0}"
        return
    fi
    printf '%-22s %12s executions, FAILED (status %s): %s\n' "$target" "${executed:-?}" "$status" "$log"
    grep -E -m 4 "panicked at|ERROR: |SUMMARY: |Test unit written to" "$log" || tail -n 20 "$log"
    return 1
}

main "$@"
