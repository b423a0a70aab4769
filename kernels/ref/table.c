/* table.c - finds the reference kernel of an operation. Serves every arrow of the flow: the ref backend runs whole
 * pictures with these, and run mode checked compares each operation of another backend with them. */
#include "ref.h"

uc_kernel uc_ref_kernel(uc_op_kind kind) {
    static const uc_kernel table[UC_OP_COUNT] = {
#define UC_OP(name, inputs, atol, rtol, what) [UC_OP_##name] = uc_ref_##name,
#include "../ops.def"
#undef UC_OP
    };
    return kind > UC_OP_NONE && kind < UC_OP_COUNT ? table[kind] : NULL;
}
