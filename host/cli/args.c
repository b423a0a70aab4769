/* args.c - the first arrow: what the user typed becomes typed, range-checked values, or one message that names the flag.
 */
#include "args.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const cli_flag cli_flags[CLI_FLAG_COUNT] = {
#define FLAG(ID, letter, name, aliases, KIND, low, high, choices, value, commands, group, help) \
    { letter, name, aliases, CLI_KIND_##KIND, low, high, choices, value, commands, group, help },
#include "flags.def"
#undef FLAG
};

const cli_command cli_commands[] = {
    { CLI_GENERATE, "generate", "[PROMPT...]", "draw pictures from text (the default)" },
    { CLI_VARY, "vary", "IMAGE", "draw variations of a picture, or reconstruct it" },
    { CLI_INTERP, "interp", "IMAGE IMAGE...", "draw the frames of a path from picture to picture" },
    { CLI_TEXTDIFF, "textdiff", "IMAGE", "turn a picture from what one text says towards another" },
    { CLI_PROBE, "probe", "IMAGE", "draw what the first principal components of a picture's embedding keep" },
    { CLI_FIT_PCA, "fit-pca", "FILE...", "find the principal components of pictures or embeddings, for probe" },
    { CLI_UPSCALE, "upscale", "IMAGE", "enlarge a picture by the upsamplers alone" },
    { CLI_EMBED, "embed", "[TEXT...]", "print CLIP embeddings of texts and pictures as JSON lines" },
    { CLI_EVAL, "eval", "KIND", "measure a model; the next word says what" },
    { CLI_EVAL_PRIOR, "eval prior", "", "what priors draw from captions, beside the embeddings of their pictures" },
    { CLI_EVAL_PAIRS, "eval pairs", "", "what pictures lose by inversion and reconstruction" },
    { CLI_INSPECT, "inspect", "[DIR|FILE]", "describe a model directory, or the settings stored in a picture or pair, as JSON" },
    { CLI_DEVICES, "devices", "", "list the devices that can be used, as JSON" },
};
const size_t cli_command_count = sizeof cli_commands / sizeof *cli_commands;

