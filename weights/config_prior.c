/* config_prior.c - prior and text_proj: the arrows CLIP text -> prior -> image embedding -> decoder's context. Defaults are
 * those of diffusers' PriorTransformer and UnCLIPTextProjModel. */
#include "config_read.h"

#include <string.h>

enum { MOST = 1 << 20 };

void uc_json_class(uc_json *j, const char *expected) { uc_json_only_string(j, "_class_name", expected); }

unclip_status uc_read_prior(const char *path, uc_prior_config *c, uc_warnings *warnings, unclip_error *err) {
    static const char *const ignored[] = { "dropout" };
    uc_json j;
    if (uc_json_open(&j, path, 0, warnings, err)) return j.status;
    uc_json_class(&j, "PriorTransformer");
    c->heads = uc_json_int(&j, "num_attention_heads", 32, 1, MOST);
    c->head_dim = uc_json_int(&j, "attention_head_dim", 64, 1, MOST);
    c->layers = uc_json_int(&j, "num_layers", 20, 1, 1000);
    c->embedding_dim = uc_json_int(&j, "embedding_dim", 768, 1, MOST);
    c->num_embeddings = uc_json_int(&j, "num_embeddings", 77, 2, 4096);
    c->additional_embeddings = uc_json_int(&j, "additional_embeddings", 4, 0, 4096);
    c->time_embed_dim = uc_json_int_or_null(&j, "time_embed_dim", c->heads * c->head_dim, 1, MOST);
    c->embedding_proj_dim = uc_json_int_or_null(&j, "embedding_proj_dim", c->embedding_dim, 1, MOST);
    c->clip_embed_dim = uc_json_int_or_null(&j, "clip_embed_dim", c->embedding_dim, 1, MOST);
    uc_json_only_string(&j, "time_embed_act_fn", "silu");
    uc_json_only_null(&j, "norm_in_type");
    uc_json_only_null(&j, "embedding_proj_norm_type");
    static const char *const linear[] = { "linear" }, *const prd[] = { "prd" };
    uc_json_choice(&j, "encoder_hid_proj_type", 0, linear, 1);
    uc_json_choice(&j, "added_emb_type", 0, prd, 1);
    uc_json_ignore(&j, ignored, sizeof ignored / sizeof *ignored);
    if (c->additional_embeddings != 4)
        uc_json_fail(&j, "additional_embeddings", "is %lld, only 4 is supported", (long long)c->additional_embeddings);
    if (c->heads * c->head_dim > MOST)
        uc_json_fail(&j, "attention_head_dim", "is %lld, with %lld heads the width is more than %d",
                     (long long)c->head_dim, (long long)c->heads, MOST);
    if (c->clip_embed_dim != c->embedding_dim)
        uc_json_fail(&j, "clip_embed_dim", "is %lld, only embedding_dim, %lld, is supported",
                     (long long)c->clip_embed_dim, (long long)c->embedding_dim);
    return uc_json_finish(&j);
}

unclip_status uc_read_text_proj(const char *path, uc_text_proj_config *c, uc_warnings *warnings, unclip_error *err) {
    uc_json j;
    if (uc_json_open(&j, path, 0, warnings, err)) return j.status;
    uc_json_class(&j, "UnCLIPTextProjModel");
    c->clip_dim = uc_json_int(&j, "clip_embeddings_dim", 768, 1, MOST);
    c->extra_tokens = uc_json_int(&j, "clip_extra_context_tokens", 4, 1, 4096);
    c->cross_dim = uc_json_int(&j, "cross_attention_dim", UC_JSON_REQUIRED, 1, MOST);
    c->time_dim = uc_json_int(&j, "time_embed_dim", UC_JSON_REQUIRED, 1, MOST);
    return uc_json_finish(&j);
}
