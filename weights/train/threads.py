"""Training on a machine that others use: one thread fewer while somebody else computes.

A parallel region waits for its slowest thread, so a training with as many threads as cores stands almost still while
one of them is taken by a process of higher priority. Between steps the load of everybody else is read from /proc.
"""
import os
import time

import torch

BUSY_CORES = 0.4           # more than this is computed by others: one thread less
WINDOW_SECONDS = 1.0


class PoliteThreads:
    def __init__(self, threads):
        self.most = threads
        self.known = os.path.exists("/proc/stat")
        self.last = self._read() if self.known else None
        torch.set_num_threads(threads)

    @staticmethod
    def _read():
        """Wall time, busy time of the machine and of this process, in seconds."""
        with open("/proc/stat") as stat:
            fields = [int(field) for field in stat.readline().split()[1:9]]
        busy = sum(fields) - fields[3] - fields[4]
        return time.monotonic(), busy / os.sysconf("SC_CLK_TCK"), time.process_time()

    def adjust(self):
        if not self.known or self.most < 2:
            return
        now = self._read()
        wall = now[0] - self.last[0]
        if wall < WINDOW_SECONDS:
            return
        others = (now[1] - self.last[1] - (now[2] - self.last[2])) / wall
        self.last = now
        fewer = min(self.most - 1, round(others - BUSY_CORES + 0.5)) if others > BUSY_CORES else 0
        torch.set_num_threads(self.most - fewer)
