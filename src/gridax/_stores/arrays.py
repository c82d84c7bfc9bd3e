"""One array of a store: where its chunks lie, and how they are encoded.

These are arrays of Zarr v3, which any Zarr library reads. gridax reads and writes their chunks
itself; README.md in this folder says why.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import google_crc32c
import numpy as np
from numcodecs.blosc import Blosc
from numcodecs.vlen import VLenUTF8

# Smooth float32 shrinks by a third; noise does not, and higher levels spend three times as long on
# finding that out.
_BLOSC = Blosc("lz4", clevel=1, shuffle=Blosc.SHUFFLE)
# What blosc writes before its data: versions of format and codec, flags, the size of an element,
# then the sizes of the data, of its blocks, and of all that it has written, header included.
_BLOSC_HEADER = struct.Struct("<4BIII")
HEAD = _BLOSC_HEADER.size
# The upper three bits of the flags name the codec: 1 is LZ4, which cannot expand its input more
# than 255 times. Without this check, a small chunk could unpack to gigabytes (zstd in a blosc
# frame, for example).
_LZ4 = 1
# Bytes at the end of every chunk that are a CRC32C checksum of those before.
_CHECKSUM = 4
_STRING_COUNT = struct.Struct("<I")

Number = tuple[int, ...]


class DamagedChunk(Exception):
    """Raised where a chunk is missing or not what was written."""


@dataclasses.dataclass(frozen=True)
class StoredArray:
    """The layout of an array: everything that its ``zarr.json`` says.

    Attributes
    ----------
    key : path of the array in the store.
    shape, chunks : shape of the array and of a chunk.
    dtype : of the elements; NumPy's StringDType for text.
    dims : names of the dimensions.
    attrs : attributes, as JSON has them.
    is_compressed : whether blosc compresses the chunks. Text never is.
    """

    key: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype
    dims: tuple[str, ...] = ()
    attrs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    is_compressed: bool = True

    @classmethod
    def from_metadata(cls, key: str, metadata: Mapping[str, Any]) -> StoredArray:
        """Return the array that a ``zarr.json`` describes.

        Raises
        ------
        ValueError
            If gridax does not write such arrays. What is not known is never decoded: a foreign
            codec could unpack a small chunk to gigabytes.
        """
        name = str(metadata["data_type"])
        is_text = name == "string"
        if not is_text and (np.dtype(name).kind not in "biufc" or np.dtype(name).name != name):
            raise ValueError(f"the array {key!r} has the data type {name!r}")
        array = cls(
            key=key,
            shape=tuple(map(int, metadata["shape"])),
            chunks=tuple(map(int, metadata["chunk_grid"]["configuration"]["chunk_shape"])),
            dtype=np.dtypes.StringDType() if is_text else np.dtype(name),
            dims=tuple(map(str, metadata.get("dimension_names") or ())),
            attrs=metadata["attributes"],
            is_compressed=any(codec["name"] == "blosc" for codec in metadata["codecs"]),
        )
        codecs = [codec["name"] for codec in metadata["codecs"]]
        wanted = [codec["name"] for codec in array.metadata()["codecs"]]
        if codecs != wanted or metadata.get("storage_transformers"):
            raise ValueError(
                f"the array {key!r} is encoded by {', '.join(codecs)}, but gridax writes and reads "
                f"{', '.join(wanted)} only; open it with xarray.open_zarr if you trust it"
            )
        ours = array.metadata()
        for part in ("chunk_grid", "chunk_key_encoding", "zarr_format", "node_type"):
            if metadata[part] != ours[part]:
                raise ValueError(f"the array {key!r} has the {part} {metadata[part]!r}")
        if len(array.shape) != len(array.chunks) or min(array.chunks, default=1) < 1:
            raise ValueError(f"the array {key!r} has chunks that do not fit its shape")
        if array.dims and len(array.dims) != len(array.shape):
            raise ValueError(f"the array {key!r} has dimensions that do not fit its shape")
        return array

    def metadata(self) -> dict[str, Any]:
        """Return the content of the array's ``zarr.json``."""
        itemsize = self.dtype.itemsize
        bytes_codec: dict[str, Any] = {"name": "bytes"}
        if itemsize > 1:
            bytes_codec["configuration"] = {"endian": "little"}
        blosc = {"typesize": itemsize, "cname": "lz4", "clevel": 1, "shuffle": "shuffle"}
        codecs = [bytes_codec, {"name": "blosc", "configuration": {**blosc, "blocksize": 0}}]
        fill: Any = {"f": "NaN", "c": ["NaN", "NaN"], "b": False, "T": ""}.get(self.dtype.kind, 0)
        if self.is_text:
            codecs = [{"name": "vlen-utf8", "configuration": {}}]
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(self.shape),
            "data_type": "string" if self.is_text else self.dtype.name,
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": list(self.chunks)},
            },
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": fill,
            "codecs": [*codecs[: 2 if self.is_compressed else 1], {"name": "crc32c"}],
            "attributes": plain_json(self.attrs),
            **({"dimension_names": list(self.dims)} if self.dims else {}),
            "storage_transformers": [],
        }

    @property
    def is_text(self) -> bool:
        """Whether the elements are strings."""
        return self.dtype.kind == "T"

    @property
    def nbytes(self) -> int:
        """Size of a chunk before compression."""
        return math.prod(self.chunks) * self.dtype.itemsize

    def empty_chunk(self) -> np.ndarray:
        """Return a chunk of the fill value: NaN where the dtype has one, else zeros."""
        fill = {"f": np.nan, "c": complex(np.nan, np.nan), "T": ""}.get(self.dtype.kind, 0)
        return np.full(self.chunks, fill, self.dtype)

    def key_of(self, number: Sequence[int]) -> str:
        """Return the key of a chunk, by its number along each dimension."""
        return "/".join([self.key, "c", *map(str, number)])

    def numbers(self, block: Sequence[int] = ()) -> Iterator[Number]:
        """Yield the numbers of all chunks, or of those of a block.

        Parameters
        ----------
        block : number of the block along each dimension of the grid, which come first.
        """
        pairs = zip(self.shape[len(block) :], self.chunks[len(block) :], strict=True)
        along = [range(math.ceil(n / size)) for n, size in pairs]
        return itertools.product(*([number] for number in block), *along)

    def encode(self, values: np.ndarray) -> bytes:
        """Return a chunk as it is stored; at the end of the array, values may fill a part of it."""
        if values.shape != self.chunks:
            whole = self.empty_chunk()
            whole[tuple(map(slice, values.shape))] = values
            values = whole
        if self.is_text:
            content = bytes(VLenUTF8().encode(values.astype(object).ravel()))
        else:
            values = np.ascontiguousarray(values, self.dtype.newbyteorder("<"))
            content = _BLOSC.encode(values) if self.is_compressed else values.tobytes()
        return with_checksum(content)

    def decode(self, raw: bytes | None) -> np.ndarray:
        """Return the values of a chunk.

        Raises
        ------
        DamagedChunk
            If it is missing, or not what was written.
        """
        if raw is None:
            raise DamagedChunk("a chunk is missing")
        content = raw[:-_CHECKSUM]
        if google_crc32c.value(content) != int.from_bytes(raw[-_CHECKSUM:], "little"):
            raise DamagedChunk("the checksum of a chunk does not match")
        if self.is_text:
            return self._decode_text(content)
        values = np.empty(self.chunks, self.dtype.newbyteorder("<"))
        if self.is_compressed:
            if not self.has_its_size(content[:HEAD], len(raw)):
                raise DamagedChunk("a chunk does not have the size that the store describes")
            try:
                _BLOSC.decode(content, values)
            except (RuntimeError, ValueError) as error:
                raise DamagedChunk(f"a chunk cannot be decompressed ({error})") from error
        elif len(content) != self.nbytes:
            raise DamagedChunk(f"a chunk has {len(content)} bytes, not {self.nbytes}")
        else:
            values[...] = np.frombuffer(content, values.dtype).reshape(self.chunks)
        return values.astype(self.dtype, copy=False)

    def _decode_text(self, content: bytes) -> np.ndarray:
        n = math.prod(self.chunks)
        # Before it is decoded, as it makes room for as many strings as it says there are.
        if content[: _STRING_COUNT.size] != _STRING_COUNT.pack(n):
            raise DamagedChunk(f"a chunk does not have the {n} texts that the store describes")
        try:
            texts = VLenUTF8().decode(content)
        except (ValueError, UnicodeDecodeError) as error:
            raise DamagedChunk(f"a chunk cannot be decoded ({error})") from error
        return texts.astype(self.dtype).reshape(self.chunks)

    def has_its_size(self, head: bytes, size: int) -> bool:
        """Whether a chunk is as long as its first bytes say; True where these say nothing."""
        if not self.is_compressed:
            return self.is_text or size == self.nbytes + _CHECKSUM
        if len(head) < HEAD:
            return False
        _, _, flags, _, nbytes, _, n_written = _BLOSC_HEADER.unpack(head[:HEAD])
        has_size = nbytes == self.nbytes and n_written + _CHECKSUM == size
        return bool(has_size and flags >> 5 == _LZ4)

    def split(self, block: Sequence[int], values: np.ndarray) -> Iterator[tuple[str, bytes]]:
        """Yield key and content of each chunk of a block that has these values."""
        if not values.size:
            return
        n_grid = len(block)
        for number in self.numbers(block):
            here: tuple[Any, ...] = (..., *piece(number[n_grid:], self.chunks[n_grid:]))
            yield self.key_of(number), self.encode(values[here])

    def read(self, raw: Iterable[bytes | None], block: Sequence[int] = ()) -> np.ndarray:
        """Return all values, or those of a block, from the contents of its chunks in order."""
        n_grid = len(block)
        sides = zip(block, self.chunks, self.shape, strict=False)
        shape = [min(size, n - k * size) for k, size, n in sides]
        values = np.empty([*shape, *self.shape[n_grid:]], self.dtype)
        for number, content in zip(self.numbers(block), raw, strict=True):
            here: tuple[Any, ...] = (..., *piece(number[n_grid:], self.chunks[n_grid:]))
            part = values[here]
            part[...] = self.decode(content)[tuple(map(slice, part.shape))]
        return values


def piece(number: Sequence[int], sizes: Sequence[int]) -> tuple[slice, ...]:
    """Return where a chunk is in its array, by its number and its size along each dimension."""
    return tuple(slice(k * size, (k + 1) * size) for k, size in zip(number, sizes, strict=True))


def with_checksum(content: bytes) -> bytes:
    """Return some bytes with their checksum, as Zarr's codec ``crc32c`` writes it."""
    return content + google_crc32c.value(content).to_bytes(_CHECKSUM, "little")


def plain_json(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes in which NumPy's numbers and arrays are Python's."""

    def plain(value: Any) -> Any:
        return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value

    return json.loads(json.dumps(attrs, default=plain))
