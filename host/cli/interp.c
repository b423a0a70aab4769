/* interp.c - pictures in, the frames of a path through them out. */
#include "commands.h"
#include "pairs.h"

enum { NOISE_SLERP, NOISE_FIXED }; /* of --noise */

int cli_interp(const cli_args *args, cli_log *log, cli_error *err) {
    const cli_value *flag = args->flag;
    cli_pairs p = { .drawing = { .args = args, .log = log, .err = err } };
    unclip_interpolate_options options;
    unclip_interpolate_options_init(&options);
    if (flag[CLI_FLAG_FRAMES].given) options.frames = (int)flag[CLI_FLAG_FRAMES].integer;
    options.fixed_noise = flag[CLI_FLAG_NOISE].given && flag[CLI_FLAG_NOISE].integer == NOISE_FIXED;
    int code = cli_pairs_begin(&p, 2, 1000, (size_t)options.frames, err);
    if (!code) code = cli_pairs_open(&p, options.fixed_noise, err);
    if (!code) {
        unclip_error error = { .status = UNCLIP_OK };
        const unclip_status status = unclip_interpolate(p.engine, p.pairs, p.count, &p.base, &options, &error);
        code = cli_pairs_end(&p, status, &error, err);
    }
    cli_pairs_free(&p);
    return code;
}
