#!/usr/bin/env bash
# Plants one bug after another into a copy of the CUDA backend and builds the tests of the simulated runtime with it: each
# must turn them red. Writes the table mutations.md beside this file's copy in BUILD_DIR.
# Usage: mutations.sh SOURCE_DIR BUILD_DIR [PART_OF_A_NAME | --apply]    (--apply: only that each can still be planted)
set -u
source_dir=$(realpath "${1:?source directory}")
work=$(realpath "${2:?build directory}")/mutations
only=${3-} apply=0
[ "$only" = --apply ] && apply=1 only=
filter='runtime_pictures/@(tiny_a_in_many_orders|timed|weights_are_uploaded_once|weights_are_awaited|checked)'
# The folder build stays: with times of change preserved, the next run compiles little.
mkdir -p "$work" && cd "$work" && rm -rf engine kernels host weights tests && mkdir -p tests/goldens || exit 1
cp -rp "$source_dir"/{CMakeLists.txt,CMakePresets.json,engine,kernels,host,weights} .
cp -rp "$source_dir"/tests/{runtime,support} tests
mkdir -p tests/simt bench && cp -rp "$source_dir/tests/simt/shared" tests/simt && : >bench/CMakeLists.txt
cp -rp "$source_dir"/tests/goldens/models tests/goldens
touch host/cuda/*.c # a run that was cut off may have left a bug's object
cat >"$work/tests/CMakeLists.txt" <<'CMAKE'
file(GLOB sources runtime/*.c support/*.c)
list(FILTER sources EXCLUDE REGEX "runtime/ops")
add_executable(test_runtime ${sources})
target_compile_definitions(test_runtime PRIVATE _POSIX_C_SOURCE=200809L _DEFAULT_SOURCE
  UC_TEST_DATA="${CMAKE_CURRENT_SOURCE_DIR}" UC_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
target_include_directories(test_runtime PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(test_runtime PRIVATE unclip_objects unclip_private ${CRITERION_TARGET})
CMAKE
criterion=$(grep -o '[a-zA-Z]*::CRITERION' "$source_dir/tests/CMakeLists.txt" | head -1)
sed -i "s/\${CRITERION_TARGET}/${criterion:-criterion}/" "$work/tests/CMakeLists.txt"
if [ $apply = 0 ]; then
    cmake -S . -B build -DUNCLIP_WERROR=OFF >build.txt 2>&1 &&
        cmake --build build --target test_runtime -j2 >>build.txt 2>&1
fi
if [ $apply = 0 ] && ! build/bin/test_runtime --filter "$filter" >run.txt 2>&1; then
    echo "the tests fail without a bug"; tail -n 5 build.txt run.txt; exit 1
fi

survived=0 planted=0
table=$work/mutations.md
{
    echo "| planted bug | file | caught by |"
    echo "|---|---|---|"
} >"$table"

# mutate NAME FILE PERL_SUBSTITUTION
mutate() {
    local name=$1 file=$2 how=$3 caught
    [[ $name == *$only* ]] || return
    cp "$file" kept
    perl -0pi -e "$how" "$file"
    if cmp -s "$file" kept; then
        echo "NOT PLANTED: $name"; survived=$((survived + 1)); return
    fi
    if [ $apply = 1 ]; then planted=$((planted + 1)); mv kept "$file"; return; fi
    if ! cmake --build build --target test_runtime -j2 >build.txt 2>&1; then
        echo "DOES NOT COMPILE: $name"; survived=$((survived + 1)); mv kept "$file"; return
    fi
    timeout 900 build/bin/test_runtime --jobs 2 --filter "$filter" >run.txt 2>&1
    if [ $? = 124 ]; then
        echo "OUT OF TIME: $name"; survived=$((survived + 1)); mv kept "$file"; touch "$file"; return
    fi
    caught=$(sed -n 's/^\[FAIL\] \([a-z_]*\)::\([a-z0-9_]*\).*/\1\/\2/p; s/.*Unexpected.*//' run.txt | sort -u | head -2 | paste -sd' ')
    if [ -z "$caught" ]; then
        echo "SURVIVED: $name"; survived=$((survived + 1)); caught="nothing"
    else
        echo "caught: $name ($caught)"
    fi
    echo "| $name | ${file#"$work"/} | $caught |" >>"$table"
    mv kept "$file"
    touch "$file"
}

