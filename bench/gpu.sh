#!/usr/bin/env bash
# Everything that only a GPU can tell, in less than ten minutes on one H100 with 16 cores, what says most first; no part
# stops at its first failure, any can be started again by itself, and neighbours that time nothing run side by side. The
# machine needs nvcc, CMake, a C compiler and cuDNN 9 (the toolkit's or that of Python's packages), no network and no
# development packages: bench/gpu-bundle.sh carries those.
#
#   bench/gpu.sh [-o OUT] [-b BUILD] [-p BUNDLE] [-d DEVICE] [-m MODEL] [-t SECONDS] [PART ...]
#
#   build      configure and compile for this GPU, without oneDNN, unless the bundle brings programs that run here; a
#              model of Karlo's size is written meanwhile
#   ops        every case of every operation, every row of every table, against the double reference
#   goldens    parity with diffusers in f32, networks in f16 and bf16; whole pictures in mode checked, and the same bytes
#              in any batch
#   bench      limits of this GPU, pictures, stages and operations of a model of Karlo's size, in batches of 1 and 8
#   peers      the same operations in PyTorch, the same networks in diffusers, eager and compiled
#   sanitizer  compute-sanitizer: memcheck, racecheck, synccheck, initcheck on the small cases, a box of time each
#   nvcc       registers, spills and instructions of the machine code
#   tests      all other tests that know a device; not among the parts that are run when none is named
#
#   -o  results: PART.log of each part, bench.jsonl, gpu.json (steps, failures, targets; complete after each part that
#       is timed); default $OUT, else BUILD/gpu
#   -b  build folder; default build/gpu-machine
#   -p  the bundle, a folder or its .tar.gz; default build/gpu-bundle or build/gpu-bundle.tar.gz, if one is there
#   -d  cuda:0; with sim:0 or cpu the same steps run without a GPU, in sizes that only show that they work
#   -m  model for the measurements; default one of Karlo's size, written into the build folder
#   -t  seconds for all parts together; default 570. Of several parts none takes more than its share (`longest`)
#
# The exit status is 0 when every step passed or was skipped with a reason, 1 otherwise, 2 for a wrong call.
set -u
cd "$(dirname "$0")/.." || exit 2
build=build/gpu-machine bundle= device=cuda:0 model= budget=570 out=${OUT-}
usage() { sed -n '2,/^set -u/{/^set -u/d;s/^# \{0,1\}//p;}' bench/gpu.sh; }
while getopts o:b:p:d:m:t:h flag; do
    case $flag in
    o) out=$OPTARG ;;
    b) build=$OPTARG ;;
    p) bundle=$OPTARG ;;
    d) device=$OPTARG ;;
    m) model=$OPTARG ;;
    t) budget=$OPTARG ;;
    h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[[ $budget =~ ^[1-9][0-9]*$ ]] || { echo "-t $budget: not a number of seconds" >&2; exit 2; }
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(build ops goldens bench peers sanitizer nvcc)
declare -A longest=([build]=240 [ops]=120 [goldens]=150 [bench]=240 [peers]=240 [sanitizer]=300 [nvcc]=200 [tests]=300)
for part in "${parts[@]}"; do
    [ -n "${longest[$part]-}" ] || { echo "there is no part $part" >&2; usage >&2; exit 2; }
done
case $device in
cuda:*) gpu=1 ;;
*) gpu=0 ;;
esac
[ -n "$out" ] || out=$build/gpu
mkdir -p "$out" "$build" || exit 2
out=$(realpath "$out") build=$(realpath "$build")
[ -z "$bundle" ] || [ -e "$bundle" ] || { echo "-p $bundle: there is no such file or folder" >&2; exit 2; }
for found in build/gpu-bundle build/gpu-bundle.tar.gz; do [ -n "$bundle" ] || [ ! -e $found ] || bundle=$found; done
if [ -f "$bundle" ]; then
    mkdir -p "$build/bundle" && tar -C "$build/bundle" --strip-components=1 -xzf "$bundle" || exit 2
    bundle=$build/bundle
fi
[ -z "$bundle" ] || bundle=$(realpath "$bundle")
[ -n "$model" ] && own_model=0 || own_model=1 model=$build/karlo-size
steps=$build/gpu-steps.tsv
touch "$steps"
cores=$(nproc)
few=$((cores > 4 ? 4 : cores))
python=$(command -v python3 || true)
bin=$build/bin
check_device=$device # the operations alone know no device cpu
[ "$device" != cpu ] || check_device=sim:0
export build bin bundle device check_device
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=$few PYTHONUNBUFFERED=1

# ---- steps -----------------------------------------------------------------------------------------------------------

