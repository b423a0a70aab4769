#!/usr/bin/env bash
# The compile lane: every .cu file of kernels/cuda for every architecture that the installed toolkit knows, without a GPU.
# Fails on a warning, on a spilled register, on a kernel that outgrows its line in budget.txt, and where a kernel does not
# contain the instructions that its row claims (instructions.txt; in machine code if cuobjdump is there, else in PTX).
# Toolkits without cuobjdump and nvdisasm get them from Python's packages, no GPU needed: python3 -m pip install
# --target DIR nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm, then PATH=DIR/nvidia/cu13/bin:$PATH before this script.
# UNCLIP_NVCC_ARCHITECTURES="90" takes these alone, UNCLIP_NVCC_JOBS compiles as many files at a time.
# Usage: nvcc.sh SOURCE_DIR BUILD_DIR [--update]    (--update writes budget.txt anew)
set -u
source_dir=$(realpath "${1:?source directory}")
out=${2:?build directory}/nvcc-lane
budget=$source_dir/tests/nvcc/budget.txt
nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
if ! [ -x "$nvcc" ]; then
    echo "no nvcc on this machine: the CUDA kernels were not compiled"
    echo "0 passed, 0 failed, 1 skipped"
    exit 77
fi
mkdir -p "$out" && cd "$out" || exit 1
rm -f ./*.code failed
version=$("$nvcc" --version | sed -n 's/.*release \([0-9.]*\),.*/\1/p')
known=$("$nvcc" --list-gpu-code)
architectures=()
for a in ${UNCLIP_NVCC_ARCHITECTURES:-80 86 89 90 100 120}; do grep -qx "sm_$a" <<<"$known" && architectures+=("$a"); done
echo "nvcc $version, architectures ${architectures[*]}"

flags=(-std=c++17 -O3 -Werror all-warnings -Xptxas -v)
for a in "${architectures[@]}"; do flags+=(-gencode "arch=compute_$a,code=sm_$a"); done
# what is newer than its sources stays
newest_header=$(ls -t "$source_dir"/kernels/cuda/*.cuh "$source_dir"/kernels/*.h "$source_dir"/engine/core/*.h | head -1)
for f in "$source_dir"/kernels/cuda/*.cu; do
    name=$(basename "$f" .cu)
    [ "$name.o" -nt "$f" ] && [ "$name.o" -nt "$newest_header" ] || printf '%s\n' "$f"
done |
    xargs -r -P "${UNCLIP_NVCC_JOBS:-2}" -I{} bash -c 'name=$(basename "$0" .cu); "$@" -c "$0" -o "$name.o" >"$name.txt" 2>&1 ||
        { echo "FAILED to compile $0"; cat "$name.txt"; touch failed; }' {} "$nvcc" "${flags[@]}"
if [ -e failed ]; then echo "0 passed, 1 failed, 0 skipped"; exit 1; fi

# "void (anonymous namespace)::k_x<float, 4>(...)" as k_x<float,4>
plain_names='function plain(n) { gsub(/\(anonymous namespace\)::|uc::/, "", n); sub(/^void /, "", n); sub(/\(.*/, "", n); gsub(/ /, "", n); return n }'

# "Compiling entry function 'X' for 'sm_80'", the spills and "Used N registers, ..., M bytes smem" -> kernel arch N M spills
awk '
    /Compiling entry function/ { split($0, q, "\047"); name = q[2]; arch = q[4]; sub(/^sm_/, "", arch) }
    /bytes spill stores/ { for (i = 1; i <= NF; i++) if ($i == "spill") spills += $(i - 2) }
    /Used [0-9]+ registers/ {
        smem = 0
        for (i = 1; i <= NF; i++) { if ($i == "Used") registers = $(i + 1); if ($i ~ /^smem/) smem = $(i - 2) }
        print name "\t" arch, registers, smem + 0, spills + 0; spills = 0
    }' ./*.txt | c++filt | awk -F '\t' "$plain_names"' { print plain($1), $2 }' |
    awk '{ k = $1 " " $2; r[k] = $3 > r[k] + 0 ? $3 : r[k]; s[k] = $4 > s[k] + 0 ? $4 : s[k] + 0; q[k] += $5 }
        END { for (k in r) print k, r[k], s[k], q[k] }' | sort >measured.txt # the worst where a kernel is in several files

