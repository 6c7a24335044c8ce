"""A system call filter for a process that must not reach out: connect(), datagrams, and what else would send to an address end it (SIGSYS).

Needs no privilege. Installed between fork and exec, so the program has it from its first instruction to its last, in every thread.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct

# connect, socket, sendto, sendmsg, sendmmsg, io_uring_setup; and the machine's own number in seccomp_data.
CALLS = {"x86_64": ((42, 41, 44, 46, 307, 425), 0xC000003E), "aarch64": ((203, 198, 206, 211, 269, 425), 0xC00000B7)}
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, FILTER = 38, 22, 2
ALLOW, KILL = 0x7FFF0000, 0x80000000
LOAD, EQUAL, ANY_BIT, AND, RETURN = 0x20, 0x15, 0x45, 0x54, 0x06  # of classic BPF, on 32-bit words
AF_INET, AF_INET6, SOCK_STREAM, MSG_FASTOPEN = 2, 10, 1, 0x20000000


def argument(number: int, high: bool = False) -> int:
    return 16 + 8 * number + 4 * high


def program() -> list[tuple[int, int, int, int]]:
    """(code, jump if true, jump if false, operand); `n` jumps skip so many instructions."""
    (connect, open_socket, sendto, sendmsg, sendmmsg, io_uring), machine = CALLS[platform.machine()]
    rules = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, machine), (RETURN, 0, 0, KILL), (LOAD, 0, 0, 0)]

    def on(call: int, body: list) -> None:  # every body ends in a RETURN
        rules.extend([(EQUAL, 0, len(body), call), *body])

    on(connect, [(RETURN, 0, 0, KILL)])
    on(io_uring, [(RETURN, 0, 0, KILL)])
    # Of internet sockets streams only: they can send nothing without connect() or accept().
    on(open_socket, [(LOAD, 0, 0, argument(0)), (EQUAL, 1, 0, AF_INET), (EQUAL, 0, 3, AF_INET6), (LOAD, 0, 0, argument(1)), (AND, 0, 0, 0xF),
                     (EQUAL, 0, 1, SOCK_STREAM), (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, KILL)])
    # sendto() with an address; the others with the flag that connects and sends in one.
    on(sendto, [(LOAD, 0, 0, argument(4)), (EQUAL, 0, 3, 0), (LOAD, 0, 0, argument(4, True)), (EQUAL, 0, 1, 0), (RETURN, 0, 0, ALLOW),
                (RETURN, 0, 0, KILL)])
    for call, flags in ((sendmsg, 2), (sendmmsg, 3)):
        on(call, [(LOAD, 0, 0, argument(flags)), (ANY_BIT, 1, 0, MSG_FASTOPEN), (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, KILL)])
    return [*rules, (RETURN, 0, 0, ALLOW)]


def forbid() -> None:
    """For this process and all it becomes or starts."""
    code = program()
    code_bytes = b"".join(struct.pack("HBBI", *instruction) for instruction in code)
    buffer = ctypes.create_string_buffer(code_bytes)
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code), ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, FILTER, ctypes.addressof(header), 0, 0)):
        if libc.prctl(*(ctypes.c_ulong(a) for a in arguments)) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
