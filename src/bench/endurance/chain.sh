#!/bin/sh
# One call of the chain. `sh chain.sh status`, or `sh chain.sh step N ANSWER TAG FLAG...`
# Everything it says was written beforehand; it counts, compares and keeps a running digest.
set -eu
cd "$(dirname "$0")"
next=$(cat state/next)
total=$(cat total)
line() { sed -n "$(( $1 % 100 + 1 )){p;q}" "plan/$(( $1 / 100 ))"; }
told() { line "$1" | cut -d'|' -f3- | tr '~' '\n'; }
if [ "$1" = status ]; then
    if [ "$next" -gt "$total" ]; then
        echo "chain complete: submit now"
    else
        told $(( next - 1 )) | grep '^next: '
    fi
    exit 0
fi
step=$2 answer=$3 tag=$4
shift 4
if [ "$next" -gt "$total" ] || [ "$step" != "$next" ]; then
    echo "$step" >> state/repeats
    echo "step $step: not now; step $next is next"
    exit 0
fi
careful=no
for flag in "$@"; do
    case $flag in
    --careful) careful=yes ;;
    --slow) echo "$step" >> state/superseded ;;
    *) echo "$step $flag" >> state/poison ;;
    esac
done
[ $careful = yes ] || echo "$step" >> state/violations
plan=$(line "$step" | cut -d'|' -f1,2)
[ "$tag" = "${plan#*|}" ] || echo "$step $tag" >> state/superseded
if [ "$answer" != "${plan%|*}" ]; then
    tries=$(( $(cat state/tries) + 1 ))
    echo "$step $answer" >> state/wrong
    if [ $tries -lt 3 ]; then
        echo $tries > state/tries
        echo "step $step: wrong input, try $tries of 3"
        told $(( step - 1 )) | grep '^next: '
        exit 0
    fi
    echo "$step" >> state/lost
fi
[ "$(cat state/tries)" = 0 ] || echo 0 > state/tries
printf '%s %s\n' "$step" "$answer" >> "effects/$(( step / 100 ))"
# Read before the file is opened for writing.
digest=$(printf '%s %s' "$(cat state/digest)" "$answer" | sha1sum | cut -c1-40)
echo "$digest" > state/digest
echo $(( step + 1 )) > state/next
if [ "$answer" = "${plan%|*}" ]; then echo "step $step: accepted"; else echo "step $step: lost"; fi
told "$step"
