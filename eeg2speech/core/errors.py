import errno

INTERRUPTED = 130
"""Exit status after Ctrl-C."""

PREEMPTED = 75
"""Exit status of a run that was pre-empted and has saved a checkpoint (EX_TEMPFAIL: try again)."""


class Eeg2SpeechError(Exception):
    """An error that a user can correct: one line with the file or key, the value, and what to do."""


class ConfigError(Eeg2SpeechError):
    """A setting that is out of its range, or does not fit other settings or the data."""


class DataError(Eeg2SpeechError):
    """A file or folder that is missing, damaged or in another format."""


class DiskError(DataError):
    """A disk that is full or cannot be written, so that the command has to end."""


_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
_PLACE = {
    errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP,
}  # fmt: skip


def of_disk(error: OSError) -> DataError | None:
    """An error of the system as one that a user can correct; None if it does not concern a file, folder or disk."""
    if error.errno not in _DISK | _PLACE:
        return None
    text = f"{error.filename or 'a file cannot be written'}: {error.strerror}"
    return DiskError(text) if error.errno in _DISK else DataError(text)
