#!/usr/bin/env bash
# The built program and pictures: every subcommand that takes one has an answer to every kind of PNG (a result, or exit 65
# with one message that names the file); upscaling, labels, conditions and contact sheets from outside. Random weights: what
# is drawn does not matter. Usage: pictures.sh PROGRAM SOURCE_DIR [PATTERN]: only the checks whose name matches.
set -u
program=$(realpath "${1:?program}")
source=$(realpath "${2:?source directory}")
only=${3:-.}
images=$source/tests/goldens/images
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
while read -r name; do unset "$name"; done < <(env | grep -o '^UNCLIP_ARG_[A-Z0-9_]*')
[ -z "${UNCLIP_TEST_DEVICE-}" ] || export UNCLIP_ARG_DEVICE=$UNCLIP_TEST_DEVICE
export UNCLIP_MODEL=$source/tests/goldens/models/tiny-a # draws 16 and 64

passed=0
failed=0
check() { # name, command...
    [[ $1 =~ $only ]] || return 0
    local name=$1
    shift
    if "$@"; then passed=$((passed + 1)); return; fi
    failed=$((failed + 1))
    echo "FAILED: $name"
    sed 's/^/    /' err 2>/dev/null | head -5
    echo "    again: tests/cli/pictures.sh $program $source '$name'"
}
run() { "$program" "$@" >out 2>err </dev/null; }
refused() { # code, text, arguments...
    local code=$1 text=$2
    shift 2
    run "$@"
    local got=$?
    [ $got -eq "$code" ] && [ "$(grep -c 'error:' err)" -eq 1 ] && grep -qF -- "$text" err && return
    echo "    exit $got instead of $code, or \"$text\" is not in the one message"
    return 1
}
# Width and height as eight hexadecimal digits each.
size_of() { head -c 24 "$1" | tail -c 8 | od -An -tx1 | tr -d ' \n'; }
is_square() { [ "$(head -c 4 "$1" | od -An -tx1 | tr -d ' ')" = 89504e47 ] && [ "$(size_of "$1")" = "$(printf '%08x%08x' "$2" "$2")" ]; }

# ---- pictures of every kind -----------------------------------------------------------------------------------------
make() { base64 -d >"$1.png"; }
make interlaced <<<iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAAGWY9HBAAAAWklEQVR42gFPALD/AAAAeAAMhAA8tABIwAAGQn66ABJOisYAHlqW0gAkYJzYACpmot4AMGyo5AADIT9de5m31QAJJ0VjgZ+92wAPLUtph6XD4QAVM1FvjavJ5+sMHOE+/qToAAAAAElFTkSuQmCC
make sixteen-bits-alpha <<<iVBORw0KGgoAAAANSUhEUgAAAAYAAAAGEAYAAACwXDMLAAAAf0lEQVR42jXPsQ2AMAxEUTYJIzBBlAnYIAVDpLREyRAegI6WkpKxyHeONF+R9Yqbpv7ass6p0O3MO21LfehxW9y9eNyvt39TGYACKIACKIAGyPsAFEABFEABNEB9BqAACqAACqABTBtMG0wbTBtMG+zf4Nrg2uDa4Nrg2uCx4QOS12QzR5bw8wAAAABJRU5ErkJggg==
make one-pixel <<<iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGM4IacBAALAAQ/aQIG5AAAAAElFTkSuQmCC
make line <<<iVBORw0KGgoAAAANSUhEUgAAEAAAAAABCAIAAADRQ/wrAAAAKUlEQVR42u3BMQEAAAgDIC3ivf4pjGUND6B3UgAAAAAAAAAAAAAAwG8HApEBEAuaG6wAAAAASUVORK5CYII=
cp "$images"/palette.png "$images"/small-grey.png "$images"/wide-grey-alpha.png "$images"/square-rgba.png .
good="interlaced sixteen-bits-alpha one-pixel line palette small-grey wide-grey-alpha square-rgba"

make claims-ten-gigapixels <<<iVBORw0KGgoAAAANSUhEUgABhqAAAYagCAIAAAAnMJyfAAAACElEQVR42gMAAAAAAW/dyZEAAAAASUVORK5CYII=
make no-width <<<iVBORw0KGgoAAAANSUhEUgAAAAAAAAAFCAIAAADkJHr2AAAACElEQVR42gMAAAAAAW/dyZEAAAAASUVORK5CYII=
make too-few-rows <<<iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAADElEQVR42mNgoD0AAABkAAG4me+ZAAAAAElFTkSuQmCC
head -c 3000 square-rgba.png >truncated.png
head -c 20 square-rgba.png >cut-in-its-header.png
printf '\xff\xd8\xff\xe0\0\20JFIF\0' >a-jpeg.png
echo "no picture" >a-text.png
: >empty.png
bad="claims-ten-gigapixels no-width too-few-rows truncated cut-in-its-header a-jpeg a-text empty"

