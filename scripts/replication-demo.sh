#!/usr/bin/env bash
# Plays the story of one primary and its replicas on ports 6001 to 6003, and
# prints each step with what the servers say.
#
#     scripts/replication-demo.sh [--first-port N]
#
# The test crates/testkit/tests/replication_story.rs plays the same on free
# ports. BRINDLE_SERVER names the binary; default: target/release/brindle-server,
# which is built. Needs redis-cli: one in the PATH, or that of
# the references that scripts/references.sh brings. Everything it starts, it
# ends, and nothing stays behind.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# How long a step may take, in tenths of a second.
patience=300

first_port=6001
case ${1:-} in
    '') ;;
    --first-port) first_port=${2:?a number follows --first-port} ;;
    *) usage && exit 2 ;;
esac
one=$first_port
two=$((first_port + 1))
three=$((first_port + 2))

release_server
cli=$references_root/redis-8.0.2/redis-cli
if [[ ! -x $cli ]]; then
    need redis-cli redis-tools
    cli=redis-cli
fi

folder=$(mktemp -d)
declare -A pids=()

finish() {
    local status=$?
    for port in "${!pids[@]}"; do
        kill "${pids[$port]}" 2>/dev/null || true
    done
    wait
    rm -rf -- "$folder"
    exit "$status"
}
trap finish EXIT

step() { printf '\n== %s\n' "$*"; }

# on PORT COMMAND...: what the server answers.
on() { "$cli" -p "$1" "${@:2}"; }

# show PORT COMMAND...: the same, with the command.
show() {
    printf '%s> %s\n' "$1" "${*:2}"
    on "$@" | sed 's/^/    /'
}

# info PORT FIELD...: fields of INFO replication.
info() {
    local port=$1 all
    all=$(on "$port" info replication | tr -d '\r')
    shift
    for field in "$@"; do
        printf '    %s %s\n' "$port" "$(grep "^$field:" <<<"$all" || printf '%s: not there' "$field")"
    done
}

field() { on "$1" info replication | tr -d '\r' | sed -n "s/^$2://p"; }

# until_so TEXT COMMAND...: waits until the command succeeds.
until_so() {
    local what=$1 left=$patience
    shift
    until "$@"; do
        left=$((left - 1))
        [[ $left -gt 0 ]] || die "waited in vain: $what"
        sleep 0.1
    done
}

answers() { [[ $(on "$1" ping 2>/dev/null || true) == PONG ]]; }
is_up() { [[ $(field "$1" master_link_status) == up ]]; }
is_down() { [[ $(field "$1" master_link_status) == down ]]; }
same_offsets() { [[ $(field "$1" master_repl_offset) == "$(field "$2" master_repl_offset)" ]]; }
stat() { on "$1" info stats | tr -d '\r' | sed -n "s/^$2://p"; }

# alike PORT PORT: waits for equal offsets, and wants equal data.
alike() {
    until_so "equal offsets of $1 and $2" same_offsets "$1" "$2"
    local left right
    left=$(on "$1" debug digest)
    right=$(on "$2" debug digest)
    [[ $left == "$right" ]] || die "the data of $1 and $2 differs"
    printf '    %s and %s: offset %s, digest %s\n' "$1" "$2" "$(field "$1" master_repl_offset)" "$left"
}

# configure PORT LINE...: writes its configuration file.
configure() {
    mkdir -p "$folder/$1"
    printf '%s\n' "port $1" 'bind 127.0.0.1' "dir $folder/$1" 'enable-debug-command local' \
        'repl-diskless-sync-delay 0' 'save 3600 1' "logfile $folder/$1/server.log" "${@:2}" >"$folder/$1/server.conf"
}

start() {
    "$server" "$folder/$1/server.conf" >/dev/null 2>&1 &
    pids[$1]=$!
    until_so "$1 answers" answers "$1"
}

# stop PORT [SIGNAL]
stop() {
    kill "-${2:-TERM}" "${pids[$1]}"
    wait "${pids[$1]}" 2>/dev/null || true
    unset "pids[$1]"
}

