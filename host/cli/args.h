/* args.h - the command line and the environment, checked and typed: what begins the flow.
 *
 * Flags are rows of flags.def. `--flag value` and `--flag=value` are the same, underscores in a name equal dashes,
 * `UNCLIP_ARG_<FLAG>` in the environment stands for a flag that is not on the command line. */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exit.h"

enum { CLI_GENERATE = 1, CLI_EMBED = 2, CLI_INSPECT = 4, CLI_DEVICES = 8, CLI_UPSCALE = 16,
       CLI_VARY = 32, CLI_INTERP = 64, CLI_TEXTDIFF = 128, CLI_PROBE = 256, CLI_FIT_PCA = 512, CLI_EVAL = 1024,
       CLI_EVAL_PRIOR = 2048, CLI_EVAL_PAIRS = 4096 };

typedef struct cli_command {
    int id;
    const char *name; /* a word, or that of another command and one more */
    const char *operands; /* for the usage line */
    const char *help;
} cli_command;

extern const cli_command cli_commands[];
extern const size_t cli_command_count;

typedef enum cli_kind {
    CLI_KIND_SWITCH,
    CLI_KIND_TEXT,
    CLI_KIND_LIST,
    CLI_KIND_INT,
    CLI_KIND_REAL,
    CLI_KIND_SEED,
    CLI_KIND_CHOICE
} cli_kind;

typedef struct cli_flag {
    char letter;
    const char *name, *aliases;
    cli_kind kind;
    double low, high;
    const char *choices, *value;
    int commands;
    const char *group, *help;
} cli_flag;

typedef enum cli_flag_id {
#define FLAG(ID, ...) CLI_FLAG_##ID,
#include "flags.def"
#undef FLAG
    CLI_FLAG_COUNT
} cli_flag_id;

extern const cli_flag cli_flags[CLI_FLAG_COUNT];

typedef struct cli_list {
    const char **items;
    size_t count;
} cli_list;

typedef struct cli_value {
    bool given, on;   /* on: of a switch */
    bool typed;       /* given, and not by the environment */
    const char *text; /* the last one, as given */
    int64_t integer;  /* of an INT; the index of a CHOICE */
    uint64_t seed;
    bool seed_random;
    double real;
    cli_list list; /* of a LIST, in order */
} cli_value;

typedef struct cli_args {
    int command;
    cli_value flag[CLI_FLAG_COUNT];
    cli_list operands; /* what has no flag; generate and embed take it as prompts instead */
} cli_args;

/* environment: "NAME=value" strings ending with NULL, or NULL for none. Texts are kept by pointer: argv and the
 * environment must outlive args. */
int cli_args_parse(cli_args *args, int argc, char *const argv[], char *const environment[], cli_error *err);
void cli_args_free(cli_args *args);

/* "generate" */
const char *cli_command_name(int command);

/* The position of word among names separated by '|', or -1. Underscores equal dashes. */
int cli_choice_index(const char *choices, const char *word, size_t length);

/* Letters to insert, delete, replace or swap to get from a to b. */
size_t cli_edit_distance(const char *a, const char *b);

#endif