quick=(-q -s 3 --size 16 --steps 2 -o drawn/)
inverting=("${quick[@]}" --invert-steps 2)
mkdir drawn
takes() { # subcommand, picture
    case $1 in
    embed) run embed -i "$2" ;;
    labels) run embed -i "$2" --labels "a cube,a ring" ;;
    upscale) run upscale "$2" -q -s 3 --sr256-steps 1 -o drawn/ ;;
    vary) run vary "$2" "${inverting[@]}" ;;
    interp) run interp "$images/palette.png" "$2" --frames 2 "${inverting[@]}" ;;
    textdiff) run textdiff "$2" --to "a cube" --frames 2 "${inverting[@]}" ;;
    probe) run probe "$2" --pca basis.safetensors --components 1 "${quick[@]}" ;;
    fit-pca) run fit-pca "$images/palette.png" "$images/tall-rgb.png" "$2" -o basis-of-three.safetensors ;;
    esac
}
check "a basis for probe" run fit-pca "$images"/palette.png "$images"/tall-rgb.png "$images"/wide-rgb.png -o basis.safetensors
accepts() { takes "$1" "$2.png" || { echo "    exit $? for $2.png"; return 1; }; }
refuses() {
    takes "$1" "$2.png"
    local got=$?
    [ $got -eq 65 ] && [ "$(grep -c 'error:' err)" -eq 1 ] && grep -qF "$2.png" err && return
    echo "    exit $got for $2.png, or it is not named in one message"
    return 1
}
commands="embed labels upscale vary interp textdiff probe fit-pca"
for command in $commands; do
    for picture in $good; do check "$command takes $picture" accepts "$command" "$picture"; done
    for picture in $bad; do check "$command refuses $picture" refuses "$command" "$picture"; done
    missing() { takes "$command" no-such.png; [ $? -eq 66 ] && grep -qF no-such.png err; }
    check "$command says that a picture is missing" missing
done

# ---- upscale --------------------------------------------------------------------------------------------------------
fast=(-q -s 3 --sr256-steps 2)
upscales() { run upscale "$images/wide-rgb.png" "${fast[@]}" -o u.png && is_square u.png 64 && [ "$(cat out)" = u.png ]; }
check "upscale draws the model's size and says where" upscales
twice() { run upscale "$images/wide-rgb.png" "${fast[@]}" -t 2 -o u2.png && cmp u.png u2.png; }
check "upscale draws the same bytes with other threads" twice
by_stdin() { "$program" upscale - "${fast[@]}" -o - <"$images/wide-rgb.png" 2>err | cmp - u.png; }
check "upscale from standard input to standard output" by_stdin
several() { mkdir -p up && run upscale "$images/wide-rgb.png" "${fast[@]}" -b 3 -o up/ && cmp up/0000.png u.png && ! cmp -s up/0001.png u.png; }
check "upscale -b draws more of them" several
degrades() {
    for how in blur bsr; do
        run upscale "$images/wide-rgb.png" "${fast[@]}" --degrade $how -o $how.png && ! cmp -s $how.png u.png || return 1
    done
    run upscale "$images/wide-rgb.png" "${fast[@]}" --degrade bsr --degrade-seed 3 -o again.png && cmp again.png bsr.png &&
        run upscale "$images/wide-rgb.png" "${fast[@]}" --degrade bsr --degrade-seed 4 -o other.png && ! cmp -s other.png bsr.png &&
        run inspect bsr.png && grep -q '"degrade":"bsr"' out
}
check "upscale --degrade" degrades
check "upscale without a picture" refused 64 "one picture" upscale -q
check "upscale with two" refused 64 "one picture" upscale u.png u.png
check "upscale to a size that is none" refused 64 "size is 100" upscale u.png --size 100 -o x.png
check "upscale from a size that is none" refused 64 "from is 100" upscale u.png --from-size 100 -o x.png
check "upscale with a flag of generate" refused 64 "--prior-steps" upscale u.png --prior-steps 3
check "upscale into a folder that is not there" refused 73 none upscale u.png -o none/x.png
# ---- labels ---------------------------------------------------------------------------------------------------------
labels() {
    run embed -i palette.png -i small-grey.png --labels "a cube, a \"ring\"" && [ "$(wc -l <out)" -eq 2 ] &&
        head -1 out | grep -qE '^\{"image": "palette.png", "logit_scale": 100, "labels": \[\{"label": "a cube", "probability": [0-9.e-]+, "cosine": [-0-9.e]+\}, \{"label": "a \\"ring\\"", "probability": [0-9.e-]+, "cosine": [-0-9.e]+\}\]\}$'
}
check "labels as JSON" labels
check "labels without a picture" refused 64 "--labels" embed --labels a,b
check "labels beside a text" refused 64 "--labels" embed -i palette.png -p x --labels a,b
check "an empty label" refused 64 "label 2" embed -i palette.png --labels a,,b

