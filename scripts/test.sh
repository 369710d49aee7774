#!/usr/bin/env bash
# Runs the judges, one after the other.
#
#     scripts/test.sh [--all] [JUDGE...]
#
#     --all     every judge to its full depth (sets BRINDLE_DEPTH=full)
#     --list    print the judges
#
# Under 25 minutes on two cores once the dependencies are built. Each judge's output
# goes to target/judges/NAME.log; of one that fails, the end is shown.
#
# A judge that cannot run on this machine (a tool or the network is missing) counts
# as skipped; with CI=true it fails instead. The last line counts the judges:
# `N passed, N failed, N skipped`.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# One line for each judge: name, the tools it needs, what it does. The function that
# carries it out is judge_NAME; `references` among the tools stands for the unpacked
# servers. The test files of testkit are added by themselves, see `testkit_judges`.
judges=(
    'check||formatting, lints, tidy, unit tests'
    'server||builds the server the other judges talk to'
    'references||real servers to compare with'
    'tests|server|every crate'"'"'s own tests and documentation examples'
    'threads||models and a sanitizer of what threads share'
    'testkit|server references|differential, client and concurrency tests'
    'clients|server|real client libraries of five languages'
    'upstream|server references tclsh|Redis'"'"'s own Tcl suite'
    'fuzz|c++|fuzz targets of all that reads untrusted bytes (with --all, or by name)'
)

# Those of them that run only to full depth, unless they are named.
full_depth_only=(fuzz)

# How long a judge may be silent on the screen, in seconds.
progress_every=20

# How much of a failing judge's output is shown, in lines.
shown_lines_max=80

log_dir=$target_dir/judges
server_binary=$target_dir/test-fast/brindle-server

main() {
    local wanted=()
    while [[ $# -gt 0 ]]; do
        case $1 in
            --all) export BRINDLE_DEPTH=full && shift ;;
            --list) expand_judges && print_judges && exit 0 ;;
            -h | --help) usage && exit 0 ;;
            -*) die "unknown option '$1' (see --help)" ;;
            *) wanted+=("$1") && shift ;;
        esac
    done
    need_cargo
    cd "$repo_root"
    mkdir -p "$log_dir"
    expand_judges
    check_names "${wanted[@]}"

    declare -gA outcome=()
    passed=0 failed=0 skipped=0
    running=''
    trap stop_running EXIT
    local line name tools
    for line in "${judges[@]}"; do
        IFS='|' read -r name tools _ <<<"$line"
        is_wanted "$name" "${wanted[@]}" || continue
        run_judge "$name" "$tools"
    done
    printf '\n%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
    [[ $failed -eq 0 ]] || exit 1
}

# --- the judges -----------------------------------------------------------------

judge_check() { scripts/check.sh; }

judge_server() { cargo build --locked --profile test-fast --package server --bin brindle-server; }

judge_references() { scripts/references.sh; }

judge_tests() { cargo test --workspace --exclude testkit; }

judge_threads() { scripts/threads.sh; }

judge_clients() { scripts/clients.sh; }

judge_fuzz() { scripts/fuzz.sh; }

judge_upstream() {
    scripts/upstream-tests.sh
    # The skipped tests once more, to see whether some pass by now.
    [[ ${BRINDLE_DEPTH:-} != full ]] || scripts/upstream-tests.sh --check-skipped
}

