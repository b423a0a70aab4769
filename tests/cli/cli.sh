#!/usr/bin/env bash
# The built program from outside: exit codes, files, bytes, signals. Small settings keep it quick; what a refusal says is
# checked as well as its code. Usage: cli.sh PROGRAM SOURCE_DIR [PATTERN]: only the checks whose name matches.
set -u
program=$(realpath "${1:?program}")
source=$(realpath "${2:?source directory}")
only=${3:-.}
model=$source/weights/solids
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
unset UNCLIP_MODEL
while read -r name; do unset "$name"; done < <(env | grep -o '^UNCLIP_ARG_[A-Z0-9_]*')
[ -z "${UNCLIP_TEST_DEVICE-}" ] || export UNCLIP_ARG_DEVICE=$UNCLIP_TEST_DEVICE

passed=0
failed=0
skipped=0
fast=(--size 64 --steps 2 --prior-steps 2)

pass() { passed=$((passed + 1)); }
fail() {
    failed=$((failed + 1))
    echo "FAILED: $1"
    sed 's/^/    /' err 2>/dev/null | head -5
    echo "    again: tests/cli/cli.sh $program $source '$1'"
}
wanted() { [[ $1 =~ $only ]]; }
# Runs a check: a name and a command that succeeds when all is well.
check() {
    wanted "$1" || return 0
    local name=$1
    shift
    if "$@"; then pass; else fail "$name"; fi
}
# Runs the program and expects an exit code, and a text on standard error.
refuse() { # name, code, text, arguments...
    wanted "$1" || return 0
    local name=$1 code=$2 text=$3
    shift 3
    "$program" "$@" >out 2>err </dev/null
    local got=$?
    if [ "$got" -eq "$code" ] && grep -qF -- "$text" err && [ "$(grep -c 'error:' err)" -eq 1 ]; then pass
    else fail "$name"; echo "    exit $got instead of $code, or \"$text\" is not in the one message"; fi
}
draw() { "$program" -q "${fast[@]}" "$@" >out 2>err </dev/null; }
is_png() { [ "$(head -c 8 "$1" 2>/dev/null | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ]; }
only_files() { [ "$(ls -A "$1" | tr '\n' ' ')" = "$2" ]; }

# ---- what is refused ------------------------------------------------------------------------------------------------
refuse "unknown flag" 64 "nearest is --steps" -p x --stesp 3
refuse "a count of zero" 64 "-b" -p x -b 0
refuse "a negative count" 64 "--steps" -p x --steps -4
refuse "a word for a number" 64 "--batch-size" -p x --batch-size four
refuse "too many steps" 64 "--steps" -p x --steps 1001
refuse "no prompt" 64 "nothing to draw"
refuse "a size that the model does not draw" 64 "size is 512" -p x --size 512 -o a.png
refuse "another subcommand's flag" 64 "--steps" embed -p x --steps 3
refuse "several pictures on standard output" 64 "standard output" -p x -b 2 -o -
refuse "a respacing that makes no sense" 64 "respacing" -p x --size 64 --respacing 5,x -o a.png
refuse "a quantile beyond all" 64 "--threshold" -p x --threshold 1.5
refuse "a sampler without its table" 64 "analytic" -p x --size 64 --sr256-sampler ddim --sampler analytic -o a.png
echo '{"schema": 1, "machines": 3}' >damaged.json
refuse "a tuning file that is not there" 66 "nowhere.json" -p x --tuning nowhere.json -o a.png
refuse "a damaged tuning file" 65 "damaged.json: machines: is " -p x --tuning damaged.json -o a.png
refuse "invalid UTF-8" 65 "UTF-8" -p $'a \xff cube' -o a.png
refuse "a missing model" 66 "no-such-model" -m no-such-model -p x -o a.png
refuse "a missing prompt file" 66 "no-such-file" -f no-such-file -o a.png
refuse "a missing picture to replay" 66 "no-such.png" --params-from no-such.png -o a.png
refuse "a missing picture to embed" 66 "no-such.png" embed -i no-such.png
refuse "a missing thing to inspect" 66 "no-such" inspect no-such
refuse "no such device" 69 "cuda:7" -p x --device cuda:7 -o a.png
refuse "an unknown device" 69 "abacus" -p x --device abacus -o a.png
# Before any work: the model, which is not there, has not been looked at yet.
refuse "an output folder that is not there" 73 "none" -m no-such-model -p x -o none/a.png
refuse "an output folder that cannot be written" 73 "/proc/a.png" -m no-such-model -p x -o /proc/a.png
refuse "a preview that cannot be written" 73 "/proc/p.png" -m no-such-model -p x -o a.png --preview /proc/p.png
refuse "a preview interval without a preview" 64 "--preview" -p x --preview-interval 2
check "refusals leave no file" test ! -e a.png

printf 'a\0b' >zero.txt
refuse "a zero byte in a prompt" 65 "zero byte" -f zero.txt -o a.png
: >empty.txt
refuse "a prompt file without a prompt" 65 "no prompt" -f empty.txt -o a.png
echo "no picture" >text.png
refuse "not a PNG to replay" 65 "text.png" --params-from text.png -o a.png
refuse "not a PNG to embed" 65 "text.png" embed -i text.png
refuse "not a PNG to inspect" 65 "text.png" inspect text.png

truncated_model() {
    cp -r "$model" broken
    local file
    file=$(find broken/decoder -name '*.safetensors' | head -1)
    truncate -s -100 "$file"
    "$program" -m broken "${fast[@]}" -p x -o a.png >out 2>err
    [ $? -eq 65 ] && grep -q "$(basename "$file")" err && grep -qE '[a-z_]+\.[a-z0-9_.]*(weight|bias)' err
}
check "a truncated weight file is named with its tensor" truncated_model
bad_config() {
    rm -rf broken
    cp -r "$model" broken
    sed -i 's/"layers_per_block": [0-9]*/"layers_per_block": "two"/' broken/decoder/config.json
    "$program" -m broken "${fast[@]}" -p x -o a.png >out 2>err
    [ $? -eq 65 ] && grep -q 'config.json' err && grep -q layers_per_block err
}
check "a wrong value in a config.json is named" bad_config
rm -rf broken

# The disk is full: /dev/full answers so to every write. Through a link, so that a broken program replaces the link.
disk_full() { ln -s /dev/full full && draw -p x -s 1 -o full; [ $? -eq 75 ] && grep -q full err && [ -c full ]; }
check "a full disk may be tried again" disk_full
stdout_full() { "$program" -q "${fast[@]}" -p x -s 1 -o - >/dev/full 2>err; [ $? -eq 75 ]; }
check "a full standard output may be tried again" stdout_full

# A simulated device that breaks in the middle, and one that is too small even for one picture.
lost_device() {
    "$program" -q "${fast[@]}" --device sim:0,fail=500,error=719 -p x -s 1 -o lost.png >out 2>err
    [ $? -eq 75 ] && grep -q 'LaunchFailure (719)' err && grep -q 'must be started anew' err && [ ! -e lost.png ]
}
check "a lost device may be tried again by another process" lost_device
small_device() {
    "$program" -q "${fast[@]}" --device sim:0,memory=300000 -p x -s 1 -o small.png >out 2>err
    [ $? -eq 75 ] && grep -qE 'needs [0-9]+ bytes, [0-9]+ of 300000 are free' err && [ ! -e small.png ]
}
check "too small a device says what is missing" small_device

# ---- texts ----------------------------------------------------------------------------------------------------------
version() { [[ $("$program" --version) =~ ^unclip-cuda\ [0-9]+\.[0-9]+\.[0-9]+$ ]]; }
check "the version" version
help() {
    "$program" --help >out 2>err && grep -q -- --prior-steps out && [ ! -s err ] || return 1
    for words in vary interp textdiff probe fit-pca upscale embed eval "eval prior" "eval pairs" inspect devices generate; do
        "$program" $words --help >sub && grep -q "^usage: unclip-cuda $words " sub || return 1
    done
    ! grep -qE '^  (batch|serve|convert|bench) ' out
}
check "help, without subcommands that are not there yet" help
# Choices that were measured elsewhere: said once, and nothing changes.
foreign_tuning() {
    echo '{"schema": 1, "machines": [{"cpu": "abacus", "instructions": "", "onednn": "none", "entries": [{"op": "matmul",
        "type": "f32", "weight_type": "f16", "x": [1], "weight": [8, 8], "use": "onednn"}]}]}' >foreign.json
    "$program" -p x -s 5 "${fast[@]}" --tuning foreign.json -o tuned.png >out 2>err </dev/null &&
        [ "$(grep -c 'foreign.json: 1 entries belong to another processor' err)" -eq 1 ] &&
        draw -p x -s 5 -o plain.png && cmp -s tuned.png plain.png
}
check "another machine's tuning is ignored" foreign_tuning
completion() { "$program" --completion bash >out && bash -n out && [ -s out ]; }
check "the bash completion is a script" completion
completes() {
    "$program" --completion bash >out && [ "$(bash -c '. ./out; COMP_WORDS=(unclip-cuda --prior-st); COMP_CWORD=1
        _unclip_cuda; echo "${COMPREPLY[*]}"')" = --prior-steps ]
}
check "the bash completion completes" completes
completed() { "$program" --completion bash >out && bash -c '. ./out; COMP_WORDS=(unclip-cuda "$@"); COMP_CWORD=$#; _unclip_cuda; echo "${COMPREPLY[*]}"' _ "$@"; }
completes_kinds() {
    [ "$(completed ev)" = eval ] && [[ $(completed eval "") == *"prior pairs"* ]] && [ "$(completed eval prior --prior-st)" = --prior-steps ] &&
        [ "$(completed eval pairs --prior-st)" = "" ] && [ "$(completed eval pairs --invert-st)" = --invert-steps ]
}
check "the bash completion knows the kinds of eval" completes_kinds

# ---- drawing --------------------------------------------------------------------------------------------------------
one_file() {
    mkdir one && "$program" "${fast[@]}" -p "a red cube" -s 3 -o one/a.png >out 2>err || return 1
    is_png one/a.png && only_files one "a.png " && [ "$(cat out)" = one/a.png ] && grep -qx 'seed: 3' err
}
check "one picture goes to the path, which is printed; the seed is said" one_file
random_seed() {
    draw -p x -o a.png && mv err first && draw -p x -o a.png && grep -q '^seed: ' err && ! cmp -s first err
}
check "seeds are random and said even with -q" random_seed
numbered() {
    mkdir many && draw -p "a cube" -p "a ball" -b 2 -s 3 -o many/x.png &&
        only_files many "x-0000.png x-0001.png x-0002.png x-0003.png " && [ "$(wc -l <out)" -eq 4 ]
}
check "several pictures are numbered" numbered
folder() { mkdir d && draw -p "a cube" -s 3 -o d/ && only_files d "0000.png "; }
check "a folder" folder
piped() { "$program" -q "${fast[@]}" -p "a cube" -s 3 -o - 2>err >piped.png && is_png piped.png && cmp -s piped.png d/0000.png; }
check "standard output has the same bytes" piped
pipe_by_default() { "$program" -q "${fast[@]}" -p "a cube" -s 3 2>err | cat >p.png && cmp -s p.png d/0000.png && [ ! -e out.png ]; }
check "a pipe gets the picture by itself" pipe_by_default
log_pipe() { mkdir lp && (cd lp && "$program" -q "${fast[@]}" -p "a cube" -s 3 2>&1 | cat >log) && only_files lp "log out.png " && cmp -s lp/out.png d/0000.png; }
check "a pipe that is also the log does not get it" log_pipe
from_stdin() { printf 'a cube\n' | "$program" -q "${fast[@]}" -p - -s 3 -o s.png >out 2>err && cmp -s s.png d/0000.png; }
check "a prompt from standard input" from_stdin
from_file() {
    printf 'a cube\r\n\na ball\n' >two.txt && mkdir f && draw -f two.txt -s 3 -o f/ &&
        only_files f "0000.png 0001.png " && cmp -s f/0000.png d/0000.png
}
check "prompts from a file" from_file
operand() { draw "a cube" -s 3 -o o.png && cmp -s o.png d/0000.png; }
check "a prompt without -p" operand
aliases() { draw -p "a cube" -s 3 -o l.png --guidance_scale=4.5 && draw -p "a cube" -s 3 -o m.png --cfg-scale 4.5 && cmp -s l.png m.png && ! cmp -s l.png d/0000.png; }
check "aliases and underscores" aliases
environment() {
    UNCLIP_ARG_SEED=3 UNCLIP_ARG_SIZE=64 UNCLIP_ARG_STEPS=9 UNCLIP_ARG_PRIOR_STEPS=2 UNCLIP_ARG_QUIET=1 UNCLIP_MODEL=$model \
        "$program" --steps 2 -p "a cube" -o e.png >out 2>err && cmp -s e.png d/0000.png
}
check "flags from the environment, the command line wins" environment
wrong_variable() { UNCLIP_ARG_STEPS=many "$program" -p x >out 2>err; [ $? -eq 64 ] && grep -q UNCLIP_ARG_STEPS err; }
check "a wrong variable is named" wrong_variable
model_variable() { UNCLIP_MODEL=no-such-model "$program" -p x >out 2>err; [ $? -eq 66 ] && grep -q no-such-model err; }
check "UNCLIP_MODEL is the default model" model_variable
elsewhere() { mkdir -p a/b && (cd a/b && "$program" -q "${fast[@]}" -p "a cube" -s 3 -o x.png >/dev/null 2>&1) && cmp -s a/b/x.png d/0000.png; }
check "the shipped model is found from any folder" elsewhere
empty_prompt() { draw -p "" -s 3 -o empty.png && is_png empty.png && ! cmp -s empty.png d/0000.png; }
check "an empty prompt draws without a condition" empty_prompt
long_prompt() {
    head -c 1048576 /dev/zero | tr '\0' 'a' >long.txt
    "$program" "${fast[@]}" -f long.txt -s 3 -o long.png >out 2>err
    local got=$?
    # A megabyte is either drawn with a warning or refused as a whole; never a crash.
    { [ $got -eq 0 ] && is_png long.png && grep -q warning err; } || [ $got -eq 64 ] || [ $got -eq 65 ]
}
check "a prompt of a megabyte" long_prompt
truncated_prompt() {
    "$program" "${fast[@]}" -p "$(printf 'a red cube %.0s' {1..40})" -s 3 -o t.png >out 2>err && is_png t.png && grep -q 'warning: .*longer' err
}
check "a prompt beyond the context is drawn with a warning" truncated_prompt
special_target() { ln -s "$work/target.png" link.png && mkfifo fifo && { cat fifo >through.png & } && draw -p "a cube" -s 3 -o fifo && wait $! && cmp -s through.png d/0000.png && [ -p fifo ]; }
check "a named pipe is written to, not replaced" special_target
replaced() { echo old >old.png && draw -p "a cube" -s 3 -o old.png && cmp -s old.png d/0000.png; }
check "an old file is replaced" replaced
previews() { mkdir v && draw -p "a cube" -s 3 --steps 4 --preview v/p.png --preview-interval 1 -o v/a.png && is_png v/p.png && only_files v "a.png p.png "; }
check "previews" previews
log_json() {
    "$program" "${fast[@]}" --log-json -v -p "a cube" -s 3 -o j.png >out 2>err || return 1
    grep -q '"message": "seed: 3"' err && grep -q '"stage": "decoder", "step": 2' err && ! grep -qv '^{.*}$' err
}
check "logs as JSON lines" log_json
plain_log() { "$program" "${fast[@]}" -p "a cube" -s 3 -o j.png >out 2>err && grep -qE '^decoder: 2 steps in [0-9.]+ s' err && ! grep -q $'\r' err; }
check "one line a stage without a terminal" plain_log
quiet() { draw -p "a cube" -s 3 -o j.png && [ "$(cat err)" = "seed: 3" ]; }
check "-q says the seed alone" quiet

# ---- the same bytes -------------------------------------------------------------------------------------------------
twice() { draw -p "a cube" -s 3 -o again.png && cmp -s again.png d/0000.png; }
check "twice in a row" twice
threads() { for t in 1 2 3; do draw -p "a cube" -s 3 -t $t -o t$t.png && cmp -s t$t.png d/0000.png || return 1; done; }
check "any number of threads" threads
batches() {
    mkdir b4 b3 b1 && draw -p "a red ball" -b 4 --batch-size 4 -s 9 -o b4/ && draw -p "a red ball" -b 4 --batch-size 3 -s 9 -o b3/ &&
        draw -p "a red ball" -b 4 --batch-size 1 -s 9 -o b1/ || return 1
    for k in 0 1 2 3; do
        draw -p "a red ball" -s $((9 + k)) -o alone.png && cmp -s alone.png b4/000$k.png && cmp -s alone.png b3/000$k.png &&
            cmp -s alone.png b1/000$k.png || return 1
    done
    ! cmp -s b4/0000.png b4/0001.png
}
check "any batch size, and alone" batches
neighbours() { mkdir n && draw -p "a ball" -p "a large matte green ring left of a small yellow cone" -p "a red ball" -s 7 -o n/ && cmp -s n/0002.png b4/0000.png; }
check "other prompts beside it" neighbours
modes() { for m in eager timed; do "$program" "${fast[@]}" --mode $m -p "a cube" -s 3 -o mode.png >out 2>err && cmp -s mode.png d/0000.png || return 1; done; }
check "eager and timed draw the same" modes
cascade() {
    "$program" -q -p "a cube" --steps 2 --prior-steps 2 --sr256-steps 1 --sr1024-steps 1 -s 3 -t 1 -o c1.png >out 2>err &&
        "$program" -q -p "a cube" --steps 2 --prior-steps 2 --sr256-steps 1 --sr1024-steps 1 -s 3 -t 2 -o c2.png >out 2>err && cmp -s c1.png c2.png &&
        [ "$(head -c 24 c1.png | tail -c 8 | od -An -tx1 | tr -d ' ')" = 0000040000000400 ]
}
check "the whole cascade: 1024 pixels, the same with 1 and 2 threads" cascade

# ---- replay ---------------------------------------------------------------------------------------------------------
replay() { draw -p "a green ring" -s 21 --steps 3 --cfg-scale 2.5 --sampler ddim --eta 0.5 -o r.png && "$program" -q --params-from r.png -o r2.png >out 2>err && cmp -s r.png r2.png; }
check "--params-from draws the same bytes" replay
thresholds() {
    draw -p "a green ring" -s 21 --cfg-scale 9 --threshold 0.5 -o t.png && "$program" -q --params-from t.png -o t2.png >out 2>err &&
        cmp -s t.png t2.png && "$program" inspect t.png >out 2>err && grep -q '"threshold": *0.5' out &&
        "$program" -q --params-from t.png --threshold 0 -o t3.png >out 2>err && ! cmp -s t.png t3.png
}
check "a dynamic threshold is drawn with, stored and replayed" thresholds
replay_override() { "$program" -q --params-from r.png --seed 22 -o r3.png >out 2>err && ! cmp -s r.png r3.png && is_png r3.png; }
check "flags beat --params-from" replay_override
replay_batch() { "$program" -q --params-from b4/0002.png -o r4.png >out 2>err && cmp -s r4.png b4/0002.png; }
check "a picture of a batch is replayed alone" replay_batch

# ---- what is no picture ---------------------------------------------------------------------------------------------
# The last weight of a network becomes NaN; whoever draws with it says which stage went wrong, and writes no file.
of_nan() { # folder of the network, stage, flags...
    local folder=$1 stage=$2 file
    shift 2
    rm -rf broken && cp -r "$source/tests/goldens/models/tiny-a" broken
    file=$(ls broken/"$folder"/*.safetensors)
    printf '\377\377\377\377' | dd of="$file" bs=1 seek=$(($(stat -c %s "$file") - 4)) conv=notrunc status=none
    "$program" -q -m broken -p x --steps 2 --prior-steps 2 --sr256-steps 2 "$@" -o nan.png >out 2>err
    [ $? -eq 65 ] && grep -q "the $stage produced NaN" err && [ ! -e nan.png ]
}
check "a picture of NaN names the decoder" of_nan decoder decoder --size 16
check "a picture of NaN names the decoder before an upsampler" of_nan decoder decoder --size 64
check "a picture of NaN names the upsampler" of_nan super_res_last sr256 --size 64

# ---- stopping -------------------------------------------------------------------------------------------------------
# Starts a long run, waits until it draws, sends the signal once or twice, and looks at what is left.
stop() { # signal, code
    mkdir -p stop && rm -f stop/*
    # A shell without job control ignores SIGINT in its background jobs: env gives the default back.
    env --default-signal=INT "$program" -v --log-json --size 64 --prior-steps 2 --steps 1000 -p x -s 1 -b 2 -o stop/ >out 2>err &
    local pid=$! tries=0
    until grep -q '"stage": "decoder", "step": 2,' err 2>/dev/null || ! kill -0 $pid || [ $((tries += 1)) -gt 600 ]; do sleep 0.05; done
    kill -s "$1" $pid
    wait $pid
    [ $? -eq "$2" ] && only_files stop ""
}
check "SIGINT leaves no file" stop INT 130
check "SIGTERM leaves no file" stop TERM 143

# ---- pictures from pictures -----------------------------------------------------------------------------------------
quick=(--size 64 --invert-steps 3 --invert-refinements 0 -s 3)
a_picture() { [ -e pa.png ] || draw -p "a cube" -s 3 -o pa.png; }
two_pictures() { a_picture && { [ -e pb.png ] || draw -p "a red ball" -s 4 -o pb.png; }; }
pair_files() {
    two_pictures && for k in a b; do
        [ -e p$k.safetensors ] || "$program" vary -q "${quick[@]}" p$k.png --eta 0 --keep-pair p$k.safetensors -o p$k-again.png >out 2>err || return 1
    done
}
# The settings in two PNG files may differ while their pixels do not.
pixels() { tail -c "+$(grep -abo IDAT "$1" | head -1 | cut -d: -f1)" "$1"; }
same_pixels() { cmp -s <(pixels "$1") <(pixels "$2"); }
vary() {
    a_picture && mkdir -p va && "$program" vary -q "${quick[@]}" pa.png -b 3 -o va/ >out 2>err && only_files va "0000.png 0001.png 0002.png " &&
        is_png va/0000.png && ! same_pixels va/0000.png va/0001.png && [ "$(wc -l <out)" -eq 3 ] && "$program" inspect va/0002.png | grep -q '"task":"vary"'
}
check "vary draws variations" vary
kept_pair() {
    pair_files && "$program" vary -q --size 64 -s 3 pa.safetensors --eta 0 -o kept.png >out 2>err && same_pixels kept.png pa-again.png &&
        "$program" vary -q --size 64 -s 9 pa.safetensors --eta 0 -o kept.png >out 2>err && same_pixels kept.png pa-again.png
}
check "a kept pair stands for its picture; without noise the seed does not matter" kept_pair
vary_from_noise() {
    a_picture && "$program" vary -q --size 64 --steps 2 --from-noise -s 3 pa.png -o n1.png >out 2>err &&
        "$program" vary -q --size 64 --steps 2 --from-noise -s 4 pa.png -o n2.png >out 2>err && ! same_pixels n1.png n2.png
}
check "vary --from-noise" vary_from_noise
interp() {
    pair_files && mkdir -p ia && "$program" interp -q --size 64 -s 3 --frames 3 pa.safetensors pb.safetensors -o ia/ >out 2>err &&
        only_files ia "0000.png 0001.png 0002.png " && same_pixels ia/0000.png pa-again.png && same_pixels ia/0002.png pb-again.png &&
        ! same_pixels ia/0001.png ia/0000.png
}
check "the ends of interp are the reconstructions" interp
interp_fixed() {
    two_pictures && mkdir -p ib && "$program" interp -q --size 64 --steps 2 -s 3 --frames 2 --noise fixed pa.png pb.png -o ib/ >out 2>err &&
        only_files ib "0000.png 0001.png " && ! same_pixels ib/0000.png ib/0001.png
}
check "interp --noise fixed" interp_fixed
textdiff() {
    pair_files && mkdir -p td && "$program" textdiff -q --size 64 -s 3 --frames 2 --cfg-scale 1 --from "a cube" --to "a blue cube" pa.safetensors -o td/ >out 2>err &&
        only_files td "0000.png 0001.png " && same_pixels td/0000.png pa-again.png && ! same_pixels td/0001.png td/0000.png
}
check "textdiff without guidance begins at the reconstruction" textdiff
probe() {
    pair_files && "$program" embed -i pa.png -i pb.png >e.jsonl 2>err && "$program" embed -i one.png >>e.jsonl 2>>err &&
        "$program" fit-pca pa.png pb.safetensors e.jsonl --components 2 -o pca.safetensors >out 2>err && [ "$(cat out)" = pca.safetensors ] &&
        mkdir -p pr && "$program" probe -q --size 64 --steps 2 -s 3 --components 1,2 --pca pca.safetensors pa.png -o pr/ >out 2>err &&
        only_files pr "0000.png 0001.png " && "$program" inspect pr/0001.png | grep -q '"components":2'
}
one_pixel() { printf 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4//8/AAX+Av4N70a4AAAAAElFTkSuQmCC' | base64 -d >one.png; }
check "one pixel" one_pixel
check "fit-pca and probe" probe
one_pixel_varied() { one_pixel && "$program" vary -q "${quick[@]}" one.png -o o1.png >out 2>err && is_png o1.png; }
check "vary of one pixel" one_pixel_varied
cut_pair() { pair_files && head -c 500 pa.safetensors >cut.safetensors; }
wanted "a pair file" && cut_pair
refuse "a pair file that is cut off" 65 "cut.safetensors" vary cut.safetensors -o no.png
refuse "a pair file that is not there" 66 "no-such.safetensors" vary no-such.safetensors -o no.png
refuse "a missing picture to vary" 66 "no-such.png" vary no-such.png -o no.png
refuse "not a PNG to vary" 65 "text.png" vary text.png -o no.png
refuse "vary without a picture" 64 "takes one picture or pair file, not 0" vary
refuse "interp with one picture" 64 "takes 2 to 1000 pictures or pair files, not 1" interp one.png
refuse "textdiff without a text to go to" 64 "--from TEXT --to TEXT" textdiff one.png
refuse "two captions for the decoder" 64 "one caption" vary one.png -p a -p b
refuse "components that are no numbers" 64 "--components" probe one.png --components 5,x
refuse "a folder for the pair that is not there" 73 "none" vary one.png --keep-pair none/p.safetensors -o no.png
refuse "a share beyond the text" 64 "--theta-max" textdiff one.png --to x --theta-max 1.5

# ---- the other subcommands ------------------------------------------------------------------------------------------
estimate() { "$program" --estimate --steps 5 >out 2>err && grep -qE '^decoder +5 +[0-9]+ +[0-9]+' out && grep -q '^all' out; }
check "--estimate" estimate
embed() {
    "$program" embed -p "a red cube" -i d/0000.png -f two.txt >out 2>err && [ "$(wc -l <out)" -eq 4 ] &&
        head -1 out | grep -qE '^\{"text": "a red cube", "tokens": \[[0-9, ]+\], "embedding": \[[-0-9.e, +]+\]\}$' && grep -q '^{"image": "d/0000.png", "embedding": ' out
}
check "embed" embed
inspect() { "$program" inspect >out 2>err && grep -q solids out && "$program" inspect d/0000.png >out 2>err && grep -q '"a cube"' out && "$program" inspect "$model" >out 2>err; }
check "inspect a model and a picture" inspect
devices() { "$program" devices >out 2>err && grep -q '"cpu"' out; }
check "devices" devices

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