# ---- conditions -----------------------------------------------------------------------------------------------------
draw() { run -q -p "a cube" -s 3 --size 16 --steps 2 "$@"; }
conditions() {
    for how in prior text-embedding caption; do draw --condition $how -o c-$how.png || return 1; done
    draw -o c.png && cmp c.png c-prior.png && ! cmp -s c.png c-caption.png && ! cmp -s c-caption.png c-text-embedding.png &&
        run --params-from c-caption.png -q -o replayed.png && cmp replayed.png c-caption.png
}
check "generate --condition, and its replay" conditions
given() {
    run embed -i palette.png && cp out z.json && draw --prior-input z.json -o g.png && ! cmp -s g.png c.png &&
        "$program" -q -p "a cube" -s 3 --size 16 --steps 2 --prior-input - -o g2.png <z.json >out 2>err && cmp g.png g2.png &&
        run -q -s 3 --size 16 --steps 2 --prior-input z.json -o no-caption.png && ! cmp -s g.png no-caption.png
}
check "generate --prior-input, with and without a caption" given
pair_as_image() { run vary palette.png --keep-pair p.safetensors "${inverting[@]}" && draw --prior-input p.safetensors -o gp.png && cmp gp.png g.png; }
check "a pair's embedding is its picture's" pair_as_image
check "a prior beside an embedding" refused 64 "--prior-candidates would do nothing" -p x --prior-input z.json --prior-candidates 2 -o x.png
check "inversion that does not happen: new noise" refused 64 "--invert-steps would do nothing" vary palette.png --from-noise --invert-steps 9
check "inversion that does not happen: pairs" refused 64 "--invert-refinements would do nothing" interp p.safetensors p.safetensors --invert-refinements 1
check "inversion that does not happen: one noise" refused 64 "--invert-cfg-scale would do nothing" interp c.png g.png --noise fixed --invert-cfg-scale 2
check "a seed without its degradation" refused 64 "--degrade-seed would do nothing" upscale c.png --degrade blur --degrade-seed 3
check "a replay of a variation" refused 64 "drawn by vary" --params-from drawn/0000.png -o x.png
# A pair's file stands for its picture wherever the embedding is what matters.
numbers() { sed 's/^{"image": "[^"]*"//' out; }
same_for_the_pair() { # subcommand and flags
    run "$@" -i palette.png && numbers >of-picture && run "$@" -i p.safetensors && numbers | cmp - of-picture && [ -s of-picture ]
}
check "embed of a pair" same_for_the_pair embed
check "embed --labels of a pair" same_for_the_pair embed --labels "a cube,a ring"
pairs_evaluated() {
    printf 'a cube\tpalette.png\n' >of-pictures && printf 'a cube\tp.safetensors\n' >of-pairs &&
        run eval prior --pairs of-pictures -s 3 --prior-steps 2 && grep -v seconds out >measured &&
        run eval prior --pairs of-pairs -s 3 --prior-steps 2 && grep -v seconds out | cmp - measured && grep -q '"cosine"' measured
}
check "eval prior of a pair" pairs_evaluated
pair_walks() {
    run interp p.safetensors palette.png --frames 2 "${inverting[@]}" && run textdiff p.safetensors --to "a cube" --frames 2 "${quick[@]}" &&
        run probe p.safetensors --components 1 "${quick[@]}" && run fit-pca p.safetensors palette.png -o of-pairs.safetensors
}
check "paths, text diffs, probes and bases of a pair" pair_walks
inspected() { run inspect p.safetensors && grep -q '"model":"tiny-a"' out && grep -q '"steps":2' out; }
check "inspect of a pair" inspected
check "upscale of a pair" refused 64 "keeps no picture to upscale" upscale p.safetensors
check "eval pairs of a pair" refused 65 "keeps no picture" eval pairs --pairs of-pairs
# Every part that a model may lack.
blind=(-m "$source/tests/goldens/models/tiny-c")
for what in "vary palette.png" "interp palette.png palette.png" "textdiff palette.png --to x" "probe palette.png" "embed -i palette.png" \
    "embed -i palette.png --labels a,b" "fit-pca palette.png" "eval prior --pairs of-pictures" "eval pairs --pairs of-pictures"; do
    check "${what%% *} without an image encoder: $what" refused 64 "no image_encoder" $what "${blind[@]}"