const char *cli_command_name(int command) {
    for (size_t i = 0; i < cli_command_count; i++) {
        if (cli_commands[i].id == command) return cli_commands[i].name;
    }
    return "";
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* typed may have underscores where name has dashes. */
static bool same_name(const char *name, size_t name_length, const char *typed, size_t typed_length) {
    if (name_length != typed_length) return false;
    for (size_t i = 0; i < typed_length; i++) {
        if ((typed[i] == '_' ? '-' : typed[i]) != name[i]) return false;
    }
    return true;
}

int cli_choice_index(const char *choices, const char *word, size_t length) {
    int index = 0;
    for (const char *at = choices; *at; index++) {
        size_t span = strcspn(at, "|");
        if (same_name(at, span, word, length)) return index;
        at += span + (at[span] == '|');
    }
    return -1;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Optimal string alignment over two kept rows and the one being filled; names longer than this are not typing errors. */
size_t cli_edit_distance(const char *a, const char *b) {
    enum { LONGEST = 63 };
    size_t rows = strlen(a), columns = strlen(b);
    if (rows > LONGEST || columns > LONGEST) return rows > columns ? rows : columns;
    size_t row[3][LONGEST + 1] = { { 0 } };
    for (size_t j = 0; j <= columns; j++) row[0][j] = j;
    for (size_t i = 1; i <= rows; i++) {
        size_t *now = row[i % 3], *above = row[(i + 2) % 3], *two_above = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= columns; j++) {
            size_t cost = above[j - 1] + (a[i - 1] != b[j - 1]);
            cost = least(cost, least(above[j] + 1, now[j - 1] + 1));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                cost = least(cost, two_above[j - 2] + 1);
            now[j] = cost;
        }
    }
    return row[rows % 3][columns];
}

static int find_flag(const char *name, size_t length) {
    for (int i = 0; i < CLI_FLAG_COUNT; i++) {
        if (same_name(cli_flags[i].name, strlen(cli_flags[i].name), name, length)) return i;
        if (cli_choice_index(cli_flags[i].aliases, name, length) >= 0) return i;
    }
    return -1;
}

/* The nearest long name, aliases included, that this command accepts. */
static void nearest_flag(int command, const char *name, char *out, size_t size) {
    size_t best = SIZE_MAX;
    out[0] = '\0';
    for (int i = 0; i < CLI_FLAG_COUNT; i++) {
        if (!(cli_flags[i].commands & command)) continue;
        char names[256];
        int length = snprintf(names, sizeof names, "%s|%s", cli_flags[i].name, cli_flags[i].aliases);
        if (length < 0 || (size_t)length >= sizeof names) continue;
        char *rest = NULL;
        for (char *one = strtok_r(names, "|", &rest); one; one = strtok_r(NULL, "|", &rest)) {
            size_t distance = cli_edit_distance(name, one);
            if (distance >= best) continue;
            best = distance;
            snprintf(out, size, "%s", one);
        }
    }
}

static int unknown_flag(const cli_args *args, const char *name, size_t length, cli_error *err) {
    char plain[64], nearest[64];
    snprintf(plain, sizeof plain, "%.*s", (int)(length < 63 ? length : 63), name);
    for (char *c = plain; *c; c++) {
        if (*c == '_') *c = '-';
    }
    nearest_flag(args->command, plain, nearest, sizeof nearest);
    return cli_fail(err, CLI_USAGE, "unknown flag --%s for %s; the nearest is --%s", plain,
                    cli_command_name(args->command), nearest);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static int append(cli_list *list, const char *item, cli_error *err) {
    const char **grown = realloc(list->items, (list->count + 1) * sizeof *grown);
    if (!grown) return cli_fail(err, CLI_TRY_AGAIN, "out of memory while reading the command line");
    grown[list->count++] = item;
    list->items = grown;
    return CLI_OK;
}

static int parse_integer(const cli_flag *flag, const char *origin, const char *text, cli_value *value, cli_error *err) {
    char *end = NULL;
    errno = 0;
    intmax_t number = strtoimax(text, &end, 10);
    if (end == text || *end || isspace((unsigned char)text[0])) {
        return cli_fail(err, CLI_USAGE, "%s: \"%.80s\" is not a whole number", origin, text);
    }
    if (errno || (double)number < flag->low || (double)number > flag->high) {
        return cli_fail(err, CLI_USAGE, "%s: %.40s is out of range; it must be from %.0f to %.0f", origin, text,
                        flag->low, flag->high);
    }
    value->integer = number;
    return CLI_OK;
}

static int parse_real(const cli_flag *flag, const char *origin, const char *text, cli_value *value, cli_error *err) {
    char *end = NULL;
    double number = strtod(text, &end);
    if (end == text || *end || isspace((unsigned char)text[0]) || isnan(number)) {
        return cli_fail(err, CLI_USAGE, "%s: \"%.80s\" is not a number", origin, text);
    }
    if (number < flag->low || number > flag->high) {
        return cli_fail(err, CLI_USAGE, "%s: %.40s is out of range; it must be from %g to %g", origin, text, flag->low,
                        flag->high);
    }
    value->real = number;
    return CLI_OK;
}

static int parse_seed(const char *origin, const char *text, cli_value *value, cli_error *err) {
    value->seed_random = strcmp(text, "-1") == 0;
    if (value->seed_random) return CLI_OK;
    char *end = NULL;
    errno = 0;
    uintmax_t number = strtoumax(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end) {
        return cli_fail(err, CLI_USAGE, "%s: \"%.80s\" is not a whole number from 0 to 2^64-1, nor -1", origin, text);
    }
    if (errno || number > UINT64_MAX) {
        return cli_fail(err, CLI_USAGE, "%s: %.40s is out of range; it must be from 0 to 2^64-1, or -1", origin, text);
    }
    value->seed = number;
    return CLI_OK;
}

static int parse_choice(const cli_flag *flag, const char *origin, const char *text, cli_value *value, cli_error *err) {
    int index = cli_choice_index(flag->choices, text, strlen(text));
    if (index < 0) {
        return cli_fail(err, CLI_USAGE, "%s: \"%.80s\" is not one of %s", origin, text, flag->choices);
    }
    value->integer = index;
    return CLI_OK;
}

/* A switch given as --flag is on; --flag=0 and UNCLIP_ARG_FLAG=0 turn it off. */
static int parse_switch(const char *origin, const char *text, cli_value *value, cli_error *err) {
    int index = cli_choice_index("0|1|false|true|no|yes|off|on", text, strlen(text));
    if (index < 0) return cli_fail(err, CLI_USAGE, "%s: \"%.80s\" is neither 1 nor 0", origin, text);
    value->on = index % 2 == 1;
    return CLI_OK;
}

static int set_flag(cli_args *args, int id, const char *origin, const char *text, cli_error *err) {
    const cli_flag *flag = &cli_flags[id];
    cli_value *value = &args->flag[id];
    value->given = value->typed = true;
    value->text = text;
    switch (flag->kind) {
    case CLI_KIND_SWITCH: return parse_switch(origin, text, value, err);
    case CLI_KIND_LIST: return append(&value->list, text, err);
    case CLI_KIND_INT: return parse_integer(flag, origin, text, value, err);
    case CLI_KIND_REAL: return parse_real(flag, origin, text, value, err);
    case CLI_KIND_SEED: return parse_seed(origin, text, value, err);
    case CLI_KIND_CHOICE: return parse_choice(flag, origin, text, value, err);
    case CLI_KIND_TEXT:
        if (!*text) return cli_fail(err, CLI_USAGE, "%s: the value is empty", origin);
        return CLI_OK;
    }
    return CLI_OK;
}

/* ---- the command line -------------------------------------------------------------------------------------------- */

typedef struct cursor {
    int argc, next;
    char *const *argv;
} cursor;

static int check_accepted(const cli_args *args, int id, cli_error *err) {
    if (cli_flags[id].commands & args->command) return CLI_OK;
    if (args->command == CLI_EVAL)
        return cli_fail(err, CLI_USAGE, "--%s: say what is measured first: eval prior, eval pairs", cli_flags[id].name);
    return cli_fail(err, CLI_USAGE, "--%s is not a flag of %s", cli_flags[id].name, cli_command_name(args->command));
}

/* The word after a flag. A prompt may begin with dashes, but a known flag there means that the value was forgotten. */
static int take_value(cursor *at, const char *origin, const char **text, cli_error *err) {
    const char *next = at->next < at->argc ? at->argv[at->next] : NULL;
    bool is_flag = next && strncmp(next, "--", 2) == 0 && find_flag(next + 2, strcspn(next + 2, "=")) >= 0;
    if (!next || is_flag) return cli_fail(err, CLI_USAGE, "%s needs a value", origin);
    at->next++;
    *text = next;
    return CLI_OK;
}

static int parse_long(cli_args *args, cursor *at, const char *word, cli_error *err) {
    size_t length = strcspn(word + 2, "=");
    int id = find_flag(word + 2, length);
    if (id < 0) return unknown_flag(args, word + 2, length, err);
    int code = check_accepted(args, id, err);
    if (code) return code;
    char origin[72];
    snprintf(origin, sizeof origin, "--%.*s", (int)length, word + 2);
    const char *text = "1";
    if (word[2 + length] == '=') text = word + 2 + length + 1;
    else if (cli_flags[id].kind != CLI_KIND_SWITCH && (code = take_value(at, origin, &text, err)) != 0) return code;
    return set_flag(args, id, origin, text, err);
}

/* -b 4, -b4, -b=4; -vq is two switches. */
static int parse_letters(cli_args *args, cursor *at, const char *word, cli_error *err) {
    for (const char *letter = word + 1; *letter; letter++) {
        int id = 0;
        while (id < CLI_FLAG_COUNT && cli_flags[id].letter != *letter) id++;
        char origin[3] = { '-', *letter, '\0' };
        if (id == CLI_FLAG_COUNT) {
            return cli_fail(err, CLI_USAGE, "unknown flag -%c for %s; --help lists the flags",
                            isprint((unsigned char)*letter) ? *letter : '?', cli_command_name(args->command));
        }
        int code = check_accepted(args, id, err);
        if (code) return code;
        if (cli_flags[id].kind == CLI_KIND_SWITCH) {
            if ((code = set_flag(args, id, origin, "1", err)) != 0) return code;
            continue;
        }
        const char *text = letter + 1 + (letter[1] == '=');
        if (!letter[1] && (code = take_value(at, origin, &text, err)) != 0) return code;
        return set_flag(args, id, origin, text, err);
    }
    return CLI_OK;
}

static int parse_operand(cli_args *args, const char *word, cli_error *err) {
    const int no_operand = CLI_DEVICES | CLI_EVAL_PRIOR | CLI_EVAL_PAIRS;
    if (args->command & no_operand)
        return cli_fail(err, CLI_USAGE, "%s takes no \"%.80s\"", cli_command_name(args->command), word);
    if (args->command == CLI_INSPECT) {
        if (args->operands.count)
            return cli_fail(err, CLI_USAGE, "inspect takes one path; \"%.80s\" is too many", word);
        return append(&args->operands, word, err);
    }
    if (args->command == CLI_EVAL)
        return cli_fail(err, CLI_USAGE, "eval: \"%.80s\" is unknown; known are: eval prior, eval pairs", word);
    const int picture_commands = CLI_UPSCALE | CLI_VARY | CLI_INTERP | CLI_TEXTDIFF | CLI_PROBE | CLI_FIT_PCA;
    if (args->command & picture_commands) return set_flag(args, CLI_FLAG_INIT_IMG, "-i", word, err);
    return set_flag(args, CLI_FLAG_PROMPT, "-p", word, err);
}

/* Does the command's name, of one word or two, stand at the cursor? Returns the number of its words. */
static int named_at(const cursor *at, const cli_command *command) {
    const size_t first = strcspn(command->name, " ");
    const char *word = at->argv[at->next], *second = command->name[first] ? command->name + first + 1 : NULL;
    if (strlen(word) != first || strncmp(word, command->name, first) != 0) return 0;
    if (!second) return 1;
    return at->next + 1 < at->argc && strcmp(at->argv[at->next + 1], second) == 0 ? 2 : 0;
}

/* The first word, or two, may name a subcommand. One that nearly does is refused: drawing "inspct" would be a surprise. */
static int parse_command(cli_args *args, cursor *at, cli_error *err) {
    args->command = CLI_GENERATE;
    const char *word = at->next < at->argc ? at->argv[at->next] : "-";
    if (word[0] == '-') return CLI_OK;
    int words = 0;
    for (size_t i = 0; i < cli_command_count; i++) {
        const int named = named_at(at, &cli_commands[i]);
        if (named <= words) continue;
        args->command = cli_commands[i].id;
        words = named;
    }
    at->next += words;
    if (words) return CLI_OK;
    for (size_t i = 0; i < cli_command_count; i++) {
        if (cli_edit_distance(word, cli_commands[i].name) <= 1) {
            return cli_fail(err, CLI_USAGE, "unknown subcommand \"%s\"; the nearest is %s (to draw it: -p %s)", word,
                            cli_commands[i].name, word);
        }
    }
    return CLI_OK;
}

/* ---- the environment --------------------------------------------------------------------------------------------- */

static int parse_variable(cli_args *args, const char *variable, cli_error *err) {
    static const char prefix[] = "UNCLIP_ARG_";
    if (strncmp(variable, prefix, sizeof prefix - 1) != 0) return CLI_OK;
    const char *equals = strchr(variable, '=');
    if (!equals) return CLI_OK;
    char origin[96], name[64];
    size_t length = 0;
    for (const char *c = variable + sizeof prefix - 1; c < equals && length < sizeof name - 1; c++) {
        name[length++] = *c == '_' ? '-' : (char)tolower((unsigned char)*c);
    }
    name[length] = '\0';
    snprintf(origin, sizeof origin, "%.*s", (int)(equals - variable), variable);
    int id = find_flag(name, length);
    if (id < 0) {
        char nearest[64];
        nearest_flag(args->command, name, nearest, sizeof nearest);
        return cli_fail(err, CLI_USAGE, "unknown environment variable %s: no flag --%s; the nearest is --%s", origin,
                        name, nearest);
    }
    /* Another subcommand's flag may well be set for a whole session. */
    if (!(cli_flags[id].commands & args->command) || args->flag[id].given) return CLI_OK;
    const int code = set_flag(args, id, origin, equals + 1, err);
    args->flag[id].typed = false;
    return code;
}

int cli_args_parse(cli_args *args, int argc, char *const argv[], char *const environment[], cli_error *err) {
    memset(args, 0, sizeof *args);
    cursor at = { argc, 1, argv };
    int code = parse_command(args, &at, err);
    bool flags_ended = false;
    while (!code && at.next < argc) {
        const char *word = argv[at.next++];
        if (!flags_ended && strcmp(word, "--") == 0) flags_ended = true;
        else if (flags_ended || word[0] != '-' || !word[1]) code = parse_operand(args, word, err);
        else if (word[1] == '-') code = parse_long(args, &at, word, err);
        else code = parse_letters(args, &at, word, err);
    }
    for (size_t i = 0; !code && environment && environment[i]; i++) code = parse_variable(args, environment[i], err);
    if (code) cli_args_free(args);
    return code;
}

void cli_args_free(cli_args *args) {
    for (int i = 0; i < CLI_FLAG_COUNT; i++) free(args->flag[i].list.items);
    free(args->operands.items);
    memset(args, 0, sizeof *args);
}