for port in "$one" "$two" "$three"; do
    ! answers "$port" || die "somebody answers on port $port already; --first-port N takes others"
    configure "$port"
done

step "1. Two servers start from two configuration files. Both are primaries."
start "$one"
start "$two"
info "$one" role connected_slaves
info "$two" role connected_slaves
for at in {1..1000}; do echo "SET key:$at $at"; done | on "$one" >/dev/null
show "$one" dbsize

step "2. One is told to follow the other."
show "$two" replicaof 127.0.0.1 "$one"
until_so "$two is up" is_up "$two"
info "$two" role master_host master_port master_link_status
lists() { field "$one" slave0 | grep -q 'state=online'; }
until_so "$one lists $two" lists
info "$one" connected_slaves slave0

step "3. The first copy is complete; what is written afterwards appears; a cut is made good by the difference."
show "$one" set after copy
alike "$one" "$two"
show "$two" get after
full=$(stat "$one" sync_full)
show "$two" client kill type master
show "$one" set after cut
continued() { [[ $(stat "$one" sync_partial_ok) -ge 1 ]]; }
until_so "an incremental copy" continued
until_so "$two is up" is_up "$two"
alike "$one" "$two"
printf '    sync_full:%s (as before), sync_partial_ok:%s\n' "$(stat "$one" sync_full)" "$(stat "$one" sync_partial_ok)"
[[ $(stat "$one" sync_full) == "$full" ]] || die "a full copy was made"

step "4. A replica takes no writes."
show "$two" set a 1

step "5. REPLICAOF NO ONE: a primary again, with its data."
show "$two" replicaof no one
info "$two" role
show "$two" get after
show "$two" set own 1

step "6. A third joins with data of its own, and gets everything."
start "$three"
show "$three" set old data
show "$three" replicaof 127.0.0.1 "$one"
until_so "$three is up" is_up "$three"
show "$one" set third 1
alike "$one" "$three"
show "$three" exists old

step "7. The same from configuration files, whatever starts first."
configure "$two" "replicaof 127.0.0.1 $one"
configure "$three" "slaveof 127.0.0.1 $one"
for port in "$three" "$two" "$one"; do stop "$port"; done
for port in "$three" "$one" "$two"; do start "$port"; done
until_so "$two is up" is_up "$two"
until_so "$three is up" is_up "$three"
show "$one" set restarted 1
alike "$one" "$two"
alike "$one" "$three"

step "8. The primary dies; its replicas serve what they have, and try again every second."
stop "$one"
until_so "$two notices" is_down "$two"
info "$two" master_link_status
show "$two" get after
sleep 3
grep 'Error condition on socket' "$folder/$two/server.log" | tail -3 | sed 's/^/    /'
start "$one"
until_so "$two is up" is_up "$two"
until_so "$three is up" is_up "$three"
info "$two" master_link_status
alike "$one" "$two"

step "9. A chain: $three follows $two, which follows $one."
show "$three" replicaof 127.0.0.1 "$two"
until_so "$three is up" is_up "$three"
show "$one" set down chain
alike "$one" "$two"
alike "$two" "$three"
info "$one" master_replid
info "$three" master_replid
step "   The middle ends by SIGTERM, and the first is written to meanwhile."
stop "$two"
until_so "$three notices" is_down "$three"
info "$three" master_link_status
show "$one" set while away
start "$two"
until_so "$two is up" is_up "$two"
until_so "$three is up" is_up "$three"
alike "$one" "$two"
alike "$two" "$three"
printf '    %s made %s full copies for %s\n' "$two" "$(stat "$two" sync_full)" "$three"
step "   The middle ends by SIGKILL."
stop "$two" KILL
show "$one" set during war
start "$two"
until_so "$two is up" is_up "$two"
until_so "$three is up" is_up "$three"
alike "$one" "$two"
alike "$two" "$three"

step "All steps hold."
