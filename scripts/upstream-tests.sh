#!/usr/bin/env bash
# Runs Redis's own Tcl test suite against our server, unit by unit.
#
#     scripts/upstream-tests.sh [OPTION...] [UNIT...]
#
# Without units, or with `--suite default`, the units of the committed list run:
# crates/testkit/upstream/units.txt. It says for each unit how many tests must
# pass, and which are skipped and why.
#
#     --list            print the units of the list with their counts
#     --jobs N          units side by side (default 2)
#     --reference       run the real Redis 8.0.2 instead of ours, nothing skipped;
#                       it must reach the second count of the list
#     --check-skipped   run the skipped tests too, and fail for those that pass
#     --alone           with --check-skipped: one run for each line of the list, the
#                       others skipped, since one failing test may spoil the next
#     --update          print the list's entry for each unit as this run found it
#     --write           with --update: put the entries into the list as well
#     --keep            keep the working copies, with the servers' logs
#     --units FILE      another list than the committed one
#     --timeout N       seconds without progress that end a unit (default 200)
#
# A run fails (exit 1) when a test fails, a unit or one of its blocks ends early,
# fewer tests pass than the list says, a line of the list skips nothing, our
# server panics, or, with --check-skipped, a skipped test passes, unless its line says
# that it proves nothing when it does, or all passes though a block or a command is left
# in that the list leaves out.
#
# BRINDLE_SERVER names the binary; default: target/release/brindle-server, which
# is built. Needs tclsh. The suite comes from the source package
# that scripts/references.sh brings, and is never committed. Each unit's output is
# kept in target/upstream/logs.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

list_file=$repo_root/crates/testkit/upstream/units.txt
known_needs='replication persistence scripting acl tracking latency monitor slowlog cluster fork types blocking pubsub client-eviction'

# A unit that goes on for longer than this is ended, however busy it looks. The longest of
# them, integration/replication-psync, takes ten minutes where nothing else runs.
unit_seconds_max=2400

# How long the server may take until it answers, before any unit runs.
probe_seconds_max=20

# Ports: a run takes one range for each slot, marked by a lock, so that runs in
# several checkouts do not meet. The suite uses 32 ports below a range as well.
port_first=21200
port_step=1000
port_count=900
port_ranges=10

# How many problems of one unit are printed; the log has them all.
problems_shown_max=40

jobs=2
progress_timeout=200
mode=judge
alone=no
write=no
keep=no
subject=ours

