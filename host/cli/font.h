/* font.h - letters for contact sheets: 5 x 7 dots in a box of 6 x 8, ASCII only. */
#ifndef CLI_FONT_H
#define CLI_FONT_H

#include <stdbool.h>
#include <stdint.h>

enum { CLI_FONT_WIDTH = 6, CLI_FONT_HEIGHT = 8 };

/* Is dot (x, y) of the box set? Characters outside ASCII's printable ones look like '?'. */
bool cli_font_dot(unsigned char character, int x, int y);

#endif
