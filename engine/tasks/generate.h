/* generate.h - the main road: prompts -> pictures. */
#ifndef UC_TASKS_GENERATE_H
#define UC_TASKS_GENERATE_H

#include "request.h"

/* Runs a checked request. Pictures go to the options' on_image with parameters_json NULL. */
unclip_status uc_generate(const uc_session *session, const uc_request *request, unclip_error *err);

#endif
