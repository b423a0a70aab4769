/* describe.h - what a model is and which devices there are, as JSON. */
#ifndef UC_HOST_DESCRIBE_H
#define UC_HOST_DESCRIBE_H

#include "loaded_model.h"

/* See unclip_engine_describe and unclip_devices. Released with free; NULL when out of memory. */
char *uc_describe_model(const uc_loaded_model *loaded, uint64_t hash);
char *uc_describe_devices(void);

#endif
