#!/usr/bin/env bash
# Includes go one way (CONTRIBUTING.md): nothing includes host; the engine knows the kernels' operations only; weights know
# the engine's core and what its models read; kernels know its core; the command line knows the public header alone.
# Usage: includes.sh SOURCE_DIR
set -u
cd "${1:?source directory}" || exit 1
checked=0
bad=0

# Every `#include "..."` of the files under folder $1, as the path that it means, must match the pattern $2.
check() {
    local file line target
    while IFS=: read -r file line; do
        checked=$((checked + 1))
        line=${line#*\"}
        target=$(realpath -m --relative-to=. "$(dirname "$file")/${line%%\"*}")
        if ! [[ $target =~ ^($2)$ ]]; then
            echo "$file includes $target, which files of $1 may not"
            bad=$((bad + 1))
        fi
    done < <(grep -rHo --include='*.[ch]' --include='*.def' --include='*.cu' --include='*.cuh' '#include "[^"]*"' "$1")
}
check engine/core 'engine/unclip\.h|engine/core/.*|kernels/ops\.(h|def)'
check engine/models 'engine/(unclip\.h|core/.*|models/.*)|kernels/ops\.(h|def)'
check engine/sampling 'engine/(unclip\.h|core/.*|models/.*|sampling/.*)|kernels/ops\.(h|def)'
check engine/tasks 'engine/.*|kernels/ops\.(h|def)'
check kernels 'kernels/.*|engine/unclip\.h|engine/core/.*'
check weights 'weights/.*|engine/unclip\.h|engine/core/.*|engine/models/(config|tokenizer)\.h'
check host/cli 'host/cli/.*|engine/unclip\.h'

# CUDA's headers stay in kernels/cuda and in the host's backend for it.
while IFS= read -r file; do
    case $file in
        kernels/cuda/* | host/*cuda*) ;;
        *) echo "$file includes a CUDA header"; bad=$((bad + 1)) ;;
    esac
done < <(grep -rlE --include='*.[ch]' '#include <cu(da|blas|dnn|rand)' engine kernels host weights)

if [ "$checked" -lt 50 ]; then echo "only $checked includes found"; bad=$((bad + 1)); fi
echo "$checked includes looked at"
[ "$bad" -eq 0 ]
