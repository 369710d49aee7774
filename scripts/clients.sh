#!/usr/bin/env bash
# Drives the server through real client libraries, which assert what they get.
#
#     scripts/clients.sh [--reference] [LANGUAGE...]
#
#     --reference   run the same programs against Redis 8.0.2, which proves the programs right
#
# LANGUAGE is one of python (redis-py), node (ioredis), rust (the redis crate), go (go-redis),
# java (Jedis, Lettuce, Spring Data Redis, MyBatis); without one, all of them run. The programs
# stand below crates/testkit/clients, with the versions of their libraries fixed. Libraries come
# from the language's own registry and are kept in target/clients and in the language's own
# cache, so the first run needs the network and takes minutes, later ones half a minute.
#
# A language that is not on this machine is skipped and counted; with CI=true it fails.
# BRINDLE_SERVER names the binary; default: the release profile, which is built. Each program's output is kept in target/clients/LANGUAGE.log.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# One line for each language: name, the tools it needs, what is driven.
languages=(
    'python|python3|redis-py'
    'node|node npm|ioredis'
    'rust|cargo|the redis crate'
    'go|go|go-redis'
    'java|java javac mvn|Jedis, Lettuce, Spring Data Redis, MyBatis'
)

programs=$repo_root/crates/testkit/clients
work=$target_dir/clients

# How long bringing the libraries, and a program itself, may take, in seconds.
prepare_seconds_max=900
program_seconds_max=240

# How long the server may take until it answers, in tenths of a second.
start_tenths_max=200

# How many ports are tried until one is free.
ports_tried_max=20

# How much of a failing program's output is shown, in lines.
shown_lines_max=60

