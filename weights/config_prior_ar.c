/* config_prior_ar.c - prior_ar: the arrow CLIP text -> prior -> image embedding, drawn token by token. The format is
 * ours, so that every size must be stated. */
#include "config_read.h"

enum { MOST = 1 << 20, MOST_BUCKETS = 1 << 16 };

unclip_status uc_read_prior_ar(const char *path, uc_prior_ar_config *c, uc_warnings *warnings, unclip_error *err) {
    static const char *const gelu[] = { "gelu" };
    uc_json j;
    if (uc_json_open(&j, path, 0, warnings, err)) return j.status;
    uc_json_class(&j, "AutoregressivePrior");
    c->embedding_dim = uc_json_int(&j, "embedding_dim", UC_JSON_REQUIRED, 1, MOST);
    c->text_width = uc_json_int(&j, "text_hidden_size", UC_JSON_REQUIRED, 1, MOST);
    c->text_projection = uc_json_int(&j, "text_projection_dim", UC_JSON_REQUIRED, 1, MOST);
    c->text_tokens = uc_json_int(&j, "num_text_tokens", UC_JSON_REQUIRED, 2, 4096);
    c->components = uc_json_int(&j, "num_components", UC_JSON_REQUIRED, 2, 4096);
    c->buckets = uc_json_int(&j, "num_buckets", UC_JSON_REQUIRED, 2, MOST_BUCKETS);
    c->dot_buckets = uc_json_int(&j, "num_dot_buckets", UC_JSON_REQUIRED, 2, MOST_BUCKETS);
    c->width = uc_json_int(&j, "hidden_size", UC_JSON_REQUIRED, 1, MOST);
    c->layers = uc_json_int(&j, "num_hidden_layers", UC_JSON_REQUIRED, 1, 256);
    c->heads = uc_json_int(&j, "num_attention_heads", UC_JSON_REQUIRED, 1, MOST);
    c->intermediate = uc_json_int(&j, "intermediate_size", UC_JSON_REQUIRED, 1, MOST);
    uc_json_choice(&j, "hidden_act", 0, gelu, 1);
    c->eps = (float)uc_json_number(&j, "layer_norm_eps", 1e-5, 0, 1);
    if (c->components > c->embedding_dim)
        uc_json_fail(&j, "num_components", "is %lld, expected at most embedding_dim, %lld", (long long)c->components,
                     (long long)c->embedding_dim);
    if (c->width % (c->heads > 0 ? c->heads : 1))
        uc_json_fail(&j, "num_attention_heads", "is %lld, which does not divide hidden_size, %lld",
                     (long long)c->heads, (long long)c->width);
    return uc_json_finish(&j);
}
