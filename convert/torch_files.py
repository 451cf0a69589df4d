"""Files of `torch.save`: zip archives, the legacy sequence of pickles, and the legacy files nested in other pickles.

All sizes are held against the file's; what is read are views of it.
"""

from __future__ import annotations

import dataclasses
import re
import struct
import sys
import zlib
from typing import Any

from convert.budget import Budget
from convert.nodes import Buffer, CheckpointError, Dict, List, Storage, Symbol, shown
from convert.unpickle import load

if sys.byteorder != "little":
    # Legacy storages are viewed as they lie in the file.
    raise ImportError("convert reads its files on little-endian machines only")

__all__ = ["is_legacy", "load_legacy", "load_nested", "load_zip"]

_MAGIC = 0x1950A86A20F9469CFC6C
_START = re.compile(rb"\x80[\x02-\x05](\x95.{8})?\x8a\x0a" + re.escape(_MAGIC.to_bytes(10, "little")), re.DOTALL)
_PROTOCOL = 1001
_MAX_MEMBERS = 20_000
_MAX_NAME = 256
_AGAIN = "download the file again"
_SAVE_AGAIN = "save it again with torch.save"
_DISTRUST = "torch.save never writes this, do not trust the file"


class _Storages:
    """The storages of one file by their keys."""

    def __init__(self) -> None:
        self.by_key: dict[str, Storage] = {}

    def __call__(self, identity: Any) -> Any:
        """The storage, or for anything else that may stand there the type's name, that a persistent id means."""
        if type(identity) is tuple and len(identity) == 4 and type(identity[0]) is str and identity[0] == "module":
            # Whole modules carry their source, which is dropped unseen.
            return identity[1]
        if type(identity) is not tuple or len(identity) not in (5, 6) or type(identity[0]) is not str:
            raise CheckpointError(f"a persistent id that is no storage; {_DISTRUST}")
        tag, kind, key, _, numel, view = (*identity, None)[:6]
        if tag != "storage" or type(kind) is not Symbol or type(key) is not str or type(numel) is not int:
            raise CheckpointError(f"a persistent id that is no storage; {_DISTRUST}")
        if view is not None:
            raise CheckpointError(f"storage '{shown(key)}' is a window on another; {_SAVE_AGAIN}")
        if not 0 <= numel <= 2**40:
            raise CheckpointError(f"storage '{shown(key)}' of an impossible size; {_DISTRUST}")
        storage = self.by_key.get(key)
        if storage is None:
            storage = self.by_key[key] = Storage(kind, key, numel)
        elif storage.numel != numel or storage.type != str(kind):
            raise CheckpointError(f"storage '{shown(key)}' is named with two sizes or types; {_DISTRUST}")
        return storage


# --- legacy -----------------------------------------------------------------------------------------------------------


def is_legacy(data: Buffer) -> bool:
    """Whether the file begins with a pickle of torch's magic number."""
    return _START.match(bytes(data[:32])) is not None


def load_legacy(data: Buffer, budget: Budget) -> Any:
    """The object of a legacy file; its storages are views of `data`.

    Raises:
        CheckpointError: damaged or hostile.
    """
    return _legacy(data, budget, nested=False)


def load_nested(data: Buffer, budget: Budget) -> Any:
    """The storage that a legacy file in another pickle's bytes holds, as `torch.storage._load_from_bytes` gives it.

    Raises:
        CheckpointError: damaged or hostile.
    """
    return _legacy(data, budget, nested=True)


def _legacy(data: Buffer, budget: Budget, *, nested: bool) -> Any:
    storages = _Storages()
    at = 0
    values: list[Any] = []
    for _ in range(3):
        value, at = load(data, at, budget)
        values.append(value)
    magic, protocol, system = values
    if type(magic) is not int or magic != _MAGIC or type(protocol) is not int or protocol != _PROTOCOL:
        raise CheckpointError(f"a torch file without its magic number or of another protocol; {_SAVE_AGAIN}")
    if type(system) is not Dict or system.items.get("little_endian") is not True:
        raise CheckpointError(f"a torch file of a big-endian machine; {_SAVE_AGAIN} on a little-endian one")

    def inner(raw: Buffer) -> Any:
        return load_nested(raw, budget)

    value, at = load(data, at, budget, persistent=storages, nested=None if nested else inner)
    keys, at = load(data, at, budget)
    if type(keys) is not List or any(type(key) is not str for key in keys.items):
        raise CheckpointError(f"a torch file without the list of its storages; {_AGAIN}")
    view = memoryview(data)
    for key in keys.items:
        storage = storages.by_key.get(key)
        if storage is None or storage.data is not None:
            raise CheckpointError(f"storage '{shown(key)}' stands in the file twice, or unused; {_DISTRUST}")
        if at + 8 > len(view):
            raise CheckpointError(f"storage '{shown(key)}' is missing at byte {at}; {_AGAIN}")
        (count,) = struct.unpack("<q", view[at : at + 8])
        at += 8
        if count != storage.numel:
            raise CheckpointError(
                f"storage '{shown(key)}' is named with {storage.numel} elements and stored with {count}; {_DISTRUST}"
            )
        if storage.itemsize is None:
            raise CheckpointError(f"storage '{shown(key)}' is of the unknown type {storage.type}; {_SAVE_AGAIN}")
        size = count * storage.itemsize
        if size > len(view) - at:
            raise CheckpointError(
                f"storage '{shown(key)}' at byte {at} needs {size} bytes, {len(view) - at} are left; {_AGAIN}"
            )
        storage.data = view[at : at + size]
        at += size
    return value


