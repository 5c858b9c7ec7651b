import errno

INTERRUPTED = 130
"""Exit status after Ctrl-C."""

PREEMPTED = 75
"""Exit status of a run that was asked to make room and saved where it stands (EX_TEMPFAIL: try again)."""


class Eeg2SpeechError(Exception):
    """Something a user can put right: one line that says what is wrong, where, the value, and what to do."""


class ConfigError(Eeg2SpeechError):
    """A setting that does not fit the others or the data."""


class DataError(Eeg2SpeechError):
    """A file or folder that does not hold what its format promises."""


class DiskError(DataError):
    """A disk that is full or cannot be written: nothing that follows could be kept either."""


_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
_PLACE = {
    errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP,
}  # fmt: skip


def of_disk(error: OSError) -> DataError | None:
    """What a user can put right about a file, a folder or a disk; None for other errors of the system."""
    if error.errno not in _DISK | _PLACE:
        return None
    said = f"{error.filename or 'a file cannot be written'}: {error.strerror}"
    return DiskError(said) if error.errno in _DISK else DataError(said)
