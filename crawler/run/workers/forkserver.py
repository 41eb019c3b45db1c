"""A process that has imported what a worker needs, and is forked for each: that takes 10 ms in place of 300.

It has one thread and no reactor, so that a fork of it is safe; its parent, which has both, executes it. It ends as soon
as its parent is gone. Linux only: see `starting`.
"""

from __future__ import annotations

import os
import signal
import socket
import traceback
from contextlib import suppress
from typing import Final

from crawler.run.workers.worker import main

NAME: Final = "crawler-worker"
_ALIVE: Final = b"alive"


def serve(descriptor: int) -> None:
    """Do what comes through this socket: each message with a descriptor is a worker to be started with that.

    The others are b"look N" and b"kill N", of which N counts the workers from 0; their answer is b"alive", b"ended"
    and the status as `Popen.returncode`, or b"failed" and the errno with which it could not be started.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    workers: list[bytes | int] = []
    with socket.socket(fileno=descriptor) as control, suppress(ConnectionError):
        while True:
            message, descriptors, _, _ = socket.recv_fds(control, 64, 1)
            if descriptors:
                workers.append(_start(control, descriptors[0]))
            elif message:
                verb, _, number = message.partition(b" ")
                workers[int(number)] = state = _state(workers[int(number)], kill=verb == b"kill")
                control.send(state if isinstance(state, bytes) else _ALIVE)
            else:
                return


def _start(control: socket.socket, descriptor: int) -> bytes | int:
    try:
        pid = os.fork()
    except OSError as error:
        os.close(descriptor)
        return b"failed %d" % (error.errno or 0)
    if pid:
        os.close(descriptor)
        return pid
    status = 1
    try:
        control.close()
        with suppress(OSError):
            name = os.open("/proc/self/comm", os.O_WRONLY)
            os.write(name, NAME.encode())
            os.close(name)
        main(descriptor)
        status = 0
    except BaseException:  # nobody is left who could be told: it is for standard error
        traceback.print_exc()
    finally:
        os._exit(status)


def _state(worker: bytes | int, *, kill: bool) -> bytes | int:
    if isinstance(worker, bytes):
        return worker
    if kill:
        os.kill(worker, signal.SIGKILL)  # it is ours until we have waited for it: no other can have its number
    pid, status = os.waitpid(worker, 0 if kill else os.WNOHANG)
    return b"ended %d" % os.waitstatus_to_exitcode(status) if pid else worker
