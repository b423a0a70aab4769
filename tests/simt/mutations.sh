#!/usr/bin/env bash
# Plants one bug after the other in a copy of the CUDA kernels and says which lane of the emulator turns red; all must.
# Usage: mutations.sh SOURCE_DIR BUILD_DIR [NAME...]   runs all or those named and prints the table of mutations.md
#        mutations.sh SOURCE_DIR --apply              only checks that each bug can still be planted
set -u
source_dir=$(realpath "${1:?source directory}")
build=${2:?build directory, or --apply}
shift 2
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
planted=0 caught=0 broken=0

# mutant NAME FILE UNIT TESTS PERL WHAT: FILE below kernels/cuda changes by PERL, UNIT.cu is compiled anew, TESTS run.
mutant() {
    local name=$1 file=$2 unit=$3 tests=$4 change=$5 what=$6 lane red=
    [ ${#only[@]} -gt 0 ] && [[ " ${only[*]} " != *" $name "* ]] && return
    rm -rf "$work/src" && mkdir -p "$work/src/engine" && cp -r "$source_dir/kernels" "$work/src/"
    cp -r "$source_dir/engine/core" "$source_dir/engine/unclip.h" "$work/src/engine/"
    perl -0pi -e "$change" "$work/src/kernels/cuda/$file"
    planted=$((planted + 1))
    if cmp -s "$work/src/kernels/cuda/$file" "$source_dir/kernels/cuda/$file"; then
        echo "| $name | $what | **cannot be planted: the code has changed** | |"
        broken=$((broken + 1))
        return
    fi
    [ "$build" = --apply ] && return
    for lane in simt simt_asan simt_tsan; do
        if ! compile "$lane" "$unit" >"$work/log" 2>&1; then
            echo "| $name | $what | **does not compile** | |"
            return
        elif ! UC_STOP=1 TSAN_OPTIONS=halt_on_error=1 timeout 300 "$work/$lane" $tests >"$work/log" 2>&1; then
            for what_it_says in 'deadlock|mismatched|allowed|mask at|in flight|own mask|ERROR: Addr|runtime error|WARNING: Thread' \
                'expected|reference|other bytes'; do
                [ -n "$red" ] || red=$(grep -aEm1 -A1 "$what_it_says" "$work/log" | tr -d '\r|' |
                    sed "s/.*test_[a-z_]*\.c:[0-9]*: //; s/==[0-9]*==//; s/rerun:.*//" | tr '\n' ' ' | cut -c1-150)
            done
            [ -n "$red" ] || red="stopped"
        fi
        [ -n "$red" ] && break
    done
    if [ -n "$red" ]; then caught=$((caught + 1)); else lane="**none**"; fi
    echo "| $name | $what | ${lane//_/-} | ${red% } |"
}

compile() {
    local lane=$1 unit=$2 flags=() objects
    case $lane in
        simt_asan) flags=(-fsanitize=address,undefined -fno-sanitize-recover=undefined) ;;
        simt_tsan) flags=(-fsanitize=thread) ;;
    esac
    objects=$build/tests/simt/CMakeFiles
    g++ -std=c++17 -O0 "${flags[@]}" -x c++ -c "$work/src/kernels/cuda/$unit.cu" -o "$work/unit.o" &&
        g++ "${flags[@]}" -o "$work/$lane" "$work/unit.o" \
            $(find "$objects/${lane}_kernels.dir" "$objects/${lane}_tests.dir" "$objects/${lane}_emulator.dir" "$objects/simt_reference.dir" -name '*.o' ! -name "$unit.cu.o") -lm
}

