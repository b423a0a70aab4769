/* png_chunk.h - the frame of a PNG file, for the readers and writers of its text (the two ends of the flow): signature,
 * then chunks of a length, a type of four letters, data and a checksum. */
#ifndef UC_HOST_PNG_CHUNK_H
#define UC_HOST_PNG_CHUNK_H

#include <stddef.h>
#include <stdint.h>

enum { UC_PNG_SIGNATURE = 8, UC_PNG_CHUNK_FRAME = 12 };

extern const uint8_t uc_png_signature[UC_PNG_SIGNATURE];

uint32_t uc_png_crc(const uint8_t *bytes, size_t count); /* of type and data */
uint32_t uc_png_get32(const uint8_t *bytes);
void uc_png_put32(uint8_t *bytes, uint32_t value);

#endif
