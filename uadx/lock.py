"""One writer for each output folder: a lock of the operating system, which ends with its process, kill -9 included."""

from __future__ import annotations

import sys
from typing import BinaryIO

if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 40
    """Behind all content: a byte that is locked on Windows cannot be read by others."""

    def try_lock(file: BinaryIO) -> bool:
        """Lock an open file until it is closed; False where another process, or another handle, has it."""
        at = file.tell()
        file.seek(_FAR)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        finally:
            file.seek(at)
        return True

else:
    import errno
    import fcntl

    _NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP})

    def try_lock(file: BinaryIO) -> bool:
        """Lock an open file until it is closed; False where another process, or another handle, has it."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:  # a file system that knows none is no reason not to write to it
                raise
        return True