only=("$@")
echo "| bug | what was planted | lane | what it said |"
echo "|---|---|---|---|"
mutant sum-no-barrier device.cuh layer_norm layer_norm 's/(parts\[threadIdx.x \/ 32\] = x;\n)    __syncthreads\(\);\n/$1/' "block_sum: barrier between writing and reading the warps' sums deleted"
mutant sum-reuse device.cuh layer_norm layer_norm 's/    __syncthreads\(\); \/\* a sum before.*\n//' "block_sum: barrier before the second sum deleted"
mutant barrier-in-branch device.cuh layer_norm layer_norm 's/if \(threadIdx.x % 32 == 0\) (parts\[threadIdx.x \/ 32\] = x;)\n    __syncthreads\(\);/if (threadIdx.x % 32 == 0) {\n        $1\n        __syncthreads();\n    }/' "block_sum: barrier moved into the branch of lane 0"
mutant half-mask device.cuh layer_norm layer_norm 's/ALL_LANES = 0xFFFFFFFFu/ALL_LANES = 0x0000FFFFu/' "shuffles name 16 of the 32 lanes that take part"
mutant norm-no-barrier group_norm.cu group_norm group_norm 's/(part\[threadIdx.x\] = m;\n)    __syncthreads\(\);\n/$1/' "group norm: barrier before the merge of a block's moments deleted"
mutant apply-no-barrier group_norm.cu group_norm group_norm 's/    __syncthreads\(\);\n(    const share s = share_of<V>\(p, first_group, groups\);\n    if \(s.idle\))/$1/' "group norm: barrier between statistics and their use deleted"
mutant no-shift group_norm.cu group_norm group_norm 's/s\.origin = to_float\(.*\);/s.origin = 0;/' "group norm: sums not shifted, a mean of 1000 cancels"
mutant last-chunk group_norm.cu group_norm group_norm 's/pixels = left < p.chunk_pixels \? left : p.chunk_pixels/pixels = p.chunk_pixels/' "group norm: the short last chunk counted as a full one"
mutant wrong-chan group_norm.cu group_norm group_norm 's/distance \* distance \* a.count \* part/distance * distance * part/' "group norm: factor missing in the merge of variances"
mutant first-image-add group_norm.cu group_norm group_norm 's/n \* p\.add\.stride \+ //' "group norm: every image gets the first one's addend"
mutant tile-no-barrier attention_mma.cuh attention attention 's/(cp_async_wait<1>\(\);\n)        __syncthreads\(\);\n/$1/' "attention: barrier after the wait for a tile deleted"
mutant tile-overwritten attention_mma.cuh attention attention 's/        __syncthreads\(\); \/\* the next round.*\n//' "attention: barrier before the next tile is loaded over this one deleted"
mutant no-wait attention_mma.cuh attention attention 's/        ptx::cp_async_wait<1>\(\);\n//' "attention: no wait for the asynchronous copies"
mutant lax-wait attention_mma.cuh attention attention 's/cp_async_wait<1>/cp_async_wait<2>/' "attention: wait leaves one group too many in flight"
mutant no-empty-group attention_mma.cuh attention attention 's/(load_keys<T, D, TILES>\(p, a, first \+ tile::KEYS, stage \^ 1\));\n        ptx::cp_async_commit\(\);.*/$1, ptx::cp_async_commit();/' "attention: no empty group committed at the last tile"
mutant mask-off-by-one attention_mma.cuh attention attention 's/first \+ key >= limit/first + key > limit/' "attention: mask off by one key"
mutant mask-too-late attention_mma.cuh attention attention 's/first \+ tile::KEYS > all_see/first + tile::KEYS > end/' "attention: causal mask only in the last tile"
mutant key-fragment attention_mma.cuh attention attention 's/\(a\.lane \/ 16 \* 8 \+ a\.lane % 8\) \* tile::PITCH \+ a\.lane \/ 8 % 2 \* 8/(a.lane % 16) * tile::PITCH + a.lane \/ 16 * 8/' "attention: matrices 1 and 2 of the keys' fragment exchanged"
mutant not-transposed attention_mma.cuh attention attention 's/ldmatrix_x4_trans\(r, v/ldmatrix_x4(r, v/' "attention: values loaded without transposing"
mutant halves-swapped ptx.cuh attention attention 's/pack_two\(uc::from_float<T>\(a\), uc::from_float<T>\(b\)\)/pack_two(uc::from_float<T>(b), uc::from_float<T>(a))/' "attention: the two halves of a register exchanged"
mutant sum-not-rescaled attention_mma.cuh attention attention 's/s\.l\[i\]\[r\] \* keep \+ sum/s.l[i][r] + sum/' "attention: running sum not brought to the new maximum"
mutant half-a-quad attention_mma.cuh attention attention 's/        sum \+= __shfl_xor_sync\(ALL_LANES, sum, 2\);\n|            sum \+= __shfl_xor_sync\(ALL_LANES, sum, 2\);\n//' "attention: sums of two lanes of four missing"
mutant bias-of-other-stage attention_mma.cuh attention attention 's/a\.bias\[stage \* tile::KEYS \+ key\]/a.bias[key]/' "attention: bias read from the first stage always"
mutant context-stride attention.cuh attention attention 's/\(long long\)b \* p\.context \+ j : \(long long\)b \* p\.keys/(long long)b * p.keys + j : (long long)b * p.keys/' "attention: context keys strided by the number of self keys"
mutant reads-past-head attention_mma.cuh attention attention 's/const bool valid = j < p\.context \+ p\.keys && column < p\.head_size;/const bool valid = j < p.context + p.keys;/' "attention: padding of a narrow head read from the next head"
mutant rows-no-barrier attention.cu attention attention 's/(score_keys<T, V, ROWS>\(p, b, h, first, q, score\);\n)    __syncthreads\(\);\n/$1/' "attention by rows: barrier between scores and softmax deleted"
mutant rows-part-no-barrier attention.cu attention attention 's/(part\[r \* THREADS \+ t\] = out\[r\];\n)        __syncthreads\(\);\n/$1/' "attention by rows: barrier between writing and summing the parts deleted"
mutant shared-too-small attention.cu attention attention 's/\+ THREADS \+ 1\)/+ THREADS)/' "attention by rows: shared memory one number a row too small"
mutant not-opted-in attention.cu attention attention 's/    UC_ALLOW_SHARED\(\(k_attention_mma<T, D, TILES>\), tile::BYTES\);\n//' "attention: 55 KB of shared memory without opting in"
mutant batch-in-key noise_step.cu noise_step noise_step 's/\(uint64_t\)block, z\)/(uint64_t)(block + n), z)/' "noise step: the noise depends on the place in the batch"
mutant variance-row noise_step.cu noise_step noise_step 's/f\.conditional \+ p\.image/n * p.row + p.image/' "noise step: variance from the unconditional rows"
mutant tail noise_step.cu noise_step noise_step 's/p\.image - first < 4 \? \(int\)\(p\.image - first\) : 4/4/' "noise step: four elements where fewer are left"
mutant host-step noise_step.cu noise_step noise_step 's/s\.c_old != 0\) next/s.c_old == 0) next/' "noise step: the estimate before the first step is used"
mutant counts-no-barrier noise_step.cu noise_step noise_step 's/(clear_counts\(counts\);\n)        __syncthreads\(\);\n/$1/' "dynamic threshold: barrier between clearing and counting deleted"
mutant counts-not-cleared noise_step.cu noise_step noise_step 's/if \(digits < SELECT_DIGITS\) clear_counts/if (digits < 1) clear_counts/' "dynamic threshold: counts of one digit added to those of the next"
mutant neighbour-rank select.cuh noise_step noise_step 's/below < last \? below \+ 1 : last/below/' "dynamic threshold: no interpolation to the next number"
mutant other-digits select.cuh noise_step noise_step 's/if \(prefix == w\[0\]\.prefix\) atomicAdd/if (prefix >= w[0].prefix) atomicAdd/' "dynamic threshold: larger numbers counted among those that share the digits before"
mutant scan-no-barrier select.cuh noise_step noise_step 's/(parts\[warp\] = sum;\n)    __syncthreads\(\);\n/$1/' "dynamic threshold: barrier between the warps' sums and their use deleted"
mutant turn-no-barrier move.cu move "transpose reorder" 's/    __syncthreads\(\);\n//' "turn: barrier between writing and reading the tile deleted"
mutant grid-too-small move.cu move "concat repeat" 's/\(most \+ MOVE_THREADS - 1\) \/ MOVE_THREADS/(most + MOVE_THREADS - 1 - (most > 2)) \/ MOVE_THREADS - (most > 300)/' "copy: one block too few"
mutant window-unclamped resample.cu resample resample 's/\(end \/ \(2 \* to\) < from \? end \/ \(2 \* to\) : from\)/(end \/ (2 * to))/' "resample: window not cut at the picture's edge"
mutant bytes-cut-off to_bytes.cu to_bytes to_bytes 's/rintf\(fminf/(fminf/' "picture to bytes: fractions cut off instead of rounded"
mutant bytes-any-finite to_bytes.cu to_bytes to_bytes 's/is_finite\(red\) && is_finite\(green\) && //' "picture to bytes: only blue is looked at for what is no number"
mutant bytes-of-neighbour to_bytes.cu to_bytes to_bytes 's/p\.out\[n \* p\.pixels \+ i\]/p.out[n * (p.pixels - p.pixels % 4) + i]/' "picture to bytes: images side by side as if all had a multiple of four pixels"
[ "$build" = --apply ] && caught=$((planted - broken))
echo
echo "$caught passed, $((planted - caught)) failed, 0 skipped"
[ "$caught" -eq "$planted" ]
