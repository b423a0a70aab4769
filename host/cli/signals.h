/* signals.h - Ctrl-C and SIGTERM ask the run to stop after the current step; a second one ends the program at once. */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

void cli_signals_install(void);

/* The signal that asked, or 0. */
int cli_signal_received(void);

#endif