main() {
    local units=() listed=no
    while [[ $# -gt 0 ]]; do
        case $1 in
            --list) listed=yes && shift ;;
            --suite)
                [[ ${2:-} == default ]] || die "--suite knows 'default' only"
                shift 2
                ;;
            --jobs) jobs=${2:?--jobs needs a number} && shift 2 ;;
            --timeout) progress_timeout=${2:?--timeout needs a number} && shift 2 ;;
            --units) list_file=${2:?--units needs a file} && shift 2 ;;
            --reference) subject=reference && shift ;;
            --check-skipped) mode=check-skipped && shift ;;
            --alone) alone=yes && shift ;;
            --update) mode=update && shift ;;
            --write) write=yes && shift ;;
            --keep) keep=yes && shift ;;
            -h | --help) usage && exit 0 ;;
            -*) die "unknown option '$1' (see --help)" ;;
            *) units+=("${1%.tcl}") && shift ;;
        esac
    done
    [[ $jobs =~ ^[1-9]$ ]] || die "--jobs takes 1 to 9"
    [[ $write == no || $mode == update ]] || die "--write goes with --update"
    [[ $alone == no || $mode == check-skipped ]] || die "--alone goes with --check-skipped"
    [[ $subject == ours || $mode == judge ]] || die "--reference goes with neither --update nor --check-skipped"

    read_list
    if [[ $listed == yes ]]; then
        print_list
        return
    fi
    if [[ ${#units[@]} -eq 0 ]]; then
        local unit
        for unit in "${listed_units[@]}"; do
            # Where nothing is skipped there is nothing to find out.
            [[ $mode == check-skipped && -z ${skips[$unit]} ]] || units+=("$unit")
        done
    fi

    need tclsh tcl
    need flock util-linux
    source_tree=$("$repo_root/scripts/references.sh" --path sources/redis-8.0.2)
    tools=$("$repo_root/scripts/references.sh" --path redis-8.0.2)
    find_subject
    check_units_exist "${units[@]}"
    run_all "${units[@]}"
}

# --- the list -----------------------------------------------------------------

# read_list fills: listed_units, and by unit passed_expected, reference_count and
# skips, the last with one line "TAG | PATTERN" for each.
read_list() {
    listed_units=()
    declare -gA passed_expected=() reference_count=() skips=()
    local line unit='' number=0
    while IFS= read -r line || [[ -n $line ]]; do
        number=$((number + 1))
        [[ $line =~ ^[[:space:]]*(#|$) ]] && continue
        if [[ $line =~ ^(unit|integration)(/[^[:space:]]+)[[:space:]]+([0-9]+)\ of\ ([0-9]+)$ ]]; then
            unit=${BASH_REMATCH[1]}${BASH_REMATCH[2]}
            [[ -z ${passed_expected[$unit]:-} ]] || bad_line "$number" "$unit stands here for the second time"
            listed_units+=("$unit")
            passed_expected[$unit]=${BASH_REMATCH[3]}
            reference_count[$unit]=${BASH_REMATCH[4]}
            skips[$unit]=''
            continue
        fi
        [[ $line =~ ^[[:space:]]+([^|]+[^|[:space:]])\ \|\ (.+)$ ]] ||
            bad_line "$number" "neither 'UNIT PASSED of REFERENCE' nor '    TAG | PATTERN': $line"
        [[ -n $unit ]] || bad_line "$number" "a skipped test before the first unit"
        check_tag "$number" "${BASH_REMATCH[1]}"
        skips[$unit]+="${BASH_REMATCH[1]} | ${BASH_REMATCH[2]}"$'\n'
    done <"$list_file"
}

check_tag() {
    local number=$1 tag=$2 need
    # Behind the cause may stand why a pass proves nothing.
    [[ $tag != *'; proves nothing:'* || $tag == *'; proves nothing: '?* ]] ||
        bad_line "$number" "why it proves nothing is missing: $tag"
    case $tag in
        'needs: '*)
            need=${tag#needs: }
            need=${need%%; proves nothing: *}
            [[ " $known_needs " == *" $need "* ]] || bad_line "$number" "nothing is called '$need'; known: $known_needs"
            ;;
        'differs: '*'???'*) bad_line "$number" "the reason is still to be written: $tag" ;;
        'differs: '?*) ;;
        *) bad_line "$number" "a tag is 'needs: WORD' or 'differs: REASON', either with '; proves nothing: WHY', not '$tag'" ;;
    esac
}

bad_line() { die "${list_file#"$repo_root/"} line $1: $2"; }

print_list() {
    local unit
    printf '%-36s %6s %9s %7s\n' unit passed reference skips
    for unit in "${listed_units[@]}"; do
        printf '%-36s %6s %9s %7s\n' "$unit" "${passed_expected[$unit]}" "${reference_count[$unit]}" \
            "$(grep -c . <<<"${skips[$unit]}" || true)"
    done
}

# matching_skip UNIT NAME: prints the line of the list that skips this test.
matching_skip() {
    local line pattern
    while IFS= read -r line; do
        pattern=${line#* | }
        case $pattern in
            '' | tag:* | command:*) ;;
            /*) if [[ $2 =~ ${pattern#/} ]]; then printf '%s\n' "$line" && return 0; fi ;;
            *) if [[ $2 == "$pattern" ]]; then printf '%s\n' "$line" && return 0; fi ;;
        esac
    done <<<"${skips[$1]:-}"
    return 1
}

# --- running ------------------------------------------------------------------

find_subject() {
    if [[ $subject == reference ]]; then
        server=$tools/redis-server
    else
        release_server
    fi
    say "server: $server"
    "$server" --version >&2 || die "$server does not start"
}

# probe PORT: a server that does not even start would cost every unit its whole
# timeout, so it is started once before.
probe() {
    local dir=$run/probe pid started=$SECONDS
    mkdir -p "$dir"
    : >"$dir/output"
    "$server" --port "$1" --dir "$dir" --save '' >"$dir/output" 2>&1 </dev/null &
    pid=$!
    until grep -q 'Ready to accept connections' "$dir/output" && [[ $("$tools/redis-cli" -p "$1" PING 2>/dev/null) == PONG ]]; do
        if ! kill -0 "$pid" 2>/dev/null || [[ $((SECONDS - started)) -gt $probe_seconds_max ]]; then
            kill -KILL "$pid" 2>/dev/null || true
            tail -n 20 "$dir/output" | sed 's/^/   | /' >&2
            return 1
        fi
        sleep 0.1
    done
    kill -TERM "$pid"
    wait "$pid" || true
}

check_units_exist() {
    local unit
    for unit in "$@"; do
        [[ -f $source_tree/tests/$unit.tcl ]] || die "the suite has no unit '$unit'"
    done
}

run_all() {
    local units=("$@") slot started=$SECONDS
    run=$target_dir/upstream/run-$$
    logs=$target_dir/upstream/logs
    mkdir -p "$run/results" "$logs"
    workers=()
    trap clean_up EXIT
    printf '%s\n' "${units[@]}" >"$run/queue"

    (trap - EXIT && take_ports && probe "$base_port" 7>&-) ||
        die "the server does not start and answer PING within $probe_seconds_max s"

    [[ $jobs -le ${#units[@]} ]] || jobs=${#units[@]}
    for ((slot = 1; slot <= jobs; slot++)); do
        work_slot "$slot" &
        workers+=($!)
    done
    local worker
    for worker in "${workers[@]}"; do
        wait "$worker" || die "a slot ended early, see above"
    done

    if [[ $mode == update ]]; then
        print_entries "${units[@]}"
    fi
    summarize $((SECONDS - started)) "${units[@]}"
}

clean_up() {
    # The slots first, or they would report what is killed next as results.
    [[ ${#workers[@]} -eq 0 ]] || kill -KILL "${workers[@]}" 2>/dev/null || true
    local group
    for group in "$run"/*/group; do
        [[ ! -s $group ]] || kill -KILL -- "-$(<"$group")" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    if [[ $keep == yes ]]; then
        say "working copies: $run"
    else
        rm -rf "$run"
    fi
}

# work_slot SLOT: a working copy and a range of ports, then units until none is left.
work_slot() {
    local slot=$1 unit
    trap - EXIT ERR
    take_ports
    make_copy "$run/slot-$slot"
    while unit=$(next_unit); do
        run_unit "$run/slot-$slot" "$unit"
    done
}

next_unit() {
    (
        flock 8
        [[ -s $run/queue ]] || exit 1
        head -n 1 "$run/queue"
        sed -i 1d "$run/queue"
    ) 8>"$run/queue.lock"
}

# take_ports: sets base_port; the lock is held as long as this process lives.
take_ports() {
    local range
    for ((range = 0; range < port_ranges; range++)); do
        exec 7>"$references_root/.ports-$range.lock"
        if flock -n 7; then
            base_port=$((port_first + range * port_step))
            return
        fi
    done
    die "all $port_ranges ranges of ports are in use by other runs"
}

# make_copy DIR: what a run needs of the source tree, and `src` with programs.
make_copy() {
    local dir=$1 program
    mkdir -p "$dir/src"
    cp -R "$source_tree/tests" "$source_tree/utils" "$source_tree/redis.conf" "$source_tree/sentinel.conf" "$dir/"
    mkdir -p "$dir/tests/tmp"
    for program in redis-cli redis-benchmark redis-check-aof redis-check-rdb; do
        ln -s "$tools/$program" "$dir/src/$program"
    done
    # A script that becomes the server, as that of the reference does. The suite looks at the
    # program with ldd; for one that is linked dynamically it would ask for what the C library
    # alone prints: the names of Redis's own functions, in the stacks of all threads.
    printf '#!/bin/sh\nexec %q "$@"\n' "$server" >"$dir/src/redis-server"
    chmod +x "$dir/src/redis-server"
}

# run_unit COPY UNIT: runs it as the mode wants, prints its line, and leaves its
# result in $run/results: the counts, and a line for each problem.
run_unit() {
    local copy=$1 unit=$2 started=$SECONDS
    local out=$run/results/${unit//\//.}
    mkdir -p "$out"
    local arguments=()
    case $subject-$mode in
        ours-judge | ours-update) skip_arguments "$unit" "$out" ;;
        *) : >"$out/cuts" ;;
    esac
    run_suite "$copy" "$unit" "$logs/${unit//\//.}.log" "$out" "${arguments[@]}"
    : >"$out/problems"
    : >"$out/notes"
    if [[ $mode == check-skipped ]]; then
        judge_skipped "$copy" "$unit" "$out"
    else
        judge "$unit" "$out"
    fi
    print_unit "$unit" "$out" $((SECONDS - started))
}

# skip_arguments UNIT OUT [LEFT_OUT]: writes OUT/skipfile and OUT/cuts and sets `arguments`
# so that the suite leaves out what the list skips, all but the line LEFT_OUT.
skip_arguments() {
    local unit=$1 out=$2 left_out=${3:-} line pattern tags=''
    : >"$out/skipfile"
    : >"$out/cuts"
    while IFS= read -r line; do
        [[ -n $line && $line != "$left_out" ]] || continue
        pattern=${line#* | }
        case $pattern in
            tag:*) tags+=" -${pattern#tag:}" ;;
            command:*) printf '%s\n' "${pattern#command:}" >>"$out/cuts" ;;
            *) printf '%s\n' "$pattern" >>"$out/skipfile" ;;
        esac
    done <<<"${skips[$unit]:-}"
    arguments=(--skipfile "$out/skipfile")
    [[ -z $tags ]] || arguments+=(--tags "${tags# }")
}