# note PART NAME STATE SECONDS RC WHY
note() {
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "$5" "$6" >>"$steps"
    printf '%-9s %-44s %-8s %4s s  %s\n' "$1" "$2" "$3" "$4" "$6"
}

# step NAME SECONDS COMMAND...: runs it, within what is left of the part's time, and returns its status. 77 is skipped;
# running out of time is a failure, except in a box, which ends when its time does.
box=0
step() {
    local name=$1 limit=$2 begin rc left state why=
    shift 2
    left=$((deadline - SECONDS))
    if [ "$left" -lt 5 ]; then
        note "$part" "$name" cut 0 124 "no time was left for it"
        return 124
    fi
    [ "$limit" -lt "$left" ] || limit=$left
    begin=$SECONDS
    echo "==== $name: $*" >>"$log"
    timeout -k 10 "$limit" "$@" >"$last" 2>&1 </dev/null
    rc=$?
    cat "$last" >>"$log"
    echo "==== $name: status $rc after $((SECONDS - begin)) s" >>"$log"
    case $rc in
    0) state=passed ;;
    77) state=skipped why=$(tail -n 1 "$last" | cut -c 1-200) ;;
    124 | 137) state=$([ "$box" = 1 ] && echo boxed || echo cut) why="ended after $limit s" ;;
    *) state=failed why=$(failures | head -n 1 | cut -c 1-200) ;;
    esac
    [ $rc != 0 ] && [ $rc != 77 ] && failures | sed "s/^/  /"
    # what was found wrong inside a box that ran out of time is a failure all the same
    [ "$state" = boxed ] && failures | grep -q . && state=failed
    note "$part" "$name" "$state" "$((SECONDS - begin))" "$rc" "${why//$'\t'/ }"
    return "$rc"
}

# Lines of the last step that tell of a failure; the last line when none does.
failures() {
    local test='FAILED|\[----\].*(:|Assertion)|\[FAIL\]|unclip' tool='CMake Error|ninja: .*(error|failed)'
    local sanitizer='========= (Invalid|Error|Race|Warning: Race|Uninit|Barrier|Program hit|ERROR SUMMARY: [1-9])'
    grep -E "^($test|$tool|$sanitizer)|error:|Errors while running|\*\*\*(Failed|Timeout|Exception)" \
        "$last" | head -n 20 | grep . || { [ "$box" = 1 ] || tail -n 1 "$last"; }
}

need() { # PROGRAM: of the build
    [ -x "$bin/$1" ] && return
    note "$part" "$1" failed 0 2 "not built: run the part build first"
    return 1
}

# ---- build -----------------------------------------------------------------------------------------------------------

# Folders of Python's packages with what the toolkit lacks of cuDNN and cuBLASLt, as CMake's list.
nvidia_roots() {
    local nvcc home
    nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
    [ -x "$nvcc" ] || return 0
    home=$(dirname "$(dirname "$(realpath "$nvcc")")")
    [ -n "$python" ] && "$python" bench/gpu/nvidia_roots.py "$home"
}

architecture() {
    local found
    found=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d '. ')
    [[ $found =~ ^[0-9]+$ ]] && echo "$found" || echo 90
}

# What is needed here of all that can be built: of the tests those that know a device.
targets() {
    echo unclip unclip-cuda unclip-bench unclip-check-ops
    grep -qs 'CRITERION_LIBRARY:.*/' "$build/CMakeCache.txt" && echo test_parity test_tasks
}

