/* vary.c - a picture in, pictures that share its meaning out: z_i is kept, and the noise, or what DDIM adds to it,
 * is new. */
#include "commands.h"
#include "pairs.h"

int cli_vary(const cli_args *args, cli_log *log, cli_error *err) {
    const cli_value *flag = args->flag;
    cli_pairs p = { .drawing = { .args = args, .log = log, .err = err } };
    unclip_vary_options options;
    unclip_vary_options_init(&options);
    options.from_noise = flag[CLI_FLAG_FROM_NOISE].on;
    const size_t pictures = flag[CLI_FLAG_BATCH_COUNT].given ? (size_t)flag[CLI_FLAG_BATCH_COUNT].integer : 1;
    int code = cli_pairs_begin(&p, 1, 1, pictures, err);
    if (!code) code = cli_pairs_open(&p, options.from_noise, err);
    if (!code) {
        unclip_error error = { .status = UNCLIP_OK };
        const unclip_status status = unclip_vary(p.engine, &p.pairs[0], &p.base, &options, &error);
        code = cli_pairs_end(&p, status, &error, err);
    }
    cli_pairs_free(&p);
    return code;
}
