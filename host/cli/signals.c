/* signals.c - how the flow is stopped from outside without leaving half a file. */
#include "signals.h"

#include <signal.h>
#include <string.h>

static volatile sig_atomic_t received;

static void note(int number) { received = number; }

void cli_signals_install(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = note;
    /* The default comes back with the first signal, so the second one kills. */
    action.sa_flags = (int)SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int cli_signal_received(void) { return received; }