done
check "probe without principal components" refused 64 "no principal components" probe palette.png -m "$source/tests/goldens/models/tiny-b"
check "a pair of another model" refused 64 "32 numbers" vary p.safetensors "${blind[@]}"
check "a picture whose embedding is not kept" refused 64 "--prior-input" --params-from g.png -o x.png
check "two embeddings at once" refused 64 "give one" -p x --prior-input z.json --condition caption -o x.png
check "an embedding that is a picture" refused 65 c.png -p x --prior-input c.png -o x.png
check "an embedding that is missing" refused 66 none.json -p x --prior-input none.json -o x.png
wrong_json() {
    for text in '{"embedding": [1, "a"]}' '{"embedding": []}' '{"image": 3}' '{"embedding": [1e999]}' '{' '{"embedding": [1]} {}'; do
        echo "$text" >w.json
        refused 65 w.json -p x --prior-input w.json -o x.png || { echo "    $text"; return 1; }
    done
    echo '{"embedding": [1, 2]}' >w.json && refused 64 "has 2 numbers" -p x --prior-input w.json -o x.png
}
check "embeddings that are wrong" wrong_json

# ---- eval pairs -----------------------------------------------------------------------------------------------------
pairs() {
    printf 'a cube\tpalette.png\n{"caption": "a ring", "image": "%s"}\n' "$images/wide-rgb.png" >list
    run eval pairs --pairs list --invert-steps 4 -q && grep -q '"pairs": 2' out && grep -qE '"psnr_least": [0-9.]+' out &&
        grep -qF '"image": "palette.png"' out && [ "$(grep -c '"cosine":' out)" -eq 3 ]
}
check "eval pairs" pairs
closer() {
    local few many
    few=$(grep -m1 '"psnr":' out | tr -dc 0-9.)
    run eval pairs --pairs list --invert-steps 50 -q || return 1
    many=$(grep -m1 '"psnr":' out | tr -dc 0-9.)
    [ "${many%.*}" -gt "${few%.*}" ]
}
check "eval pairs: more steps come closer" closer
other_way_back() {
    run eval pairs --pairs list --invert-steps 50 -q && cp out same-steps &&
        run eval pairs --pairs list --invert-steps 50 --steps 4 -q && ! cmp -s out same-steps
}
check "eval pairs with other steps on the way back" other_way_back
check "eval pairs without a list" refused 64 "--pairs" eval pairs
printf 'a cube\ttruncated.png\n' >broken-list
check "eval pairs with a damaged picture" refused 65 truncated.png eval pairs --pairs broken-list

# ---- estimates ------------------------------------------------------------------------------------------------------
arenas() { sed -n "s/.*$1: [0-9]* rows, .* arena of \([0-9]*\) bytes.*/\1/p" err; }
planned() { awk -v name="$1" '$1 == name { print $4 }' estimate; }
estimates() { # subcommand and what it takes
    run "$@" -s 3 --estimate -o not-drawn.png && [ "$(grep -c '^all ' out)" -eq 1 ] && [ ! -e not-drawn.png ] && mv out estimate &&
        run "$@" -s 3 -v -o drawn.png || return 1
    [ -z "$(planned invert)" ] || [ "$(planned invert)" = "$(arenas decoder | head -1)" ] || return 1
    [ -z "$(planned decoder)" ] || [ "$(planned decoder)" = "$(arenas decoder | tail -1)" ] || return 1
    [ "$(planned image)" = "$(arenas image_encoder | head -1)" ] && [ "$(planned sr256)" = "$(arenas sr256 | tail -1)" ]
}
small=(--steps 2 --sr256-steps 2)
check "vary --estimate says what vary takes" estimates vary palette.png -b 3 --invert-steps 3 "${small[@]}"
check "interp --estimate" estimates interp palette.png small-grey.png --frames 3 --invert-steps 3 "${small[@]}"
check "textdiff --estimate" estimates textdiff palette.png --to "a cube" --frames 2 --from-noise "${small[@]}"
check "probe --estimate" estimates probe palette.png --pca basis.safetensors --components 1,2 "${small[@]}"
check "upscale --estimate" estimates upscale palette.png -b 2 --sr256-steps 2
two_inversions() {
    local one two
    run vary palette.png --estimate && one=$(awk '$1 == "invert" { print $5 }' out) &&
        run interp palette.png small-grey.png --estimate && two=$(awk '$1 == "invert" { print $5 }' out) &&
        awk "BEGIN { exit !($two > 1.99 * $one && $two < 2.01 * $one) }" &&
        run interp p.safetensors p.safetensors --estimate && ! grep -q '^invert' out
}
check "estimates count inversions, of which pair files need none" two_inversions
check "--estimate beside --keep-pair" refused 64 "--keep-pair" vary palette.png --estimate --keep-pair no.safetensors
check "--estimate of a picture that is none" refused 65 truncated.png vary truncated.png --estimate

