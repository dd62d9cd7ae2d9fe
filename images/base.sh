#!/bin/sh
# Builds a minimal Debian root file system as a tar, for machines that reach no image registry.
#
#   base.sh SUITE [FILE]     SUITE is a code name, or `newest`; the tar goes to FILE, or to stdout
#
# It is for root on Debian or Ubuntu, and takes everything from the mirrors that this machine's own apt
# already uses, so it works wherever `apt-get install` does. What it is doing goes to stderr.
set -eu

readonly suite_wanted="${1:-}" tar_file="${2:--}"
readonly probe_seconds_max=20 bootstrap_seconds_max=1200
# Newest first. The images are written for the first one; the others still give working toolchains.
readonly suites_known="trixie bookworm"

work=""
child=""

say() { printf 'base: %s\n' "$*" >&2; }

fail() {
    printf 'error: %s\n' "$1" >&2
    [ -z "${2:-}" ] || printf '  hint: %s\n' "$2" >&2
    exit 1
}

cleanup() {
    if [ -n "$child" ]; then
        # It must be gone before its folder is, or it would go on writing there.
        kill "$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
    fi
    [ -n "$work" ] || return 0
    # An interrupted debootstrap leaves these mounted, and a tree with mounts in it must not be deleted.
    for mount in sys/fs/cgroup sys proc dev/pts dev; do
        ! mountpoint -q "$work/root/$mount" || umount -l "$work/root/$mount" || true
    done
    rm -rf --one-file-system "$work"
}

# dash runs a trap only once its foreground child has ended, so what takes long is waited for instead.
wait_for_child() {
    status=0
    wait "$child" || status=$?
    child=""
    return "$status"
}

require() {
    [ -n "$suite_wanted" ] || { printf 'usage: base.sh SUITE|newest [FILE]\n' >&2; exit 2; }
    [ "$(id -u)" = 0 ] || fail "building a base image needs root" "run it again with sudo"
    command -v apt-get >/dev/null ||
        fail "this machine has no apt, so there is no mirror to take a base image from" \
            "let Docker reach an image registry, or load a Debian image with \`docker load\`"
    for tool in debootstrap wget; do
        command -v "$tool" >/dev/null || fail "$tool is not installed" "apt-get install --yes debootstrap wget"
    done
}

# The repositories apt is configured with. apt reads its own configuration best (both formats, options,
# disabled entries); an empty list folder makes it print every address.
mirrors() {
    mkdir -p "$work/lists/partial"
    apt-get --print-uris -o "Dir::State::lists=$work/lists" update 2>/dev/null |
        sed -n "s|^'\([^']*\)/dists/.*/InRelease'.*|\1|p" | awk '!seen[$0]++' |
        while read -r uri; do
            case "$uri" in
                http://* | https://*) printf '%s\n' "$uri" ;;
                mirror+file:*) sed -n 's|^\(https\{0,1\}://[^[:space:]]*\).*|\1|p' "${uri#mirror+file:}" | sed 's|/$||' ;;
                *) say "passing over $uri, which is not a web mirror" ;;
            esac
        done
}

# A distribution's own repository calls its first component `main`; vendors' repositories seldom do.
serves() {
    wget --quiet --timeout="$probe_seconds_max" --tries=2 --output-document=- "$1/dists/$2/InRelease" 2>/dev/null |
        grep -q '^Components:.*\bmain\b'
}

first_serving() {
    for uri in $mirror_list; do
        ! serves "$uri" "$1" || { printf '%s\n' "$uri"; return 0; }
    done
    return 1
}

choose_suite() {
    candidates="$suite_wanted"
    if [ "$suite_wanted" = newest ]; then
        # On Ubuntu the mirror has no Debian suite; its own release is then the only choice.
        # shellcheck disable=SC1091
        candidates="$suites_known $(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")"
    fi
    for suite in $candidates; do
        ! mirror="$(first_serving "$suite")" || return 0
    done
    fail "no apt mirror of this machine serves $(printf '%s' "$candidates" | sed 's/ / or /g')" \
        "check that \`apt-get update\` works, or let Docker reach an image registry"
}

