/* textdiff.c - a picture and two texts in, the frames on which it turns from the one towards the other out. */
#include "commands.h"
#include "pairs.h"

int cli_textdiff(const cli_args *args, cli_log *log, cli_error *err) {
    const cli_value *flag = args->flag;
    cli_pairs p = { .drawing = { .args = args, .log = log, .err = err } };
    unclip_text_diff_options options;
    unclip_text_diff_options_init(&options);
    if (!flag[CLI_FLAG_TO].given)
        return cli_fail(err, CLI_USAGE, "textdiff needs the text to go to: textdiff IMAGE --from TEXT --to TEXT");
    options.to = flag[CLI_FLAG_TO].text;
    if (flag[CLI_FLAG_FROM].given) options.from = flag[CLI_FLAG_FROM].text;
    if (flag[CLI_FLAG_THETA_MAX].given) options.theta_max = flag[CLI_FLAG_THETA_MAX].real;
    if (flag[CLI_FLAG_FRAMES].given) options.frames = (int)flag[CLI_FLAG_FRAMES].integer;
    options.from_noise = flag[CLI_FLAG_FROM_NOISE].on;
    int code = cli_pairs_begin(&p, 1, 1, (size_t)options.frames, err);
    if (!code) code = cli_pairs_open(&p, options.from_noise, err);
    if (!code) {
        unclip_error error = { .status = UNCLIP_OK };
        const unclip_status status = unclip_text_diff(p.engine, &p.pairs[0], &p.base, &options, &error);
        code = cli_pairs_end(&p, status, &error, err);
    }
    cli_pairs_free(&p);
    return code;
}