# Each file below crates/testkit/tests is a judge of its own, except tidy, which is
# part of the quick door. So a new one runs as soon as it is there.
expand_judges() {
    local line expanded=() file name
    for line in "${judges[@]}"; do
        if [[ $line != testkit\|* ]]; then
            expanded+=("$line")
            continue
        fi
        for file in "$repo_root"/crates/testkit/tests/*.rs; do
            name=$(basename "$file" .rs)
            [[ $name == tidy ]] || expanded+=("$name|server references|cargo test --package testkit --test $name")
        done
    done
    judges=("${expanded[@]}")
}

judge_testkit_file() { cargo test --package testkit --test "$1"; }

# --- running them ----------------------------------------------------------------

print_judges() {
    local line name tools text
    for line in "${judges[@]}"; do
        IFS='|' read -r name tools text <<<"$line"
        printf '%-16s %s%s\n' "$name" "$text" "${tools:+ (needs: $tools)}"
    done
}

check_names() {
    local name
    for name in "$@"; do
        printf '%s\n' "${judges[@]}" | grep -q "^$name|" || die "no judge is called '$name' (see --list)"
    done
}

# is_wanted NAME WANTED...: without a choice all run that belong to this depth. What the chosen ones need of
# other judges runs with them.
is_wanted() {
    local name=$1 other line tools
    shift
    if [[ $# -eq 0 ]]; then
        [[ ${BRINDLE_DEPTH:-} == full || " ${full_depth_only[*]} " != *" $name "* ]]
        return
    fi
    for other in "$@"; do
        [[ $other != "$name" ]] || return 0
        line=$(printf '%s\n' "${judges[@]}" | grep "^$other|")
        IFS='|' read -r _ tools _ <<<"$line"
        [[ " $tools " != *" $name "* ]] || return 0
    done
    return 1
}

# run_judge NAME TOOLS: runs it in the background and tells how it goes.
run_judge() {
    local name=$1 tools=$2 started=$SECONDS status=0 log=$log_dir/$1.log reason
    if ! reason=$(missing "$tools"); then
        finish "$name" "$cannot_run" 0 "$reason"
        return
    fi
    say "== $name"
    # A group of its own, so that an interrupted run leaves no server behind.
    set -m
    (
        trap - EXIT ERR
        export BRINDLE_SERVER=$server_binary
        [[ $name != check ]] || unset BRINDLE_SERVER
        if declare -F "judge_$name" >/dev/null; then
            "judge_$name"
        else
            judge_testkit_file "$name"
        fi
    ) >"$log" 2>&1 </dev/null &
    running=$!
    set +m
    local silent=0
    while kill -0 "$running" 2>/dev/null; do
        sleep 1
        silent=$((silent + 1))
        if [[ $silent -ge $progress_every ]]; then
            silent=0
            say "   $name, $((SECONDS - started)) s: $(tail -n 1 "$log" | cut -c 1-120)"
        fi
    done
    wait "$running" || status=$?
    running=''
    finish "$name" "$status" $((SECONDS - started)) "$(tail -n 1 "$log")"
}

# missing TOOLS: fails and says why when one of them is not there.
missing() {
    local tool
    for tool in $1; do
        case $tool in
            server | references)
                [[ ${outcome[$tool]:-passed} == passed ]] || { printf '%s\n' "judge '$tool' did not pass" && return 1; }
                ;;
            *) have "$tool" || { printf '%s\n' "'$tool' is missing" && return 1; } ;;
        esac
    done
}

# finish NAME STATUS SECONDS TEXT: counts the outcome and prints its line.
finish() {
    local name=$1 status=$2 seconds=$3 text=$4
    case $status in
        0)
            outcome[$name]=passed
            passed=$((passed + 1))
            ;;
        "$cannot_run")
            if [[ ${CI:-} == true ]]; then
                outcome[$name]=failed
                failed=$((failed + 1))
                text="cannot run, which CI does not allow: $text"
            else
                outcome[$name]=skipped
                skipped=$((skipped + 1))
                text="cannot run here: $text"
            fi
            ;;
        *)
            outcome[$name]=failed
            failed=$((failed + 1))
            tail -n "$shown_lines_max" "$log_dir/$name.log" | sed 's/^/   | /' >&2
            text="exit status $status, $log_dir/$name.log"
            ;;
    esac
    say "$(printf '== %-16s %-8s %4s s  %s' "$name" "${outcome[$name]}" "$seconds" "$text")"
}

stop_running() {
    [[ -z $running ]] || kill -TERM -- "-$running" 2>/dev/null || true
}

main "$@"