main() {
    local wanted=() subject=ours
    while [[ $# -gt 0 ]]; do
        case $1 in
            --reference) subject=reference && shift ;;
            -h | --help) usage && exit 0 ;;
            -*) die "unknown option '$1' (see --help)" ;;
            *) wanted+=("$1") && shift ;;
        esac
    done
    local name
    for name in "${wanted[@]}"; do
        printf '%s\n' "${languages[@]}" | grep -q "^$name|" || die "no language is called '$name' (see --help)"
    done

    mkdir -p "$work"
    # Two runs of one checkout would install over each other.
    exec 9>"$work/.lock"
    flock 9
    find_server "$subject"
    server_pid=''
    trap stop_server EXIT
    start_server

    passed=0 failed=0 skipped=0 checks=0
    local line tools text
    for line in "${languages[@]}"; do
        IFS='|' read -r name tools text <<<"$line"
        if [[ ${#wanted[@]} -eq 0 || " ${wanted[*]} " == *" $name "* ]]; then
            judge "$name" "$tools" "$text"
        fi
    done
    stop_server
    printf '%s checks in %s of the languages; %s passed, %s failed, %s skipped\n' \
        "$checks" "$((passed + failed))" "$passed" "$failed" "$skipped"
    [[ $failed -eq 0 ]] || exit 1
}

# judge NAME TOOLS TEXT: brings the libraries, runs the program, counts.
judge() {
    local name=$1 tool started=$SECONDS log=$work/$1.log
    for tool in $2; do
        if ! have "$tool"; then
            if [[ ${CI:-} == true ]]; then
                failed=$((failed + 1))
                say "-- $name: '$tool' is missing, which CI does not allow"
            else
                skipped=$((skipped + 1))
                say "-- $name: skipped, '$tool' is not here"
            fi
            return
        fi
    done
    : >"$log"
    say "-- $name: $3"
    if ! within "$prepare_seconds_max" "prepare_$name" >>"$log" 2>&1; then
        fail "$name" "its libraries could not be brought" "$log"
        return
    fi
    local prepared=$SECONDS status=0
    within "$program_seconds_max" "run_$name" 127.0.0.1 "$port" >>"$log" 2>&1 || status=$?
    kill -0 "$server_pid" 2>/dev/null || die "the server has died, see $work/server.log"
    local summary
    summary=$(tail -n 1 "$log")
    if [[ $status -ne 0 || ! $summary =~ ^([1-9][0-9]*)\ checks\ passed,\ 0\ failed$ ]]; then
        fail "$name" "exit status $status: $summary" "$log"
        return
    fi
    passed=$((passed + 1))
    checks=$((checks + BASH_REMATCH[1]))
    say "   $summary ($((prepared - started)) s to prepare, $((SECONDS - prepared)) s to run)"
}

fail() {
    failed=$((failed + 1))
    grep -v '^ok ' "$3" | tail -n "$shown_lines_max" | sed 's/^/   | /' >&2
    say "   $1 failed: $2; $3"
}

# within SECONDS FUNCTION [ARGUMENT...]: runs a function of this script, but not for ever.
within() {
    local limit=$1 pid waited=0 status=0
    shift
    set -m
    (
        trap - EXIT ERR
        set -e
        "$@"
    ) </dev/null 9>&- &
    pid=$!
    set +m
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.2
        waited=$((waited + 1))
        if [[ $waited -gt $((limit * 5)) ]]; then
            echo "ended after $limit seconds"
            kill -KILL -- "-$pid" 2>/dev/null || true
        fi
    done
    wait "$pid" || status=$?
    return "$status"
}

# --- the languages --------------------------------------------------------------

prepare_python() {
    is_unchanged python "$programs/python/requirements.txt" && return
    rm -rf "$work/python"
    python3 -m venv "$work/python"
    "$work/python/bin/pip" install --quiet --no-input --requirement "$programs/python/requirements.txt"
    remember python "$programs/python/requirements.txt"
}

run_python() { "$work/python/bin/python" -W ignore "$programs/python/clients.py" "$@"; }

prepare_node() {
    mkdir -p "$work/node"
    cp "$programs"/node/* "$work/node/"
    is_unchanged node "$programs/node/package-lock.json" && return
    (cd "$work/node" && npm ci --no-audit --no-fund)
    remember node "$programs/node/package-lock.json"
}

run_node() { node "$work/node/clients.js" "$@"; }

prepare_rust() {
    (cd "$programs/rust" && cargo build --locked --quiet --target-dir "$work/rust")
}

run_rust() { "$work/rust/debug/brindle-clients" "$@"; }

prepare_go() {
    mkdir -p "$work/go"
    (cd "$programs/go" && GOTOOLCHAIN=local GOFLAGS=-mod=readonly go build -o "$work/go/clients" .)
}

run_go() { "$work/go/clients" "$@"; }

prepare_java() {
    is_unchanged java "$programs/java" && return
    (cd "$programs/java" && mvn --batch-mode --quiet "-Dbuild.folder=$work/java" clean package)
    remember java "$programs/java"
}

# It starts a primary and replicas of its own beside the one server.
run_java() { java -Xshare:auto -XX:TieredStopAtLevel=1 -jar "$work/java/clients.jar" "$@" "$server"; }

# is_unchanged NAME PATH: whether what was made from these sources is there already.
is_unchanged() { [[ -f $work/$1.made && $(<"$work/$1.made") == "$(digest "$2")" ]]; }

remember() { digest "$2" >"$work/$1.made"; }

digest() { find "$1" -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1; }

# --- the server -----------------------------------------------------------------

find_server() {
    if [[ $1 == reference ]]; then
        server=$("$repo_root/scripts/references.sh" --path redis-8.0.2)/redis-server
    else
        release_server
    fi
    say "server: $server"
}

# start_server: sets `port` and `server_pid`. A port that is taken makes the server end at once,
# and the next one is tried.
start_server() {
    local tried waited log=$work/server.log
    for ((tried = 0; tried < ports_tried_max; tried++)); do
        port=$((20000 + RANDOM % 10000))
        "$server" --port "$port" --bind 127.0.0.1 --save '' --dir "$work" >"$log" 2>&1 </dev/null 9>&- &
        server_pid=$!
        for ((waited = 0; waited < start_tenths_max; waited++)); do
            kill -0 "$server_pid" 2>/dev/null || break
            if grep -q 'Ready to accept connections' "$log"; then
                return
            fi
            sleep 0.1
        done
        stop_server
    done
    tail -n "$shown_lines_max" "$log" >&2
    die "the server does not start"
}

stop_server() {
    [[ -n $server_pid ]] || return 0
    kill "$server_pid" 2>/dev/null || true
    wait "$server_pid" 2>/dev/null || true
    server_pid=''
}

main "$@"