# cut_commands COPY UNIT CUTS: lays the unit's file out, with empty lines in the place of each
# command that begins with a line of the file CUTS. A line that none begins with ends the run.
cut_commands() {
    local file=$1/tests/$2.tcl
    cp "$source_tree/tests/$2.tcl" "$file"
    tclsh /dev/stdin "$file" "$3" <<'END' || die "tests/$2.tcl has no such command"
        lassign $argv unit cuts
        proc lines {path} { set file [open $path]; set text [read $file]; close $file; split $text \n }
        set lines [lines $unit]
        foreach begin [lines $cuts] {
            if {$begin eq ""} continue
            set found 0
            for {set at 0} {$at < [llength $lines]} {incr at} {
                if {[string first $begin [string trimleft [lindex $lines $at]]] != 0} continue
                set found 1
                set command ""
                while {$command eq "" || ![info complete $command]} {
                    append command [lindex $lines $at] \n
                    lset lines $at ""
                    incr at
                }
                incr at -1
            }
            if {!$found} { puts stderr "no command begins with: $begin"; exit 1 }
        }
        set file [open $unit w]
        puts -nonewline $file [join $lines \n]
        close $file
END
}

# run_suite COPY UNIT LOG OUT ARGUMENT...: one run of the suite, and its output
# taken apart into files of OUT.
run_suite() {
    local copy=$1 unit=$2 log=$3 out=$4 status=0
    shift 4
    rm -rf "${copy:?}"/tests/tmp/*
    cut_commands "$copy" "$unit" "$out/cuts"
    # `timeout` makes a process group, so whatever is left of it can be ended.
    (
        cd "$copy"
        exec timeout --signal=TERM --kill-after=10 "$unit_seconds_max" \
            tclsh tests/test_helper.tcl --clients 1 --durable --timeout "$progress_timeout" \
            --dont-clean --baseport "$base_port" --portcount "$port_count" --single "$unit" "$@"
    ) >"$log" 2>&1 </dev/null 7>&- &
    local pid=$!
    printf '%s\n' "$pid" >"$copy/group"
    wait "$pid" || status=$?
    kill -KILL -- "-$pid" 2>/dev/null || true
    : >"$copy/group"
    take_apart "$log" "$out" "$status"
    # A broken invariant of ours shows in the server's own output.
    grep -rhoE "panicked at .*" "$copy"/tests/tmp/*/std* 2>/dev/null | sort | uniq -c |
        sed 's/^ *\([0-9]*\) /the server panicked (\1 times): /' >>"$out/trouble" || true
}

