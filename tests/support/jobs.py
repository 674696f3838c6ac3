"""Jobs for processes of their own, which must find them by name."""

import os
import signal

from pretrain.errors import DensebenchError


def times(factor, number):
    return factor * number, os.getpid()


def refuse(number):
    if number == 3:
        raise DensebenchError("3 is no number.", "Take 4.")
    return number


def die(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
