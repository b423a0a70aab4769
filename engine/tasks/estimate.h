/* estimate.h - what a road would cost: its graphs are planned, and nothing is run. */
#ifndef UC_TASKS_ESTIMATE_H
#define UC_TASKS_ESTIMATE_H

#include "request.h"

/* Both fill parts of an estimate that was reset. */

/* The text encoder and the stages of a launch of request->batch images. */
unclip_status uc_generate_estimate(const uc_session *session, const uc_request *request, unclip_estimate *estimate,
                                   unclip_error *err);

/* The image encoder's run on one picture. */
unclip_status uc_image_estimate(const uc_session *session, unclip_estimate *estimate, unclip_error *err);

#endif
