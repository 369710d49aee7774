#!/usr/bin/env bash
# Brings the real servers that judge ours, unpacked and never installed.
#
#     scripts/references.sh               bring what is missing
#     scripts/references.sh --path NAME   bring NAME if it is missing, print its folder
#     scripts/references.sh --check       say what is there; exit 1 if something is missing
#     scripts/references.sh --force       bring all of it again
#
# NAME is one of
#     redis-8.0.2          decides behaviour        redis-server redis-cli redis-benchmark
#     redis-7.0.15         decides interchange      redis-check-aof redis-check-rdb
#     valkey-8.1           what it alone has        valkey-server valkey-cli valkey-benchmark
#     sources/redis-8.0.2  the source tree of the first, for its Tcl test suite
#
# They come from the Debian suites that hold them, with apt lists of our own, so
# neither root nor a change to the system is needed. They are kept in
# ${XDG_CACHE_HOME:-~/.cache}/brindle/references, because a clean checkout should
# not have to bring 30 MB again. Every program there is a small wrapper that
# starts the real one through the dynamic loader and libraries it was built for.
#
# BRINDLE_DEBIAN_MIRROR names the archive to use; without it, the one that apt
# on this machine is configured with is used.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# One line for each reference: name, Debian suite, the versions that may stand
# under that name, packages, programs. A suite gets security updates, so the
# exact version moves; another minor version would be another reference.
references=(
    'redis-8.0.2|trixie|8.0.*|redis-server redis-tools|redis-server redis-cli redis-benchmark redis-check-aof redis-check-rdb'
    'redis-7.0.15|bookworm|7.0.*|redis-server redis-tools|redis-server redis-cli redis-benchmark redis-check-aof redis-check-rdb'
    'valkey-8.1|trixie|8.1.*|valkey-server valkey-tools|valkey-server valkey-cli valkey-benchmark valkey-check-aof valkey-check-rdb'
    'sources/redis-8.0.2|trixie|8.0.*|redis|'
)

# Raised when what this script makes changes, so that older folders are made anew.
layout=1
marker=.brindle-reference
attempts=3

