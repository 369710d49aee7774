#!/usr/bin/env bash
# Measures what data costs: resident memory above the empty server (without the pages of
# files, which are the program and no data; the peak has them), ours beside Redis 8.0.2,
# Valkey 8.1 and Redis 7.0.15 in the same run.
#
#     scripts/memory.sh [--rows TEXT] [--elements N] [--peer NAME=COMMAND]...
#
#     --rows TEXT           only the rows with TEXT in their name
#     --elements N          elements a row; default a million
#     --peer NAME=COMMAND   a further server; `{port}` in COMMAND stands for its port, and
#                           without it `--port PORT` is added
#
# Prints a Markdown table in MiB and writes it to target/memory/memory.md, and with the peaks to
# target/memory/memory.csv. In bold: what is above Redis 8.0.2 or above the aim. Every row
# starts every server afresh, so that nothing of the row before is left; about five minutes in
# all. An interrupt keeps the rows so far.
#
# BRINDLE_SERVER names our binary; default: the release profile, which is built. Needs python3.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

main() {
    local options=()
    while [[ $# -gt 0 ]]; do
        case $1 in
            --rows | --elements | --peer) options+=("$1" "${2:?$1 needs a value}") && shift 2 ;;
            -h | --help) usage && exit 0 ;;
            *) die "unknown argument '$1' (see --help)" ;;
        esac
    done
    need python3 python3
    local name
    while IFS='|' read -r name program; do
        options+=(--reference "$name=$("$repo_root/scripts/references.sh" --path "${program%/*}")/${program#*/}")
    done <<'EOF'
Redis 8.0.2|redis-8.0.2/redis-server
Valkey 8.1|valkey-8.1/valkey-server
Redis 7.0.15|redis-7.0.15/redis-server
EOF
    release_server
    exec python3 -B "$repo_root/scripts/measure/memory.py" --ours "$server" --out "$target_dir/memory" "${options[@]}"
}

main "$@"