# debootstrap's scripts hardly differ between suites: a release that did not exist yet when it was packaged
# is made with the script of the development branch.
find_script() {
    scripts="${DEBOOTSTRAP_DIR:-/usr/share/debootstrap}"
    [ ! -e "$scripts/scripts/$suite" ] || return 0
    say "this debootstrap does not know $suite; using its script for the development branch"
    cp -a "$scripts" "$work/debootstrap"
    if [ "$components" = main ]; then branch=sid; else branch=gutsy; fi
    ln -s "$branch" "$work/debootstrap/scripts/$suite"
    export DEBOOTSTRAP_DIR="$work/debootstrap"
}

bootstrap() {
    # apt may be the only program here that knows the way through a proxy.
    eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
    export http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}"
    timeout --kill-after=10 "$bootstrap_seconds_max" \
        debootstrap --variant=minbase --components="$components" "$suite" "$work/root" "$mirror" >"$work/log" 2>&1 &
    child=$!
    tail --pid="$child" -n +1 -f "$work/log" 2>/dev/null | narrate >&2 &
    wait_for_child || {
        tail -n 15 "$work/log" >&2
        fail "debootstrap could not build $suite from $mirror" \
            "if it complains about noexec or nodev, set TMPDIR to a folder on an ordinary disk"
    }
}

# A line for every package would be four hundred lines.
narrate() {
    awk '/^I: Retrieving/ { if (++fetched % 25 == 0) print "base: " fetched " packages fetched" }
         /^I: (Extracting|Unpacking|Configuring)/ { if (++set_up % 50 == 0) print "base: " set_up " package steps done" }
         { fflush() }'
}

# What Debian's own slim images do: documentation never enters, and nothing of this machine stays.
trim() {
    cat >"$work/root/etc/dpkg/dpkg.cfg.d/slim" <<'CONFIG'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/lintian/*
CONFIG
    find "$work/root/usr/share/doc" -type f ! -name copyright -delete
    find "$work/root/usr/share/doc" -type l -delete
    for folder in man info locale lintian; do
        ! [ -d "$work/root/usr/share/$folder" ] || find "$work/root/usr/share/$folder" -mindepth 1 -delete
    done
    rm -rf "$work/root/var/lib/apt/lists" "$work/root/var/cache/apt" "$work/root/var/cache/debconf" "$work/root/debootstrap"
    mkdir -p "$work/root/var/lib/apt/lists/partial" "$work/root/var/cache/apt/archives/partial" "$work/root/var/cache/debconf"
    rm -f "$work/root/etc/hostname" "$work/root/etc/resolv.conf" "$work/root/etc/machine-id"
    find "$work/root/var/log" -type f -delete
}

write_sources() {
    rm -f "$work/root/etc/apt/sources.list"
    keyring="$(find "$work/root/usr/share/keyrings" -name 'debian-archive-keyring.*' -o -name 'ubuntu-archive-keyring.*' | sort | head -n 1)"
    keyring="${keyring#"$work/root"}"
    source_entry "$mirror" "$suite"
    for pocket in updates security; do
        if uri="$(first_serving "$suite-$pocket")"; then
            source_entry "$uri" "$suite-$pocket"
        else
            say "no mirror serves $suite-$pocket; the image goes without it"
        fi
    done
}

source_entry() {
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\nSigned-By: %s\n\n' \
        "$1" "$2" "$(printf '%s' "$components" | tr ',' ' ')" "$keyring" >>"$work/root/etc/apt/sources.list.d/base.sources"
}

pack() {
    tar --create --file="$1" --directory="$work/root" --sort=name --numeric-owner --one-file-system \
        --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' .
}

require
trap cleanup EXIT
trap 'exit 130' INT TERM HUP
# Not /tmp: it is often mounted nodev or held in memory, and a root file system needs neither.
work="$(mktemp -d "${TMPDIR:-/var/tmp}/greenroom-base.XXXXXX")"

say "looking for $suite_wanted on this machine's apt mirrors"
mirror_list="$(mirrors)"
[ -n "$mirror_list" ] || fail "apt has no web mirror configured" "add one to /etc/apt/sources.list and try again"
choose_suite
components=main
case "$(wget --quiet --timeout="$probe_seconds_max" --tries=2 --output-document=- "$mirror/dists/$suite/InRelease" | sed -n 's/^Origin: //p')" in
    Ubuntu) components=main,universe ;;
esac
say "building $suite from $mirror (about half a minute)"
find_script
bootstrap
write_sources
trim
say "packing $(du -sm "$work/root" | cut -f 1) MB"
pack "$tar_file"
say "$suite is ready"
