#!/usr/bin/env bash
# The built program and its priors, from outside: pictures by the autoregressive one, their replay, eval prior and what
# it refuses. On a tiny model that has both. Usage: prior.sh PROGRAM SOURCE_DIR [PATTERN]: only the checks whose name
# matches. UNCLIP_TEST_DEVICE=sim:0 in the environment runs them on that device, as in the other scripts beside it.
set -u
program=$(realpath "${1:?program}")
source=$(realpath "${2:?source directory}")
only=${3:-.}
tiny=$source/tests/goldens/models/tiny-a
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
unset UNCLIP_MODEL
while read -r name; do unset "$name"; done < <(env | grep -o '^UNCLIP_ARG_[A-Z0-9_]*')
[ -z "${UNCLIP_TEST_DEVICE-}" ] || export UNCLIP_ARG_DEVICE=$UNCLIP_TEST_DEVICE

passed=0
failed=0
fail() {
    failed=$((failed + 1))
    echo "FAILED: $1"
    sed 's/^/    /' err 2>/dev/null | head -5
    echo "    again: tests/cli/prior.sh $program $source '$1'"
}
check() { # name, command...
    [[ $1 =~ $only ]] || return 0
    if "${@:2}"; then passed=$((passed + 1)); else fail "$1"; fi
}
refuse() { # name, code, text, arguments...
    [[ $1 =~ $only ]] || return 0
    "$program" "${@:4}" >out 2>err </dev/null
    local got=$?
    if [ "$got" -eq "$2" ] && grep -qF -- "$3" err && [ "$(grep -c 'error:' err)" -eq 1 ]; then passed=$((passed + 1))
    else fail "$1"; echo "    exit $got instead of $2, or \"$3\" is not in the one message"; fi
}
draw() { "$program" -q -m "$tiny" --size 16 --steps 2 "$@" >out 2>err </dev/null; }
settings() { "$program" inspect "$1" 2>err; }

# ---- pictures -------------------------------------------------------------------------------------------------------
drawn() {
    draw -p "a red cube" -s 7 --prior ar -o a.png && draw -p "a red cube" -s 7 --prior ar -t 2 -o b.png &&
        draw -p "a red cube" -s 7 -o c.png && cmp -s a.png b.png && ! cmp -s a.png c.png &&
        settings a.png | grep -q '"prior":"ar","prior_temperature":1.0,"prior_dot_percentile":\[50.0,100.0\]' &&
        ! settings c.png | grep -q '"prior":"'
}
check "--prior ar draws the same bytes again, and says so" drawn
replayed() {
    draw -p "two dogs" -s 9 --prior ar --prior-temperature 0.5 --prior-dot-percentile 20..30 --prior-cfg-scale 2 -o r.png &&
        "$program" -q -m "$tiny" --params-from r.png -o again.png >out 2>err && cmp r.png again.png &&
        "$program" -q -m "$tiny" --params-from r.png --prior-dot-percentile 90 -o other.png >out 2>err &&
        settings other.png | grep -q '"prior_dot_percentile":\[90.0,90.0\]'
}
check "--params-from replays the autoregressive prior" replayed
estimated() {
    "$program" -m "$tiny" --prior ar --estimate >out 2>err && grep -qE '^prior +6 +[0-9]+' out
}
check "--estimate of the autoregressive prior" estimated
refuse "a model without it" 64 "no autoregressive prior" -m "$source/tests/goldens/models/tiny-b" -p x --prior ar -o no.png
refuse "an unknown prior" 64 "--prior" -p x --prior best
refuse "percentiles that fall" 64 "--prior-dot-percentile" -p x --prior ar --prior-dot-percentile 90..80
refuse "a negative temperature" 64 "--prior-temperature" -p x --prior-temperature=-1

