/* help.c - what the table of flags looks like to a person and to a shell. */
#include "help.h"

#include <string.h>

/* ---- help ---------------------------------------------------------------------------------------------------------- */

/* Prints text from column `indent` on, broken before column 100. */
static void print_wrapped(FILE *stream, const char *text, int indent) {
    enum { WIDTH = 100 };
    int column = indent;
    while (*text) {
        int span = (int)strcspn(text, " ");
        if (column > indent && column + 1 + span > WIDTH) {
            fprintf(stream, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', stream);
            column++;
        }
        fprintf(stream, "%.*s", span, text);
        column += span;
        text += span + (text[span] == ' ');
    }
    fputc('\n', stream);
}

static void print_flag(FILE *stream, const cli_flag *flag) {
    enum { INDENT = 30 };
    char left[96];
    int used = 0;
    if (flag->letter) used = snprintf(left, sizeof left, "  -%c, --%s", flag->letter, flag->name);
    else used = snprintf(left, sizeof left, "      --%s", flag->name);
    if (*flag->value) snprintf(left + used, sizeof left - (size_t)used, " %s", flag->value);
    fprintf(stream, "%-*s", INDENT, left);
    if (strlen(left) >= INDENT) fprintf(stream, "\n%*s", INDENT, "");
    char text[512];
    if (*flag->choices) snprintf(text, sizeof text, "%s: %s", flag->choices, flag->help);
    else snprintf(text, sizeof text, "%s", flag->help);
    print_wrapped(stream, text, INDENT);
}

void cli_print_help(FILE *stream, int command, bool with_commands) {
    const cli_command *about = cli_commands;
    while (about->id != command) about++;
    fprintf(stream, "usage: unclip-cuda %s%s%s[FLAGS]%s%s\n", with_commands ? "[SUBCOMMAND]" : about->name,
            with_commands ? " " : "", with_commands ? "" : " ", *about->operands ? " " : "", about->operands);
    if (with_commands) {
        fputs("\nPictures from text: prompt -> CLIP -> prior -> decoder -> upsamplers -> PNG.\n\nSubcommands:\n",
              stream);
        for (size_t i = 0; i < cli_command_count; i++) {
            fprintf(stream, "  %-10s %s\n", cli_commands[i].name, cli_commands[i].help);
        }
        fputs("`unclip-cuda SUBCOMMAND --help` lists the flags of each; these are generate's.\n", stream);
    } else {
        fprintf(stream, "\n%s\n", about->help);
    }
    const char *group = "";
    for (int i = 0; i < CLI_FLAG_COUNT; i++) {
        if (!(cli_flags[i].commands & command)) continue;
        if (strcmp(group, cli_flags[i].group) != 0) fprintf(stream, "\n%s:\n", cli_flags[i].group);
        group = cli_flags[i].group;
        print_flag(stream, &cli_flags[i]);
    }
    fputs("\nEvery flag can be given as UNCLIP_ARG_<FLAG> in the environment too; the command line wins.\n"
          "Exit codes: 0 done, 64 usage, 65 bad data, 66 missing input or model, 69 no such device, 70 bug,\n"
          "73 cannot write, 75 try again, 130 and 143 interrupted.\n",
          stream);
}

/* ---- completions --------------------------------------------------------------------------------------------------- */

static bool takes_path(const cli_flag *flag) {
    return strcmp(flag->value, "FILE") == 0 || strcmp(flag->value, "PATH") == 0 || strcmp(flag->value, "DIR") == 0 ||
           strcmp(flag->value, "PNG") == 0;
}

static void print_choices(FILE *stream, const char *choices) {
    for (const char *c = choices; *c; c++) fputc(*c == '|' ? ' ' : *c, stream);
}

/* Names of one word: what can be completed first. */
static void print_commands(FILE *stream) {
    for (size_t i = 0, printed = 0; i < cli_command_count; i++)
        if (!strchr(cli_commands[i].name, ' ')) fprintf(stream, printed++ ? " %s" : "%s", cli_commands[i].name);
}

/* What follows the first word of names of two. */
static void print_second_words(FILE *stream, const char *first) {
    const size_t length = strlen(first);
    for (size_t i = 0; i < cli_command_count; i++) {
        const char *name = cli_commands[i].name;
        if (strncmp(name, first, length) == 0 && name[length] == ' ') fprintf(stream, " %s", name + length + 1);
    }
}

static void print_bash(FILE *stream) {
    fputs("_unclip_cuda() {\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} flags commands=\"",
          stream);
    print_commands(stream);
    fputs("\"\n    case $before in\n", stream);
    for (int i = 0; i < CLI_FLAG_COUNT; i++) {
        const cli_flag *flag = &cli_flags[i];
        if (!*flag->choices && !takes_path(flag)) continue;
        fprintf(stream, "    --%s", flag->name);
        if (flag->letter) fprintf(stream, "|-%c", flag->letter);
        if (takes_path(flag)) fputs(") COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n", stream);
        else {
            fputs(") COMPREPLY=($(compgen -W \"", stream);
            print_choices(stream, flag->choices);
            fputs("\" -- \"$word\")); return ;;\n", stream);
        }
    }
    fputs("    esac\n    case \"${COMP_WORDS[1]} ${COMP_WORDS[2]} \" in\n", stream);
    for (size_t c = cli_command_count; c-- > 0;) { /* those of two words stand below those that are their first word */
        if (cli_commands[c].id == CLI_GENERATE) fputs("    *) flags=\"", stream);
        else fprintf(stream, "    \"%s \"*) flags=\"", cli_commands[c].name);
        print_second_words(stream, cli_commands[c].name);
        for (int i = 0; i < CLI_FLAG_COUNT; i++) {
            if (cli_flags[i].commands & cli_commands[c].id) fprintf(stream, " --%s", cli_flags[i].name);
        }
        fputs("\" ;;\n", stream);
    }
    fputs("    esac\n"
          "    [[ $COMP_CWORD == 1 && $word != -* ]] && flags=$commands\n"
          "    COMPREPLY=($(compgen -W \"$flags\" -- \"$word\"))\n"
          "}\n"
          "complete -o default -F _unclip_cuda unclip-cuda\n",
          stream);
}

/* Help texts inside single quotes, without what zsh's specifications give a meaning to. */
static void print_quotable(FILE *stream, const char *text) {
    for (const char *c = text; *c; c++) {
        if (*c == '\'' || *c == '[' || *c == ']' || *c == ':') continue;
        fputc(*c, stream);
    }
}

static void print_zsh(FILE *stream) {
    fputs("#compdef unclip-cuda\n_arguments \\\n", stream);
    for (int i = 0; i < CLI_FLAG_COUNT; i++) {
        const cli_flag *flag = &cli_flags[i];
        fprintf(stream, "    '%s--%s%s[", flag->kind == CLI_KIND_LIST ? "*" : "", flag->name,
                flag->kind == CLI_KIND_SWITCH ? "" : "=");
        print_quotable(stream, flag->help);
        fputs("]", stream);
        if (*flag->choices) {
            fputs(":value:(", stream);
            print_choices(stream, flag->choices);
            fputs(")", stream);
        } else if (flag->kind != CLI_KIND_SWITCH) {
            fputs(takes_path(flag) ? ":path:_files" : ":value: ", stream);
        }
        fputs("' \\\n", stream);
    }
    fputs("    '1::subcommand or prompt:(", stream);
    print_commands(stream);
    fputs(")' \\\n    '*:path:_files'\n", stream);
}

static void print_fish(FILE *stream) {
    for (size_t i = 0; i < cli_command_count; i++) {
        const char *name = cli_commands[i].name, *second = strchr(name, ' ');
        if (second)
            fprintf(stream, "complete -c unclip-cuda -n '__fish_seen_subcommand_from %.*s' -a %s -d '",
                    (int)(second - name), name, second + 1);
        else fprintf(stream, "complete -c unclip-cuda -n __fish_use_subcommand -a %s -d '", name);
        print_quotable(stream, cli_commands[i].help);
        fputs("'\n", stream);
    }
    for (int i = 0; i < CLI_FLAG_COUNT; i++) {
        const cli_flag *flag = &cli_flags[i];
        fprintf(stream, "complete -c unclip-cuda -l %s", flag->name);
        if (flag->letter) fprintf(stream, " -s %c", flag->letter);
        if (*flag->choices) {
            fputs(" -x -a '", stream);
            print_choices(stream, flag->choices);
            fputs("'", stream);
        } else if (flag->kind != CLI_KIND_SWITCH) {
            fputs(takes_path(flag) ? " -r -F" : " -x", stream);
        }
        fputs(" -d '", stream);
        print_quotable(stream, flag->help);
        fputs("'\n", stream);
    }
}

void cli_print_completion(FILE *stream, const char *shell) {
    if (strcmp(shell, "bash") == 0) print_bash(stream);
    if (strcmp(shell, "zsh") == 0) print_zsh(stream);
    if (strcmp(shell, "fish") == 0) print_fish(stream);
}