backend=host/cuda/backend_cuda.c device=host/cuda/device.c weights=host/cuda/device_weights.c
mutate "launches do not wait for the weights" $weights \
    's/if \(!status\)\s*status =\s*uc_device_check\(d, d->rt->event_wait.*?;//s'
mutate "weights are awaited before they are sent" $backend \
    's/(if \(!status\) status = allocate\(p, err\);)/$1 if (!status) status = uc_device_weights_ready(d, err);/; s/\n    if \(!status\) status = uc_device_weights_ready\(d, err\);\n/\n/'
mutate "staging memory is filled again without waiting" $device 's/if \(!ring->used\[i\]\) return UNCLIP_OK;/return UNCLIP_OK;/'
mutate "staging memory is given back to the wrong stream" $weights 's/uc_ring_give\(d, &d->staging, d->copies/uc_ring_give(d, &d->staging, d->compute/'
mutate "download does not wait" $device 's/d->rt->event_sync\(d->rt, d->staging.free_again\[slot_number\]\)/0/'
mutate "download waits for the slot before" $device 's/const int slot_number = d->staging.next;/const int slot_number = (d->staging.next + 1) % d->staging.slots;/'
mutate "arena is freed before the work is done" $backend 's/    uc_device_drain\(d\);\n    for/    for/'
mutate "states are not cleared" $backend 's/d->rt->set_bytes\(d->rt, p->arena \+ p->plan->values\[v\].offset, 0,/d->rt->set_bytes(d->rt, p->arena + p->plan->values[v].offset, 0xFF,/'
mutate "step is not sent again" $backend 's/if \(!status && step\) status = send_step/if (!status \&\& step \&\& !p->phases[number].exec) status = send_step/'
mutate "step is sent on the other stream" $backend 's/d->rt->to_device\(d->rt, p->step, slot, sizeof \*step, d->compute\)/d->rt->to_device(d->rt, p->step, slot, sizeof *step, d->copies)/'
mutate "kernels read the step of the host" $backend 's/l->step = p->step;/static uc_step here; l->step = \&here;/'
mutate "kernels read the weights of the file" $weights 's/view->data = found->at;//'
mutate "filters keep their order" $weights 's/source = c \* positions \+ p/source = at/'
mutate "capture takes another phase without notice" $backend 's/(capture_phase.*?)launch_phase\(p, number, err\)/$1launch_phase(p, number - 1, err)/s'
mutate "capture leaves the last operation out" $backend 's/(static unclip_status launch_phase.*?)i < p->plan->phase_begin\[number \+ 1\]/$1i < p->plan->phase_begin[number + 1] - (p->phases[number].runs > 0)/s'
mutate "capture is run but not replayed" $backend 's/if \(!ph->exec\) \{\n        const unclip_status status = capture_phase\(p, number, err\);\n        if \(status\) return status;/if (!ph->exec) {\n        const unclip_status status = capture_phase(p, number, err);\n        return status;/'
mutate "captured list is not freed" $backend 's/if \(p->phases\[i\].exec\) \(void\)rt->exec_free\(rt, p->phases\[i\].exec\);/;/'
mutate "step memory is not freed" $backend 's/if \(p->step\) \(void\)rt->release\(rt, p->step\);//'
mutate "weights are uploaded for each program" $weights 's/if \(w->data == view->data && /if (w->data == NULL \&\& /'
mutate "arena too small by a byte" $backend 's/uc_device_alloc\(d, &arena, \(size_t\)p->plan->arena_bytes,/uc_device_alloc(d, \&arena, (size_t)p->plan->arena_bytes - 1,/'
mutate "arenas are less even than libraries ask" engine/core/plan.h 's/UC_ARENA_ALIGN = 256/UC_ARENA_ALIGN = 64/'
mutate "times are read without waiting" $backend 's/if \(!status\) status = uc_device_check\(d, rt->stream_sync\(rt, d->compute\), err, "waiting for the device"\);//'

if [ $apply = 1 ]; then echo "$planted passed, $survived failed, 0 skipped"
else echo "$survived bugs were not caught"
fi
[ "$survived" -eq 0 ]
