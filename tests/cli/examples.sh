#!/usr/bin/env bash
# The README's examples do what they say: the commands of its section "Drawing" are run in a new folder, in their order, with
# the model that ships and few steps. Usage: examples.sh PROGRAM SOURCE_DIR.
set -u
program=$(realpath "${1:?program}")
source=$(realpath "${2:?source directory}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
while read -r name; do unset "$name"; done < <(env | grep -o '^UNCLIP_ARG_[A-Z0-9_]*')
unset UNCLIP_MODEL
[ -z "${UNCLIP_TEST_DEVICE-}" ] || export UNCLIP_ARG_DEVICE=$UNCLIP_TEST_DEVICE
mkdir bin && ln -s "$program" bin/unclip-cuda
PATH=$work/bin:$PATH
# what the reader has already, and settings of a session: flags of an example win over them
printf 'a red cube\na blue ring\n' >prompts.txt
export UNCLIP_ARG_STEPS=2 UNCLIP_ARG_PRIOR_STEPS=2 UNCLIP_ARG_SR256_STEPS=1 UNCLIP_ARG_INVERT_STEPS=2
export UNCLIP_ARG_INVERT_REFINEMENTS=0 UNCLIP_ARG_SIZE=64 UNCLIP_ARG_SEED=3
unclip-cuda -q -p "a red cube on top of a blue sphere" -o out.png >out 2>err || { cat err; echo "0 passed, 1 failed"; exit 1; }

passed=0
failed=0
fail() {
    failed=$((failed + 1))
    echo "FAILED: $1"
    sed 's/^/    /' err | head -5
}
while read -r line; do
    bash -c "$line" >out 2>err </dev/null
    code=$?
    # the model that ships need not have both priors
    if [ $code -eq 64 ] && grep -q 'no autoregressive prior' err; then code=0; fi
    target=$(grep -oP '(-o|--keep-pair|--sheet|--html|>) \K[^ ]+' <<<"${line%%#*}" | tr '\n' ' ')
    if [ $code -ne 0 ]; then fail "exit $code: $line"
    elif ! grep -q 'no autoregressive prior' err && [ -n "$target" ] && ! ls $target >/dev/null; then fail "no $target: $line"
    else passed=$((passed + 1)); fi
done < <(awk '/^## / { drawing = /^## Drawing/ } drawing && /^```/ { code = !code && /sh/; next } drawing && code' \
    "$source/README.md")
every_subcommand() {
    local name
    unclip-cuda --help | awk '/^Subcommands:/ { list = 1; next } /^`/ { list = 0 } list' >commands
    while read -r name; do
        grep -qE "^unclip-cuda ${name}( |\$)" "$source/README.md" || { echo "    $name"; return 1; }
    done < <(sed -E 's/^  (.{10}) .*/\1/; s/ +$//' commands | grep -vxE 'generate|eval')
    [ "$(wc -l <commands)" -gt 10 ]
}
if every_subcommand 2>err; then passed=$((passed + 1)); else fail "a subcommand without an example in the README"; fi
for count in pictures:9 variations:4 path:9 diff:8 same:4; do
    [ "$(find "${count%:*}" -name '*.png' | wc -l)" -eq "${count#*:}" ] && passed=$((passed + 1)) && continue
    : >err
    fail "pictures in ${count%:*}/"
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