# --- zip --------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Member:
    name: str
    header: int
    size: int
    checksum: int


def load_zip(data: Buffer, budget: Budget) -> Any:
    """The object of a zip archive of `torch.save`; its storages are views of `data`.

    Raises:
        CheckpointError: damaged or hostile, or another kind of archive.
    """
    members = _zip_members(data)
    roots = [name.partition("/")[0] for name in members if name.partition("/")[2] == "data.pkl"]
    if len(roots) != 1:
        raise CheckpointError(f"a zip archive with {len(roots)} data.pkl, expected one; unpack it, or {_SAVE_AGAIN}")
    root = roots[0]
    if f"{root}/constants.pkl" in members or any(name.startswith(f"{root}/code/") for name in members):
        raise CheckpointError("a TorchScript program; save its state_dict() with torch.save instead")
    order = bytes(members.get(f"{root}/byteorder", b"little")[:8])
    if order not in (b"little", b"big"):
        raise CheckpointError(f"byteorder says {shown(ascii(order))}, expected little or big; {_AGAIN}")
    storages = _Storages()
    value, _ = load(
        members[f"{root}/data.pkl"], 0, budget, persistent=storages, nested=lambda raw: load_nested(raw, budget)
    )
    for key, storage in storages.by_key.items():
        part = members.get(f"{root}/data/{key}")
        if part is None:
            raise CheckpointError(f"the archive lacks storage '{shown(key)}'; {_AGAIN}")
        if storage.itemsize is not None and len(part) != storage.numel * storage.itemsize:
            raise CheckpointError(
                f"storage '{shown(key)}' needs {storage.numel * storage.itemsize} bytes, the archive has {len(part)}; "
                f"{_AGAIN}"
            )
        storage.data = part
        storage.order = ">" if order == b"big" else "<"
    return value


def _zip_members(data: Buffer) -> dict[str, memoryview]:
    """The members of a zip archive that holds them as they are, by name, as views.

    Raises:
        CheckpointError: damaged, by a member's checksum or otherwise, or compressed, encrypted, duplicate or
            overlapping members, two headers that disagree, or names that are not plain relative paths.
    """
    view = memoryview(data)
    directory, count, start = _directory(view)
    members: list[_Member] = []
    at = 0
    for _ in range(count):
        if at + 46 > len(directory) or bytes(directory[at : at + 4]) != b"PK\x01\x02":
            raise CheckpointError(f"the archive's directory is damaged; {_AGAIN}")
        flags, method, *_ = struct.unpack("<HH", directory[at + 8 : at + 12])
        checksum, packed, size, name_size, extra_size, comment_size = struct.unpack(
            "<IIIHHH", directory[at + 16 : at + 34]
        )
        (header,) = struct.unpack("<I", directory[at + 42 : at + 46])
        end = at + 46 + name_size + extra_size + comment_size
        if end > len(directory):
            raise CheckpointError(f"the archive's directory is damaged; {_AGAIN}")
        name = _checked_name(bytes(directory[at + 46 : at + 46 + name_size]))
        extra = directory[at + 46 + name_size : at + 46 + name_size + extra_size]
        size, packed, header = _wide(extra, size, packed, header)
        if method != 0 or flags & 1 or packed != size:
            raise CheckpointError(
                f"the archive's member '{shown(name)}' is compressed or encrypted; {_SAVE_AGAIN}, or unpack it"
            )
        members.append(_Member(name, header, size, checksum))
        at = end
    if at != len(directory):
        raise CheckpointError(f"the archive's directory is damaged; {_AGAIN}")
    found: dict[str, memoryview] = {}
    free = 0
    for member in sorted(members, key=lambda member: member.header):
        if member.name in found:
            raise CheckpointError(f"the archive has two members '{shown(member.name)}'; {_DISTRUST}")
        if member.header < free:
            raise CheckpointError(f"the archive's member '{shown(member.name)}' overlaps another; {_DISTRUST}")
        begin = _checked_header(view, member, start)
        free = begin + member.size
        if free > start:
            raise CheckpointError(
                f"the archive's member '{shown(member.name)}' of {member.size} bytes leaves the file; {_AGAIN}"
            )
        found[member.name] = view[begin:free]
    _check_sums(members, found)
    return found


