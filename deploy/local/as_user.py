"""Become an ordinary user, then become the program: `as_user.py UID GID SEARCH PROGRAM [ARG ...]`.

PostgreSQL refuses to run as root. Run as root, Gigz starts it through this file, which keeps the pid and needs nothing
but the standard library. SEARCH 1 leaves the program one right of root's, to pass folders closed to others
(CAP_DAC_OVERRIDE as an ambient capability, capabilities(7)), for a home folder or an environment under /root:
nobody's folders need other modes then. Linux only.
"""

import ctypes
import os
import sys

CAP_DAC_OVERRIDE = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAPABILITY_VERSION_3 = 0x20080522


def main(argv: list[str]) -> None:
    """Never returns: the program takes this process over, or OSError says what the system refused."""
    uid, gid, search = int(argv[0]), int(argv[1]), argv[2] == "1"
    libc = ctypes.CDLL(None, use_errno=True)
    if search:
        check(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "keep capabilities")
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if search:
        bit = 1 << CAP_DAC_OVERRIDE
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
        sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)  # effective, permitted, inheritable; low words first
        check(libc.capset(header, sets), "set capabilities")
        check(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0), "raise the ambient capability")
    os.execv(argv[3], argv[3:])  # noqa: S606 - no shell is the point


def check(result: int, step: str) -> None:
    """OSError when a C call failed."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"cannot {step}: {os.strerror(code)}")


if __name__ == "__main__":
    main(sys.argv[1:])
