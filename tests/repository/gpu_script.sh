#!/usr/bin/env bash
# bench/gpu.sh without a GPU: wrong calls are refused, a failing step neither stops the others nor goes unmentioned, what
# cannot be run is skipped by name, and the results are JSON (looked at where there is a Python).
# Usage: gpu_script.sh SOURCE_DIR BUILD_DIR
set -u
source_dir=${1:?source directory} build_dir=${2:?build directory}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

expect() { # WHAT STATUS TEXT COMMAND...
    local what=$1 status=$2 text=$3 got
    shift 3
    "$@" >"$work/told" 2>&1
    got=$?
    if [ $got = "$status" ] && grep -qF -- "$text" "$work/told"; then passed=$((passed + 1)); return; fi
    failed=$((failed + 1))
    echo "FAILED $what: status $got instead of $status, or no \"$text\" in:"
    tail -n 5 "$work/told"
}
script=$source_dir/bench/gpu.sh
expect "help" 0 "usage of parts: " bash -c "bash '$script' -h | sed 's/^  build  /usage of parts: /'"
expect "an unknown part" 2 "there is no part nix" bash "$script" -b "$work/b" nix
expect "a wrong time" 2 "-t soon: not a number" bash "$script" -b "$work/b" -t soon build
expect "a bundle that is not there" 2 "-p nowhere: there is no such" bash "$script" -b "$work/b" -p nowhere build
expect "an unknown flag" 2 "Everything that only a GPU can tell" bash "$script" -q

mkdir -p "$work/b" "$work/out"
expect "nothing built" 1 "not built: run the part build first" bash "$script" -b "$work/b" -o "$work/out" -d sim:0 ops
ln -s "$(realpath "$build_dir")/bin" "$work/b/bin"
expect "no sanitizer without a GPU" 1 "no GPU" bash "$script" -b "$work/b" -o "$work/out" -d sim:0 sanitizer
rm -f "$work/b/gpu-steps.tsv"
expect "no time" 1 "no time was left for it" bash "$script" -b "$work/b" -o "$work/out" -d sim:0 -t 1 ops
expect "nothing to compare with" 1 "run the part bench first" bash "$script" -b "$work/b" -o "$work/out" -d sim:0 peers
rm -f "$work/b/gpu-steps.tsv"
expect "operations on a simulated device" 0 "noise_step" bash "$script" -b "$work/b" -o "$work/out" -d sim:0 ops
expect "failures of all steps, none stopping the next" 1 "reorder" \
    bash "$script" -b "$work/b" -o "$work/out" -d sim:99 ops
if command -v python3 >/dev/null; then
    expect "results" 0 "$(grep -c "^UC_OP(" "$source_dir/kernels/ops.def") False" python3 -c "
import json, sys
r = json.load(open('$work/out/gpu.json'))
assert all(s['state'] == 'failed' and 'sim:99' in s['why'] for s in r['failures']), r['failures']
assert all(t['state'] == 'not measured' and t['measured'] is None for t in r['targets']) and len(r['targets']) == 8
print(len(r['failures']), r['measured_on_a_gpu'])"
fi
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