if [ "${3-}" = --update ]; then
    { echo "# kernel, then registers for each architecture, then bytes of static shared memory. Written by nvcc.sh --update."
      echo "nvcc $version ${architectures[*]}"
      awk '{ r[$1] = r[$1] " " $3; if ($4 + 0 > s[$1] + 0) s[$1] = $4 } END { for (k in r) print k r[k], s[k] + 0 }' <(sort -k1,1 -k2,2n measured.txt) | sort
    } >"$budget"
fi

# Another version of nvcc allocates a little differently: 16 registers of grace there.
awk '
    FNR == NR && /^#/ { next }
    FNR == NR && $1 == "nvcc" { grace = $2 == version ? 0 : 16; for (i = 3; i <= NF; i++) column[$i] = i - 1; next }
    FNR == NR { line[$1] = $0; next }
    {
        seen[$1] = 1
        if (!($1 in line)) { print "FAILED: " $1 " has no line in budget.txt"; failed++; next }
        if (!($2 in column)) next
        n = split(line[$1], b, " ")
        if ($5 > 0) { print "FAILED: " $1 " on sm_" $2 " spills " $5 " bytes"; failed++ }
        else if ($3 > b[column[$2]] + grace) { print "FAILED: " $1 " on sm_" $2 " uses " $3 " registers, its budget is " b[column[$2]]; failed++ }
        else if ($4 > b[n]) { print "FAILED: " $1 " on sm_" $2 " uses " $4 " bytes of shared memory, its budget is " b[n]; failed++ }
        else passed++
    }
    END {
        for (k in line) if (!(k in seen)) { print "FAILED: budget.txt has a line for " k ", which does not exist"; failed++ }
        print passed + 0, failed + 0 > "budget.count"
    }' version="$version" "$budget" measured.txt

# kernel, instruction: how often each kernel of a file contains what it claims
PATH=$PATH:/usr/local/cuda/bin
cuobjdump=$(command -v cuobjdump || true)
command -v nvdisasm >/dev/null || cuobjdump= # which cuobjdump calls
list_code() {
    if [ -x "$cuobjdump" ]; then "$cuobjdump" -sass -arch "sm_${architectures[0]}" "$1.o" | sed -n 's/.*Function : /ENTRY /p; /;/p'
    else "$nvcc" -std=c++17 -O3 -arch=compute_80 -ptx "$source_dir/kernels/cuda/$1.cu" -o - | sed -n 's/.*\.entry \([^ (]*\).*/ENTRY \1/p; /;/p'
    fi
}
[ -x "$cuobjdump" ] && kind=3 || kind=4
claims_passed=0 claims_failed=0
while read -r file kernel sass ptx; do
    [[ -z $file || $file == \#* ]] && continue
    [ -e "$file.code" ] || list_code "$file" | c++filt | awk "$plain_names"' /^ENTRY/ { print "ENTRY " plain(substr($0, 7)); next } { print }' >"$file.code"
    if [ $kind = 3 ]; then wanted=$sass; else wanted=$ptx; fi
    missing=$(awk -v kernel="$kernel" -v wanted="$wanted" '
        function close_entry() { if (name != "" && index(name, kernel) == 1 && !hits) print name; if (index(name, kernel) == 1) any = 1 }
        /^ENTRY/ { close_entry(); name = $2; hits = 0; next }
        index($0, wanted) { hits++ }
        END { close_entry(); if (!any) print "no kernel " kernel }' "$file.code")
    if [ -n "$missing" ]; then
        echo "FAILED: no $wanted in: $missing"
        claims_failed=$((claims_failed + 1))
    else claims_passed=$((claims_passed + 1))
    fi
done <"$source_dir/tests/nvcc/instructions.txt"
[ $kind = 3 ] && echo "instructions looked for in machine code" || echo "no cuobjdump: instructions looked for in PTX"

read -r passed failed <budget.count
passed=$((passed + claims_passed)) failed=$((failed + claims_failed))
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