# take_apart LOG OUT STATUS: writes the names of the tests to OUT/passed, failed
# and skipped, and everything that is no test's verdict to OUT/trouble.
#
# A failing test reads "[err]: NAME in tests/UNIT.tcl" and goes on with details;
# an error outside a test reads "[err]: DETAILS", and the rest of its block never
# ran. That is why a unit can reach its end and still not have been judged.
take_apart() {
    local log=$1 out=$2 status=$3
    rm -f "$out"/{passed,failed,skipped,trouble,details}
    touch "$out"/{passed,failed,skipped,trouble,details}
    LC_ALL=C awk -v out="$out" -v status="$status" '
        function trouble(text) { print text >(out "/trouble") }
        { gsub(/\033\[[0-9;]*m/, "") }
        /^\*\*\* \[/ || /The End$/ { failing = 0 }
        /^\[ok\]: / {
            sub(/^\[ok\]: /, ""); sub(/ \([0-9]+ ms\)$/, "")
            print >(out "/passed"); last = $0; failing = 0; next
        }
        /^\[err\]: / {
            sub(/^\[err\]: /, ""); failing = 1
            if (sub(/ in tests\/.*\.tcl$/, "")) { print >(out "/failed"); last = $0; name = $0; next }
            trouble("a block ended early after \"" last "\": " $0); failing = 0; next
        }
        /^\[skip\]: / { sub(/^\[skip\]: /, ""); print >(out "/skipped"); failing = 0; next }
        /^\[ignore\]: / { failing = 0; next }
        /^\[exception\]: / { trouble("the unit ended after \"" last "\": " $0); next }
        /^\[TIMEOUT\]/ { timeout = 1; next }
        timeout && / => \(/ { sub(/^[^ ]* => /, ""); trouble("no progress: " $0); timeout = 0 }
        /^\[[0-9]+\/[0-9]+ done\]: / { done = 1; failing = 0; next }
        failing && NF { print name "\t" $0 >(out "/details"); failing = 0 }
        END {
            if (!done) trouble("the unit did not reach its end (exit status " status "), the last test to end was \"" last "\"")
            else if (status > 1) trouble("the suite ended with exit status " status)
        }' "$log"
}

# --- judging ------------------------------------------------------------------

problem() { printf '%s\n' "$2" >>"$1/problems"; }

judge() {
    local unit=$1 out=$2 name line passed expected
    passed=$(wc -l <"$out/passed")
    while IFS= read -r name; do
        problem "$out" "failed: $name$(awk -F'\t' -v name="$name" '$1 == name { print ": " substr($2, 1, 200); exit }' "$out/details")"
    done < <(awk '!seen[$0]++' "$out/failed")
    while IFS= read -r line; do
        problem "$out" "aborted: ${line:0:300}"
    done <"$out/trouble"

    if [[ $subject == reference ]]; then
        expected=${reference_count[$unit]:-0}
    else
        expected=${passed_expected[$unit]:-0}
    fi
    if [[ $passed -lt $expected ]]; then
        problem "$out" "passed $passed, but the list says $expected"
    elif [[ $passed -gt $expected && ! -s $out/problems ]]; then
        printf '%s\n' "passed $passed, the list says $expected: raise it" >>"$out/notes"
    fi
    # A line that skips nothing is stale; but only a whole run can tell.
    if [[ $subject == ours && ! -s $out/trouble ]]; then
        : >"$out/used"
        while IFS= read -r name; do
            matching_skip "$unit" "$name" >>"$out/used" || true
        done < <(sort -u "$out/skipped")
        while IFS= read -r line; do
            [[ -z $line || $line == *' | '@(tag|command):* ]] || grep -qxF -- "$line" "$out/used" ||
                problem "$out" "this line skips nothing: $line"
        done <<<"${skips[$unit]:-}"
    fi
}

# judge_skipped COPY UNIT OUT: the unit ran with nothing skipped. Of the other tests
# nothing is asked here, because a skipped one may have spoilt what they need.
# What an early end kept from running is run again, one line of the list a time.
judge_skipped() {
    local copy=$1 unit=$2 out=$3 line name again=no
    [[ ! -s $out/trouble && $alone == no ]] || again=yes
    report_passing "$unit" "$out"
    while IFS= read -r name; do
        matching_skip "$unit" "$name" || true
    done < <(sort -u "$out/passed" "$out/failed") >"$out/reached"
    while IFS= read -r line; do
        [[ -n $line ]] || continue
        if [[ $again == yes ]]; then
            [[ $alone == yes ]] || ! grep -qxF -- "$line" "$out/reached" || continue
            skip_arguments "$unit" "$out" "$line"
            run_suite "$copy" "$unit" "$logs/${unit//\//.}.alone.log" "$out" "${arguments[@]}"
            report_passing "$unit" "$out"
        fi
        # Blocks and commands have no verdict of their own: all is well with them, or not.
        if [[ $line == *' | '@(tag|command):* && ! -s $out/trouble && ! -s $out/failed ]]; then
            problem "$out" "all passes, but this is left out: $line"
        fi
    done <<<"${skips[$unit]:-}"
    sort -u -o "$out/problems" "$out/problems"
    # That tests fail when they are skipped for it is as it should be.
    : >"$out/failed"
}

# report_passing UNIT OUT: each skipped name that passes, every time it ran, but for those
# whose line says that a pass proves nothing.
report_passing() {
    local unit=$1 out=$2 name line
    while IFS= read -r name; do
        if line=$(matching_skip "$unit" "$name") && [[ $line != *'; proves nothing: '*' | '* ]]; then
            problem "$out" "passes, but is skipped: $name (${line%% | *})"
        fi
    done < <(sort -u "$out/passed" | { grep -vxF -f <(sort -u "$out/failed") || true; })
}

print_unit() {
    local unit=$1 out=$2 seconds=$3 verdict=ok
    [[ ! -s $out/problems ]] || verdict=FAILED
    printf '%-36s %4d passed %4d failed %4d skipped %4d s  %s\n' "$unit" "$(wc -l <"$out/passed")" \
        "$(wc -l <"$out/failed")" "$(wc -l <"$out/skipped")" "$seconds" "$verdict"
    local count
    count=$(wc -l <"$out/problems")
    head -n "$problems_shown_max" "$out/problems" | sed 's/^/      /'
    [[ $count -le $problems_shown_max ]] ||
        printf '      ... and %s more\n' $((count - problems_shown_max))
    sed 's/^/      /' "$out/notes"
}

summarize() {
    local seconds=$1 unit out passed=0 failed=0 skipped=0 failed_units=0 here
    shift
    for unit in "$@"; do
        out=$run/results/${unit//\//.}
        [[ -f $out/problems ]] || die "no result of $unit"
        passed=$((passed + $(wc -l <"$out/passed")))
        skipped=$((skipped + $(wc -l <"$out/skipped")))
        # A failing unit counts as one failure at least, whatever is wrong with it.
        here=$(wc -l <"$out/failed")
        if [[ -s $out/problems ]]; then
            failed_units=$((failed_units + 1))
            [[ $here -gt 0 ]] || here=1
        fi
        failed=$((failed + here))
    done
    printf '\n%s of %s units as the list says, in %s s; logs: %s\n' \
        $(($# - failed_units)) $# "$seconds" "${logs#"$repo_root/"}"
    printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
    [[ $failed_units -eq 0 ]] || exit 1
}

# --- proposing entries ----------------------------------------------------------

print_entries() {
    local unit
    printf '\n'
    for unit in "$@"; do
        entry "$unit" "$run/results/${unit//\//.}" | tee "$run/entry"
        [[ $write == no ]] || write_entry "$unit" "$run/entry"
    done
}

# entry UNIT OUT: the lines that skip something stay, each failing test gets one.
entry() {
    local unit=$1 out=$2 line name passed
    # A name that failed once is skipped each time it comes.
    passed=$(grep -cvxF -f <(sort -u "$out/failed") "$out/passed" || true)
    printf '%s  %s of %s\n' "$unit" "$passed" "${reference_count[$unit]:-0}"
    while IFS= read -r line; do
        [[ -n $line ]] || continue
        grep -qF -- "this line skips nothing: $line" "$out/problems" || printf '    %s\n' "$line"
    done <<<"${skips[$unit]:-}"
    while IFS= read -r name; do
        printf '    %s | %s\n' "$(guess_tag "$out" "$name")" "$name"
    done < <(awk '!seen[$0]++' "$out/failed")
    sed 's/^/    # /' "$out/trouble" | cut -c 1-300
}

# guess_tag OUT NAME: what an unknown command says about the cause. The rest is for
# a person to find out; the list is not accepted with a `???` in it. The suite cuts
# the first ten characters off an error, so "ERR unknown command" is not all there.
guess_tag() {
    local cause
    cause=$(awk -F'\t' -v name="$2" '$1 == name { print tolower($2) }' "$1/details")
    [[ $cause =~ n\ command\ \'([a-z|]+)\' ]] || { echo 'differs: ???' && return; }
    case ${BASH_REMATCH[1]} in
        slaveof | replicaof | psync | sync | wait | waitaof | role | failover | replconf) echo 'needs: replication' ;;
        eval* | script | fcall* | function) echo 'needs: scripting' ;;
        save | bgsave | bgrewriteaof) echo 'needs: persistence' ;;
        acl | latency | monitor | slowlog | cluster) echo "needs: ${BASH_REMATCH[1]}" ;;
        subscribe | psubscribe | ssubscribe | publish | spublish | pubsub | unsubscribe) echo 'needs: pubsub' ;;
        b[lrz]*) echo 'needs: blocking' ;;
        *) echo 'needs: types' ;;
    esac
}

# write_entry UNIT FILE: in the place of the old entry, or at the end.
write_entry() {
    local unit=$1 file=$2
    awk -v unit="$unit" -v file="$file" '
        function put() { while ((getline line <file) > 0) print line; close(file); written = 1 }
        /^[^ \t#]/ { inside = ($1 == unit); if (inside) { put(); next } }
        inside && /^[ \t]+[^ \t]/ { next }
        { inside = 0; print }
        END { if (!written) { print ""; put() } }' "$list_file" >"$run/list"
    cat "$run/list" >"$list_file"
}

main "$@"
