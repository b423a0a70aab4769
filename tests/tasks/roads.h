/* roads.h - every public function that draws, behind one signature: what holds for all of them is tested over this list. */
#ifndef UC_TESTS_ROADS_H
#define UC_TESTS_ROADS_H

#include "engine/unclip.h"

#define ROADS_MODEL UC_TEST_DATA "/goldens/models/tiny-a" /* draws 16 and 64 */
#define ROADS_PICTURE UC_TEST_DATA "/goldens/images/wide-rgb.png"

/* Draws what base asks for; prompts, where a road takes any, are base's. pairs: two. */
typedef struct road {
    const char *name;
    unclip_status (*draw)(unclip_engine *engine, const unclip_pair *pairs, const unclip_generate_options *base,
                          unclip_error *err);
    size_t pictures; /* when base asks for 3 of one prompt */
    unclip_stage first;
} road;

extern const road roads[];
extern const size_t road_count;

#endif