# Programs that the bundle brings ready made, if they run here. They find the toolkit's and Python's libraries by
# LD_LIBRARY_PATH, and the sources, with all test data, where they were built: a link there serves.
ready_made() {
    local source
    source=$(cat "$bundle/source.txt")
    [ -e "$source" ] || { mkdir -p "$(dirname "$source")" && ln -s "$PWD" "$source"; }
    mkdir -p "$bin" && cp "$bundle"/bin/* "$bin/" &&
        "$bin/unclip-check-ops" --device "$check_device" --op activation --most 1000 ||
        { echo "they do not run here, so that they are built"; return 77; }
}
export -f ready_made

# Another compiler than ours may warn of more: no reason not to measure.
compile() {
    local options=(-DCMAKE_BUILD_TYPE=Release -DUNCLIP_ONEDNN=OFF -DUNCLIP_CUDA=$([ $gpu = 1 ] && echo ON || echo OFF)
        -DUNCLIP_WERROR=OFF
        "-DCMAKE_CUDA_ARCHITECTURES=$(architecture)-real" "-DUNCLIP_NVIDIA_ROOTS=$(nvidia_roots)")
    command -v ninja >/dev/null && options+=(-G Ninja)
    # the older kind of run path also serves what the bundle's libraries need of each other
    [ -z "$bundle" ] || options+=("-DCMAKE_PREFIX_PATH=$bundle" -DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags
        -DCMAKE_SHARED_LINKER_FLAGS=-Wl,--disable-new-dtags)
    step configure 60 cmake -S . -B "$build" "${options[@]}"
    if [ $gpu = 1 ]; then step "CUDA is built in" 5 grep -E 'built with:.*CUDA' "$log"; fi
    # shellcheck disable=SC2046
    step compile 500 cmake --build "$build" -j "$cores" --target $(targets)
    step "an operation on the device" 60 "$bin/unclip-check-ops" --device "$check_device" --op activation --most 1000
}

part_build() {
    if [[ " ${parts[*]} " =~ " bench "|" peers " ]] && [ $own_model = 1 ]; then bash -c karlo >/dev/null 2>&1 & fi
    [ -x "$bundle/bin/unclip-check-ops" ] && step "programs of the bundle" 60 bash -c ready_made || compile
    [ $gpu = 0 ] || step "devices" 20 "$bin/unclip-cuda" devices
    [ $gpu = 0 ] || step "the GPU" 20 nvidia-smi
}

# ---- ops, goldens, sanitizer -----------------------------------------------------------------------------------------

operations() { sed -n 's/^UC_OP(\([a-z0-9_]*\),.*/\1/p' kernels/ops.def; }

part_ops() {
    local op most=()
    need unclip-check-ops || return
    [ $gpu = 1 ] || most=(--most 2000)
    for op in $(operations); do
        step "$op" 150 "$bin/unclip-check-ops" --device "$check_device" --op "$op" "${most[@]}"
    done
}

draw() { "$bin/unclip-cuda" -q --device "$device" --prompt "a red cube" -s 7 "$@"; }

# The same pictures in one batch and one by one: equal bytes.
same_bytes() {
    local type=$1 folder=$build/gpu-pictures
    rm -rf "$folder" && mkdir -p "$folder/a" "$folder/b" || return 1
    draw -m tests/goldens/models/tiny-a --type "$type" -b 3 --batch-size 3 -o "$folder/a/" &&
        draw -m tests/goldens/models/tiny-a --type "$type" -b 3 --batch-size 1 -o "$folder/b/" || return 1
    cmp "$folder/a/0000.png" "$folder/b/0000.png" && cmp "$folder/a/0001.png" "$folder/b/0001.png" &&
        cmp "$folder/a/0002.png" "$folder/b/0002.png"
}

checked_picture() {
    draw -m "tests/goldens/models/$1" --type "$2" --size "$3" --mode checked --steps 2 --prior-steps 2 --sr256-steps 2 \
        -o "$build/gpu-checked.png"
}
export -f draw same_bytes checked_picture

part_goldens() {
    local type name
    need test_parity || return
    export UNCLIP_TEST_DEVICE=$device
    step "parity in f32" 200 "$bin/test_parity" --jobs "$few" \
        --filter '@(parity_networks/*_cpu|parity_pictures/*|parity_stages/*)'
    step "parity in f16 and bf16" 100 "$bin/test_parity" --jobs "$few" --filter 'parity_half/*'
    [ $gpu = 0 ] || step "parity of the model that ships" 150 "$bin/test_parity" --jobs "$few" \
        --filter '@(parity_solids|parity_tiny_b)/*'
    for type in f32 f16 bf16; do
        step "tiny-a checked in $type" 60 bash -c "checked_picture tiny-a $type 64"
        step "tiny-b checked in $type" 60 bash -c "checked_picture tiny-b $type 48"
        step "the same bytes in $type" 60 bash -c "same_bytes $type"
    done
}

part_tests() {
    need test_tasks || return
    UNCLIP_TEST_DEVICE=$device step "tests that know a device" 300 ctest --test-dir "$build" -j "$((cores / 2 + 1))" \
        -R '^(tasks|parity|program|program-prior|program-pictures|program-examples)$' --timeout 300 --output-on-failure
}

part_sanitizer() {
    local tool sanitizer
    need unclip-check-ops || return
    sanitizer=$(PATH=$PATH:/usr/local/cuda/bin command -v compute-sanitizer || true)
    if [ $gpu = 0 ] || [ -z "$sanitizer" ]; then
        note "$part" compute-sanitizer skipped 0 77 "$([ $gpu = 0 ] && echo "no GPU" || echo "it is missing")"
        return
    fi
    local common=(--error-exitcode 9 --print-limit 20 --report-api-errors no)
    local longest_box=$(((deadline - SECONDS) / 5))
    [ $longest_box -lt 60 ] || longest_box=60
    box=1
    for tool in memcheck racecheck synccheck initcheck; do
        local libraries=0 # whose kernels are not ours to check, and take long; but they get our pointers
        [ $tool != memcheck ] || libraries=1
        step "$tool, small cases" "$longest_box" "$sanitizer" --tool "$tool" "${common[@]}" \
            "$bin/unclip-check-ops" --device "$device" --most 2500 --libraries $libraries
    done
    step "memcheck, a picture" "$longest_box" "$sanitizer" --tool memcheck "${common[@]}" \
        "$bin/unclip-cuda" -q --device "$device" -m tests/goldens/models/tiny-a -p x -s 1 --steps 3 --prior-steps 3 \
        --size 64 -o "$build/gpu-memcheck.png"
}

part_nvcc() {
    step "registers, spills, instructions" 200 env UNCLIP_NVCC_ARCHITECTURES="$(architecture)" UNCLIP_NVCC_JOBS="$cores" \
        bash tests/nvcc/nvcc.sh . "$build"
}

# ---- bench, peers ----------------------------------------------------------------------------------------------------

# Whoever comes second waits for the first, and finds it there.
karlo() {
    local scale=1
    [ "$gpu" = 1 ] || scale=5
    [ -n "$python" ] || { echo "no python3 to write a model of Karlo's size with: give one with -m"; return 2; }
    mkdir -p "$model"
    (
        flock 9
        [ -e "$model/complete" ] && exit
        "$python" tests/goldens/make_karlo_size.py "$model" --dtype f16 --scale $scale && touch "$model/complete"
    ) 9>"$model.lock"
}
export -f karlo
export model python gpu

need_model() {
    [ $own_model = 0 ] && return
    step "a model of Karlo's size" 150 bash -c karlo
    [ -e "$model/complete" ]
}

# Pictures first: what they take is what everything else explains.
part_bench() {
    local rows=$out/bench.jsonl batch flags=(--seconds 1) batches=(1 8) type=f16
    need unclip-bench && need_model || return
    [ $gpu = 1 ] || flags=(--small 1 --seconds 0 --least 1 --most 1 --warmup 0 --steps 2) batches=(1) type=f32
    rm -f "$rows"
    flags+=(--device "$device" --type "$type" --model "$model" -o "$rows")
    for what in cascade stages ops; do
        for batch in "${batches[@]}"; do
            step "$what, batch $batch" 90 "$bin/unclip-bench" $what "${flags[@]}" --cases 0 --batch "$batch"
        done
    done
    step "memory" 60 "$bin/unclip-bench" memory "${flags[@]}"
}

part_peers() {
    local rows=$out/bench.jsonl
    [ -s "$rows" ] || { note "$part" "PyTorch and diffusers" failed 0 2 "no $rows: run the part bench first"; return; }
    need_model || return
    step "PyTorch and diffusers" 600 env -u LD_LIBRARY_PATH "${python:-python3}" bench/gpu/peers.py "$rows" \
        --model "$model" --device "$([ $gpu = 1 ] && echo "$device" || echo cpu)" --wheels "${bundle:+$bundle/wheels}" \
        --unpack "$build/gpu-wheels" --seconds "$((deadline - SECONDS > 40 ? deadline - SECONDS - 30 : 10))"
}

# ---- all -------------------------------------------------------------------------------------------------------------

begin=$SECONDS end=$((SECONDS + budget))
export PATH=$PATH:/usr/local/cuda/bin
if [ -x "$bundle/bin/unclip-check-ops" ]; then
    roots=$(nvidia_roots)
    export LD_LIBRARY_PATH=$bundle/lib:/usr/local/cuda/lib64${roots:+:${roots//;//lib:}/lib}
fi
report() { [ -z "$python" ] || "$python" bench/gpu/report.py "$steps" "$out" "$device" >"$build/gpu-report.txt"; }

run_part() {
    log=$out/$part.log last=$build/gpu-step-$part.txt
    deadline=$((SECONDS + longest[$part]))
    [ "$deadline" -lt "$end" ] && [ ${#parts[@]} -gt 1 ] || deadline=$end
    : >"$log"
    "part_$part"
}

for part in "${parts[@]}"; do
    awk -F '\t' -v part="$part" '$1 != part' "$steps" >"$steps.new" && mv "$steps.new" "$steps"
done
for part in "${parts[@]}"; do
    case $part in
    ops | goldens | sanitizer | nvcc | tests) run_part & ;;
    *) wait; run_part; report ;;
    esac
done
wait
report
cat "$build/gpu-report.txt" 2>/dev/null
echo "$((SECONDS - begin)) s, results in $out"
! awk -F '\t' '{ print $3 }' "$steps" | grep -qE '^(failed|cut)$'
