/* tuning.h - which implementation a convolution or a linear layer of any stage has on the CPU, where several give the
 * same precision: choices that `unclip-bench tune` measured once, kept in a file and obeyed by runs that are given it.
 *
 * A choice is keyed by the processor (its name and instructions), oneDNN's version, and the operation with the sizes of
 * one picture. Neither the batch nor the number of threads takes part, since implementations round differently and a
 * picture must have the same bytes whatever both are. Only f32 has choices. Nothing is ever timed here. */
#ifndef UC_HOST_TUNING_H
#define UC_HOST_TUNING_H

#include "../kernels/cpu/cpu.h"

/* The implementations. DEFAULT: the backend's own rule (kernels/cpu/winograd.h, onednn.h). */
typedef enum uc_way { UC_WAY_DEFAULT, UC_WAY_DIRECT, UC_WAY_WINOGRAD, UC_WAY_ONEDNN, UC_WAY_COUNT } uc_way;

const char *uc_way_name(uc_way way); /* "default", "direct", "winograd", "onednn" */

typedef struct uc_tuning_machine {
    char cpu[UC_CPU_TEXT], instructions[UC_CPU_TEXT];
    char onednn[24]; /* "2.6.3", or "none" */
} uc_tuning_machine;

void uc_tuning_this_machine(uc_tuning_machine *machine);

/* x: channels, height and width of a convolution's input, or rows of a matmul's, then zeros. */
typedef struct uc_tuning_key {
    uc_op_kind kind;
    uc_dtype weight_type;
    int64_t x[3], weight[4], stride, pad;
} uc_tuning_key;

/* The key of a launch (its data is not read); false when there is nothing to choose. */
bool uc_tuning_key_of(uc_tuning_key *key, const uc_launch *launch);

typedef struct uc_tuning_entry {
    uc_tuning_key key;
    uc_way way;
    double seconds[UC_WAY_COUNT]; /* that were measured, to be read by people; 0 = not measured */
} uc_tuning_entry;

typedef struct uc_tuning {
    uc_tuning_entry *entries;
    size_t count, capacity;
    size_t foreign; /* entries of the file that belong to other machines, and were left out */
} uc_tuning;

/* Adds or replaces the entry of its key. */
unclip_status uc_tuning_set(uc_tuning *tuning, const uc_tuning_entry *entry, unclip_error *err);

/* What the table says of this launch: DEFAULT when it says nothing. tuning may be NULL. */
uc_way uc_tuning_find(const uc_tuning *tuning, const uc_launch *launch);

/* Reads the entries of this machine. UNCLIP_ERR_MODEL_MISSING when there is no such file, UNCLIP_ERR_MODEL_DATA when
 * any part of it, other machines' entries included, is not as uc_tuning_write writes it. */
unclip_status uc_tuning_load(uc_tuning **tuning, const char *path, unclip_error *err);

/* Puts the entries beside what the file already has, in place of this machine's with the same keys. The file is
 * replaced as a whole. */
unclip_status uc_tuning_write(const uc_tuning *tuning, const char *path, unclip_error *err);

void uc_tuning_free(uc_tuning *tuning); /* NULL is allowed */

/* What is to be said of entries that were left out: false when there are none. */
enum { UC_TUNING_NOTICE = 400 };
bool uc_tuning_notice(const uc_tuning *tuning, const char *path, char out[UC_TUNING_NOTICE]);

#endif
