#!/usr/bin/env bash
# The public header: compiles alone as C99, C11 and C++17 without a warning; the shared library exports every function
# that it declares and nothing else. Usage: header.sh SOURCE_DIR LIBRARY CC
set -u
header=${1:?source directory}/engine/unclip.h
library=${2:?shared library}
cc=${3:-cc}
passed=0
failed=0
verdict() { # status, what
    if [ "$1" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $2"; fi
}

for standard in c99 c11 c++17; do
    language=c
    [ "$standard" = c++17 ] && language=c++
    echo '#include "unclip.h"' | "$cc" -x $language -std=$standard -Wall -Wextra -Wpedantic -Wshadow -Werror -fsyntax-only \
        -I "$(dirname "$header")" -
    verdict $? "the header as $standard"
done

declared=$(grep -v '^ \*' "$header" | grep -oE '\bunclip_[a-z0-9_]+\(' | tr -d '(' | sort -u)
# The sanitizers export symbols of their own.
exported=$(nm -D --defined-only "$library" | awk '{ print $3 }' | sed 's/@.*//' | grep -vE '^(__asan_|__ubsan_|__odr_asan)' | sort -u)
surplus=$(comm -13 <(echo "$declared") <(echo "$exported"))
missing=$(comm -23 <(echo "$declared") <(echo "$exported"))
[ -z "$surplus" ]
verdict $? "exported but not in the header: $surplus"
[ -z "$missing" ]
verdict $? "in the header but not exported: $missing"
[ "$(echo "$declared" | wc -l)" -ge 15 ]
verdict $? "functions found in the header: $declared"

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