# What would do nothing is refused, unless it stands in the environment for the whole session.
refuse "steps of the autoregressive prior" 64 "--prior-steps would do nothing" -m "$tiny" -p x --prior ar --prior-steps 3
refuse "a temperature of the diffusion prior" 64 "--prior-temperature would do nothing" -m "$tiny" -p x --prior-temperature 1
refuse "a flag of the prior where none runs" 64 "--prior-cfg-scale would do nothing" -m "$tiny" -p x --condition caption --prior-cfg-scale 2
refuse "eval of one prior with flags of the other" 64 "--prior-sampler would do nothing" eval prior --pairs x --prior ar --prior-sampler ddim
of_the_session() { UNCLIP_ARG_PRIOR_STEPS=3 draw -p x -s 1 --prior ar -o session.png; }
check "flags of the environment may do nothing" of_the_session
unused_stages() {
    local said
    "$program" -m "$tiny" -p x -s 1 --size 16 --steps 2 --sr256-steps 3 --eta 0.5 -o u.png >out 2>err || return 1
    said=$(grep -c "warning:" err)
    grep -q -- "--sr256-steps did nothing: no sr256 ran" err && grep -q -- "--eta did nothing" err && [ "$said" -eq 2 ] &&
        "$program" -m "$tiny" -p x -s 1 --steps 2 --sr256-steps 3 --sampler ddim --eta 0.5 -b 2 -o u.png >out 2>err &&
        ! grep -q "warning:" err
}
check "flags of stages that did not run are said" unused_stages

# ---- eval prior -----------------------------------------------------------------------------------------------------
pairs() {
    mkdir -p pictures && draw -p "a red cube" -s 1 -o pictures/one.png && draw -p "two dogs" -s 2 -o pictures/two.png &&
        printf 'a red cube\tone.png\n\n{"caption": "two dogs", "image": "two.png"}\r\n' >pictures/list
}
pairs || { echo "no pictures to evaluate on"; exit 1; }
number() { sed -n "s/^ *\"$1\": \([-0-9.e+]*\),*$/\1/p" out | sed -n "${2}p"; }
evaluated() {
    "$program" eval prior -m "$tiny" --pairs pictures/list -s 3 --prior-steps 3 >out 2>err &&
        grep -q '"pairs": 2' out && [ "$(number draws 1)" = 2 ] && [ "$(number draws 2)" = 2 ] &&
        grep -q '"diffusion": {' out && grep -q '"ar": {' out && [ -n "$(number loss 1)" ] &&
        [ "$(number true_dot 1)" = "$(number true_dot 2)" ] && [ "$(number mse 1)" != "$(number mse 2)" ]
}
check "eval prior measures both priors on the same pictures" evaluated
one_prior() {
    "$program" eval prior -m "$tiny" --pairs pictures/list -s 3 --prior ar -b 3 --batch-size 4 >out 2>err &&
        ! grep -q diffusion out && [ "$(number draws 1)" = 6 ] && cp out together &&
        "$program" eval prior -m "$tiny" --pairs pictures/list -s 3 --prior ar -b 3 --batch-size 1 >out 2>err &&
        [ "$(grep -v seconds out)" = "$(grep -v seconds together)" ]
}
check "eval prior of one prior, whatever the batch" one_prior
refuse "eval without a kind" 64 "say what is measured" eval
refuse "eval of something unknown" 64 "\"colour\" is unknown" eval colour
refuse "eval prior without pairs" 64 "--pairs FILE" eval prior
refuse "a list that is not there" 66 "no-such-list" eval prior --pairs no-such-list
printf 'a caption alone\n' >bad.tsv
refuse "a line without a picture" 65 "bad.tsv: line 1 is neither" eval prior --pairs bad.tsv
printf '{"caption": "x"}\n' >bad.jsonl
refuse "an object without a picture" 65 "bad.jsonl: line 1 is not a JSON object" eval prior --pairs bad.jsonl
printf '\n\n' >empty
refuse "a list of nothing" 65 "no pair in it" eval prior --pairs empty
printf 'x\tnone.png\n' >missing
refuse "a picture that is not there" 66 "none.png" eval prior -m "$tiny" --pairs missing
printf 'x\tempty\n' >wrong
refuse "a picture that is none" 65 "empty" eval prior -m "$tiny" --pairs wrong

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
