#!/usr/bin/env bash
# All measurements of this folder's page on a CPU, in one run: twenty to forty minutes on two quiet cores.
# Usage: bench/measure.sh BUILD RESULTS.jsonl [KARLO_SIZE_DIR]
#   BUILD            a release build, e.g. build/release
#   KARLO_SIZE_DIR   a model of Karlo's size, e.g. of random weights: tests/goldens/make_karlo_size.py DIR
# Other engines are compared where $PYTHON (python3) can import torch and diffusers, and openvino if it can.
set -euo pipefail
build=${1:?build directory} out=${2:?result file} karlo=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
bench=$build/bin/unclip-bench python=${PYTHON:-python3}
rm -f "$out"

say() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }

say "the model that ships: pictures, loading, memory, operations"
"$bench" cascade -o "$out" --least 3 --most 5 --seconds 20
"$bench" cascade -o "$out" --least 2 --most 2 --batch 4
"$bench" cascade -o "$out" --least 3 --most 3 --type bf16 || echo "no bf16 on this machine"
"$bench" load -o "$out" --least 3 --most 5
"$bench" memory -o "$out"
"$bench" ops -o "$out" --cases 0 --least 2 --most 3 --seconds 5 >/dev/null
[ -n "$karlo" ] || { say "no model of Karlo's size was given"; exit 0; }

say "Karlo's size: operations"
ops() { "$bench" ops -m "$karlo" -o "$out" --cases 0 --least 1 --most 1 --seconds 0 --stage prior,decoder,sr256 "$@"; }
ops >/dev/null
ops --type bf16 >/dev/null || echo "no bf16 on this machine"

"$python" -c 'import torch, diffusers' 2>/dev/null || { say "no other engines here"; exit 0; }
peers() { # few engines at a time, since each holds the network by itself
    say "Karlo's size: a step of each stage, in turns with $1"
    "$python" "$here/peers/peers.py" "$karlo" --bench "$bench" -o "$out" --rounds 2 --engines "$1"
}
if "$python" -c 'import openvino' 2>/dev/null; then
    peers openvino-f32
    peers unclip-bf16,openvino-bf16
fi
peers eager-f32,eager-bf16
peers compile-f32
say "done; the tables: $python $here/peers/table.py $out --into $here/README.md"