def _check_sums(members: list[_Member], found: dict[str, memoryview]) -> None:
    for member in members:
        if zlib.crc32(found[member.name]) != member.checksum:
            raise CheckpointError(
                f"the archive's member '{shown(member.name)}' is damaged (another checksum); {_AGAIN}, or {_SAVE_AGAIN}"
            )


def _directory(view: memoryview) -> tuple[memoryview, int, int]:
    """The central directory, how many members it claims, and where it begins."""
    tail = bytes(view[max(0, len(view) - 65557) :])
    found = tail.rfind(b"PK\x05\x06")
    if found < 0 or found + 22 > len(tail):
        raise CheckpointError(f"a zip archive without its directory, it breaks off; {_AGAIN}")
    end = len(view) - len(tail) + found
    disk, first_disk, here, count, size, start, comment = struct.unpack("<HHHHIIH", tail[found + 4 : found + 22])
    if end + 22 + comment != len(view):
        raise CheckpointError(f"bytes behind the archive's directory; {_AGAIN}")
    if 0xFFFF in (here, count) or 0xFFFFFFFF in (size, start):
        at = end - 20
        if at < 0 or bytes(view[at : at + 4]) != b"PK\x06\x07":
            raise CheckpointError(f"the archive's directory is damaged; {_AGAIN}")
        wide = struct.unpack("<Q", view[at + 8 : at + 16])[0]
        if wide + 56 > at or bytes(view[wide : wide + 4]) != b"PK\x06\x06":
            raise CheckpointError(f"the archive's directory is damaged; {_AGAIN}")
        disk, first_disk, here, count, size, start = struct.unpack("<IIQQQQ", view[wide + 16 : wide + 56])
        end = wide
    if disk or first_disk or here != count or start + size > end:
        raise CheckpointError(f"the archive's directory is damaged, or one of several disks; {_AGAIN}")
    if count > _MAX_MEMBERS:
        raise CheckpointError(f"an archive of {count} members, expected at most {_MAX_MEMBERS}; {_DISTRUST}")
    return view[start : start + size], count, start


def _wide(extra: memoryview, size: int, packed: int, header: int) -> tuple[int, int, int]:
    """The 64-bit sizes and offset where the directory's 32-bit ones are full."""
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack("<HH", extra[at : at + 4])
        field = extra[at + 4 : at + 4 + length]
        if tag == 1:
            wide = [part[0] for part in struct.iter_unpack("<Q", field[: len(field) // 8 * 8])]
            full = [size == 0xFFFFFFFF, packed == 0xFFFFFFFF, header == 0xFFFFFFFF]
            if sum(full) > len(wide):
                raise CheckpointError(f"the archive's directory is damaged; {_AGAIN}")
            values = iter(wide)
            size, packed, header = (
                next(values) if is_full else value for value, is_full in zip((size, packed, header), full, strict=True)
            )
            break
        at += 4 + length
    return size, packed, header


def _checked_name(raw: bytes) -> str:
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        name = ""
    parts = name.split("/")
    if parts[-1] == "" and len(parts) > 1:
        parts.pop()  # a folder
    if len(raw) > _MAX_NAME or any(part in ("", ".", "..") for part in parts) or not name.isprintable() or "\\" in name:
        raise CheckpointError(f"the archive's member {shown(ascii(raw)[1:])} has no plain name; {_DISTRUST}")
    return name


def _checked_header(view: memoryview, member: _Member, end: int) -> int:
    """Where the member's bytes begin; its own header must say what the directory says."""
    at = member.header
    wrong = f"the archive's member '{shown(member.name)}' has two headers that disagree; {_DISTRUST}"
    if at + 30 > end or bytes(view[at : at + 4]) != b"PK\x03\x04":
        raise CheckpointError(wrong)
    flags, method = struct.unpack("<HH", view[at + 6 : at + 10])
    packed, size, name_size, extra_size = struct.unpack("<IIHH", view[at + 18 : at + 30])
    begin = at + 30 + name_size + extra_size
    if begin > end or method != 0 or flags & 1 or bytes(view[at + 30 : at + 30 + name_size]) != member.name.encode():
        raise CheckpointError(wrong)
    size, packed, _ = _wide(view[at + 30 + name_size : begin], size, packed, 0)
    # With bit 3 the sizes may follow the data; torch writes zeros then.
    if not (flags & 8 and size == packed == 0) and not size == packed == member.size:
        raise CheckpointError(wrong)
    return begin