# ---- contact sheets -------------------------------------------------------------------------------------------------
# Opens and closes its elements in order; python's parser when there is one. The C tests look closer.
is_page() {
    grep -q '^<!DOCTYPE html>' "$1" && [ "$(tail -1 "$1")" = "</html>" ] && [ "$(grep -c '<figure>' "$1")" -eq "$2" ] || return 1
    command -v python3 >/dev/null || return 0
    python3 - "$1" <<'PARSER'
import html.parser, sys
class Page(html.parser.HTMLParser):
    open, scripts = [], 0
    def handle_starttag(self, tag, attributes):
        self.scripts += tag == "script"
        self.open.append(tag)
        assert not [v for k, v in attributes if k in ("href", "src") and not v.startswith("data:image/png;base64,")]
    def handle_startendtag(self, tag, attributes):
        assert not [v for k, v in attributes if k in ("href", "src") and not v.startswith("data:image/png;base64,")]
    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag
page = Page()
page.feed(open(sys.argv[1], encoding="utf-8").read())
sys.exit(bool(page.open or page.scripts))
PARSER
}
sheets() {
    mkdir -p sh && run -q -p "<script>&\"' é" -s 3 --size 16 --steps 2 --prior-steps 2 -b 5 -o sh/ --sheet s.png --html s.html &&
        [ "$(size_of s.png)" != "" ] && [ "$(wc -l <out)" -eq 5 ] && is_page s.html 5 &&
        grep -qF '<h1>&lt;script&gt;&amp;&quot;&#39; é</h1>' s.html && [ "$(ls sh | wc -l)" -eq 5 ]
}
check "a contact sheet of generate" sheets
same_sheet() { run -q -p "<script>&\"' é" -s 3 --size 16 --steps 2 --prior-steps 2 -b 5 --batch-size 2 -o sh/ --sheet s2.png && cmp s.png s2.png; }
check "a sheet does not depend on the batch" same_sheet
sheets_of_all() {
    run vary palette.png "${inverting[@]}" -b 3 --sheet v.png --html v.html && is_page v.html 3 || return 1
    run interp palette.png small-grey.png --frames 3 "${inverting[@]}" --sheet i.png --html i.html && is_page i.html 3 &&
        grep -q 'theta 0.500' i.html && grep -q 'cosine 1.000' i.html || return 1
    run textdiff palette.png --from "a cube" --to "a ring" --frames 4 "${inverting[@]}" --sheet t.png --html t.html && is_page t.html 4 &&
        grep -q '<h1>a cube to a ring</h1>' t.html || return 1
    run probe palette.png --pca basis.safetensors --components 1,2 "${quick[@]}" --sheet p.png --html p.html && is_page p.html 2 &&
        grep -q '>2 components<' p.html || return 1
    run upscale palette.png "${fast[@]}" -b 2 -o drawn/ --sheet u-s.png --html u.html && is_page u.html 2 && grep -q 'sr256' u.html
}
check "contact sheets of the other subcommands" sheets_of_all
check "too many pictures for a sheet" refused 64 400 -p x -b 401 -o sh/ --sheet x.png
check "a sheet that cannot be written" refused 73 /proc/x.png -p x -o x.png --sheet /proc/x.png
check "a page that cannot be written" refused 73 none -p x -o x.png --html none/x.html
page_to_stdout() { run -q -p x -s 3 --size 16 --steps 2 --prior-steps 2 -o sh/ --html /dev/stdout && grep -q '</html>' out; }
check "a page down a pipe" page_to_stdout
full_disk() { run -q -p x -s 3 --size 16 --steps 2 --prior-steps 2 -o sh/ --html /dev/full; [ $? -eq 75 ] && grep -qF /dev/full err; }
check "a page on a full disk" full_disk
check "no half-written page or sheet" test -z "$(find . -name '*.part')"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