main() {
    local wanted='' mode=bring
    while [[ $# -gt 0 ]]; do
        case $1 in
            --path) mode=path wanted=${2:?--path needs a name} && shift 2 ;;
            --check) mode=check && shift ;;
            --force) mode=force && shift ;;
            -h | --help) usage && exit 0 ;;
            *) die "unknown argument '$1' (see --help)" ;;
        esac
    done

    case $mode in
        check) report ;;
        path)
            fields "$wanted" >/dev/null || die "no reference is called '$wanted' (see --help)"
            is_ready "$wanted" || bring_locked "$wanted"
            printf '%s\n' "$references_root/$wanted"
            ;;
        bring | force)
            local name missing=()
            while read -r name; do
                if [[ $mode == force ]]; then
                    rm -f "$references_root/$name/$marker"
                fi
                is_ready "$name" || missing+=("$name")
            done < <(names)
            [[ ${#missing[@]} -eq 0 ]] || bring_locked "${missing[@]}"
            report
            ;;
    esac
}

names() { printf '%s\n' "${references[@]}" | cut -d'|' -f1; }

# fields NAME: its line of the table.
fields() {
    local line
    for line in "${references[@]}"; do
        [[ ${line%%|*} == "$1" ]] && printf '%s\n' "$line" && return 0
    done
    return 1
}

# is_ready NAME: a folder counts only when its marker was written, which is the
# last thing done, and when its server still starts from where it stands.
is_ready() {
    local dir=$references_root/$1 server
    grep -qxF "layout=$layout" "$dir/$marker" 2>/dev/null || return 1
    case $1 in
        sources/*) [[ -x $dir/runtest ]] ;;
        *)
            server=$dir/${1%%-*}-server
            "$server" --version >/dev/null 2>&1
            ;;
    esac
}

report() {
    local name all_there=0
    while read -r name; do
        if is_ready "$name"; then
            printf '%-20s %-24s %s\n' "$name" "$(sed -n 's/^version=//p' "$references_root/$name/$marker")" "$references_root/$name"
        else
            printf '%-20s missing\n' "$name"
            all_there=1
        fi
    done < <(names)
    return "$all_there"
}

# bring_locked NAME...: two runs at once would unpack over each other, so the
# second waits, and then finds the work done.
bring_locked() {
    need apt-get apt
    need dpkg-deb dpkg
    need flock util-linux
    mkdir -p "$references_root/sources"
    exec 9>"$references_root/.lock"
    if ! flock -n 9; then
        say "another run is bringing the references; waiting for it"
        flock -w 900 9 || die "the other run has not finished within 15 minutes; lock: $references_root/.lock"
    fi

    # What a killed run left behind.
    rm -rf "$references_root"/.work.*
    work=$(mktemp -d "$references_root/.work.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    local name
    for name in "$@"; do
        is_ready "$name" && continue
        bring "$name"
        is_ready "$name" || die "$name was unpacked but does not start: $references_root/$name"
    done
}

bring() {
    local name suite pattern packages programs started=$SECONDS
    IFS='|' read -r name suite pattern packages programs < <(fields "$1")
    say "bringing $name from Debian $suite"
    use_suite "$suite"

    local staging=$work/staging
    rm -rf "$staging" && mkdir -p "$staging"
    local version
    if [[ $name == sources/* ]]; then
        version=$(candidate_source "$packages")
        check_version "$name" "$version" "$pattern"
        unpack_source "$packages" "$staging"
    else
        version=$(candidate "${packages%% *}")
        check_version "$name" "$version" "$pattern"
        # shellcheck disable=SC2086 # a list of words
        unpack_packages "$staging/root" $packages
        # shellcheck disable=SC2086
        write_wrappers "$staging" "$references_root/$name" $programs
    fi
    printf 'layout=%s\nversion=%s\nsuite=%s\n' "$layout" "$version" "$suite" >"$staging/$marker"

    rm -rf "${references_root:?}/$name"
    mv "$staging" "$references_root/$name"
    say "  $name is version $version, $((SECONDS - started)) s"
}

# check_version NAME VERSION PATTERN: VERSION is Debian's, with an epoch before
# and a revision behind the version proper.
check_version() {
    local proper=${2#*:}
    # shellcheck disable=SC2053 # the right side is a pattern on purpose
    [[ $proper == $3 ]] || die "the archive now has version '$2' where $1 needs $3"
    [[ $1 != *-8.0.2 || $proper == 8.0.2[-+]* ]] || say "  note: $1 holds version $2"
    [[ $1 != *-7.0.15 || $proper == 7.0.15[-+]* ]] || say "  note: $1 holds version $2"
}

# use_suite SUITE: points apt at lists of our own below $work. An empty status
# file makes apt believe that nothing is installed, so it names every library.
use_suite() {
    local suite=$1 dir=$work/apt-$1
    export APT_CONFIG=$dir/apt.conf
    [[ ! -e $dir/ready ]] || return 0
    # Proxies and the like come along; the system's hooks must not.
    local carried
    carried=$(APT_CONFIG='' apt-config dump 2>/dev/null | grep -iE '^Acquire::(http|https|ftp|socks)' || true)
    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
    : >"$dir/status"
    cat >"$APT_CONFIG" <<EOF
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "$dir";
Dir::State::lists "$dir/lists";
Dir::State::status "$dir/status";
Dir::Cache "$dir/cache";
APT::Sandbox::User "root";
APT::Get::List-Cleanup "false";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::http::Timeout "30";
Debug::NoLocking "true";
$carried
EOF

    local mirror
    while read -r mirror; do
        write_source_list "$dir" "$mirror" "$suite" ''
        if retry "$attempts" update "$dir"; then
            touch "$dir/ready"
            return 0
        fi
        if grep -q NO_PUBKEY "$dir/update.log"; then
            say "  warning: no keyring on this system knows Debian $suite; its signature is not checked"
            write_source_list "$dir" "$mirror" "$suite" 'trusted=yes'
            if update "$dir"; then
                touch "$dir/ready"
                return 0
            fi
        fi
        sed 's/^/  apt: /' "$dir/update.log" >&2
    done < <(mirrors)
    cannot "no archive that can be reached from here has Debian $suite; set BRINDLE_DEBIAN_MIRROR to the address of a Debian archive"
}

write_source_list() {
    local dir=$1 mirror=$2 suite=$3 options=$4 keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    [[ -n $options || ! -r $keyring ]] || options="signed-by=$keyring"
    printf "deb [%s] %s %s main\ndeb-src [%s] %s %s main\n" \
        "$options" "$mirror" "$suite" "$options" "$mirror" "$suite" |
        sed 's/ \[\] / /' >"$dir/sources.list"
}

# apt-get update exits 0 when a list could not be had, so its words count too.
update() {
    LC_ALL=C apt-get update >"$1/update.log" 2>&1 && ! grep -qE '^(E|W|Err):?' "$1/update.log"
}

# mirrors: archives that may hold the suites, best first.
mirrors() {
    if [[ -n ${BRINDLE_DEBIAN_MIRROR:-} ]]; then
        printf '%s\n' "$BRINDLE_DEBIAN_MIRROR"
        return
    fi
    # The security archives hold single packages, not a suite.
    # shellcheck disable=SC2016 # apt expands that, not the shell
    APT_CONFIG='' apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        grep -v security | awk '!seen[$0]++' || true
}

candidate() { apt-cache policy "$1" | awk '$1 == "Candidate:" { print $2 }'; }

candidate_source() { apt-cache showsrc "$1" | awk '$1 == "Version:" { print $2 }' | sort -V | tail -n 1; }

# unpack_packages ROOT PACKAGE...: the packages and the libraries they load. apt
# resolves the dependencies; of those, only libraries matter to a program that
# is started and never installed.
unpack_packages() {
    local root=$1 package
    shift
    local wanted=("$@")
    while read -r package; do
        wanted+=("$package")
    done < <(apt-get install --print-uris -qq --no-install-recommends "$@" |
        awk '{ split($2, part, "_"); print part[1] }' | grep -E '^(lib|lua|zlib)' | grep -vxF "$(printf '%s\n' "$@")")

    local debs=$work/debs
    rm -rf "$debs" && mkdir -p "$debs" "$root"
    download() { (cd "$debs" && apt-get download -qq "${wanted[@]}" >download.log 2>&1) || { cat "$debs/download.log" >&2 && return 1; }; }
    retry "$attempts" download || die "could not download ${wanted[*]}"
    local deb
    for deb in "$debs"/*.deb; do
        dpkg-deb -x "$deb" "$root"
    done
}

unpack_source() {
    local package=$1 staging=$2 dir=$work/source
    rm -rf "$dir" && mkdir -p "$dir"
    download() { (cd "$dir" && apt-get source -qq --download-only "$package" >download.log 2>&1) || { cat "$dir/download.log" >&2 && return 1; }; }
    retry "$attempts" download || die "could not download the source of $package"
    rmdir "$staging"
    if have dpkg-source; then
        dpkg-source --no-check -x "$dir"/*.dsc "$staging" >"$dir/unpack.log" 2>&1 ||
            { cat "$dir/unpack.log" >&2 && die "could not unpack the source of $package"; }
        return
    fi
    # Without dpkg-dev the same by hand. The patches belong to it: they bring
    # security fixes together with their tests.
    need patch patch
    mkdir -p "$staging"
    tar -xf "$dir"/*.orig.tar.* --strip-components=1 -C "$staging"
    tar -xf "$dir"/*.debian.tar.* -C "$staging"
    local name
    while read -r name; do
        patch -s -p1 -d "$staging" <"$staging/debian/patches/$name" || die "patch $name does not apply"
    done < <(grep -vE '^[[:space:]]*(#|$)' "$staging/debian/patches/series")
}

# write_wrappers STAGING FINAL PROGRAM...: FINAL is where STAGING will stand. The
# wrapper calls itself argv[0], because that is what a server executes to start
# itself again, and what decides whether it acts as server or as checker.
write_wrappers() {
    local staging=$1 final=$2 program loader libraries
    shift 2
    loader=$(cd "$staging/root" && find . -name 'ld-linux*.so.*' ! -type d | sort | head -n 1)
    [[ -n $loader ]] || die "no dynamic loader in $staging/root"
    # Older suites have both folders, newer ones only the second.
    libraries=$(cd "$staging/root" && for folder in lib/*-linux-* usr/lib/*-linux-*; do
        [[ ! -d $folder ]] || printf '%s\n' "$final/root/$folder"
    done | paste -sd: -)
    for program in "$@"; do
        [[ -e $staging/root/usr/bin/$program ]] || die "the packages hold no $program"
        cat >"$staging/$program" <<EOF
#!/bin/sh
exec '$final/root/${loader#./}' --argv0 "\$0" --library-path '$libraries' '$final/root/usr/bin/$program' "\$@"
EOF
        chmod +x "$staging/$program"
    done
}

main "$@"
