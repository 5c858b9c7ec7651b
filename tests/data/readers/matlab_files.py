"""Writes MATLAB files of version 5 and 7.3 from one description.

Dictionaries become structures, ``StructArray`` structure arrays, lists cells, and text characters.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io

VERSIONS = ("5", "7.3")


@dataclass
class StructArray:
    """A structure array with one row per dictionary."""

    rows: list[dict[str, Any]]


def write_mat(file: Path, variables: dict[str, Any], version: str = "5", compressed: bool = True) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    if version == "5":
        scipy.io.savemat(file, {name: _v5(value) for name, value in variables.items()}, do_compression=compressed)
        return file
    with h5py.File(file, "w", userblock_size=512) as stream:
        refs = stream.create_group("#refs#")
        for name, value in variables.items():
            _v73(stream, refs, name, value)
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Thu Jan  1 00:00:00 2026 HDF5 schema 1.00 ."
    with file.open("r+b") as raw:
        raw.write(header.ljust(116, b" ") + bytes(8) + b"\x00\x02IM")
    return file


def matlab_object(name: str, kind: str) -> bytes:
    """An object of MATLAB's, which only MATLAB reads, as the end of a file of version 5: class 17 and a number."""

    def element(number: int, content: bytes) -> bytes:
        return np.array([number, len(content)], "<u4").tobytes() + content + bytes(-len(content) % 8)

    def array(matlab_class: int, content: bytes) -> bytes:
        return element(14, element(6, np.array([matlab_class, 0], "<u4").tobytes()) + content)

    number = array(13, element(5, np.array([1, 1], "<i4").tobytes()) + element(1, b"") + element(6, b"\1\0\0\0"))
    names = b"".join(element(1, text.encode()) for text in (name, "MCOS", kind))
    return array(17, names + number)


def _v5(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _v5(item) for name, item in value.items()}
    if isinstance(value, StructArray):
        array = np.empty((len(value.rows), 1), [(name, object) for name in value.rows[0]])
        for index, row in enumerate(value.rows):
            array[index, 0] = tuple(_v5(item) for item in row.values())
        return array
    if isinstance(value, list):
        cell = np.empty((len(value), 1), object)
        for index, item in enumerate(value):
            cell[index, 0] = _v5(item)
        return cell
    return value


def _v73(parent: h5py.Group, refs: h5py.Group, name: str, value: Any) -> h5py.Dataset | h5py.Group:
    if isinstance(value, dict | StructArray):
        made = parent.create_group(name)
        made.attrs["MATLAB_class"] = np.bytes_("struct")
        if isinstance(value, dict):
            for key, item in value.items():
                _v73(made, refs, key, item)
        else:
            for key in value.rows[0]:
                _references(made, refs, key, [row[key] for row in value.rows])
        return made
    if isinstance(value, list):
        made = _references(parent, refs, name, value)
        made.attrs["MATLAB_class"] = np.bytes_("cell")
        return made
    if isinstance(value, str):
        codes = np.array([[ord(letter)] for letter in value], np.uint16)
        made = parent.create_dataset(name, data=codes)
        made.attrs["MATLAB_class"] = np.bytes_("char")
        made.attrs["MATLAB_int_decode"] = np.int32(2)
        return made
    array = np.atleast_2d(np.asarray(value))
    kind = {"f": "double", "u": "uint8", "i": "int32"}[array.dtype.kind] if array.dtype != np.float32 else "single"
    if array.size == 0:
        made = parent.create_dataset(name, data=np.array(array.shape, np.uint64))
        made.attrs["MATLAB_empty"] = np.uint8(1)
    else:
        made = parent.create_dataset(name, data=array.T)  # MATLAB stores columns first
    made.attrs["MATLAB_class"] = np.bytes_(kind)
    return made


def _references(parent: h5py.Group, refs: h5py.Group, name: str, items: list[Any]) -> h5py.Dataset:
    made = [_v73(refs, refs, f"r{len(refs)}x{index}", item) for index, item in enumerate(items)]
    data = np.array([[item.ref for item in made]], h5py.ref_dtype)
    return parent.create_dataset(name, data=data, dtype=h5py.ref_dtype)
