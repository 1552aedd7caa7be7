"""Products of int8 by AVX-512 VNNI, written in LLVM's instructions.

Four bytes of a vector and the same four columns of 16 rows are one instruction, vpdpbusd. It
multiplies unsigned by signed bytes, and adds each row's four products to the row's sum in int32:

    dot(sums, four, rows): sums[r] += sum(four[i] * rows[r, i] for i in range(4)), r in range(16)

So a vector's numbers are stored plus 128, and the sums start at -128 times the sum of each row:

    for block in range(M / 16):
        sums = weights[block, 0]                                # the starts, int32
        for k in range(K / 4):
            dot(sums, bytes[4 * k : 4 * k + 4], weights[block, 1 + k])
        z[16 * block : 16 * block + 16] += float(sums) * (row_scales * vector_scale)

An instruction takes four cycles, so four independent ones run at the same time: for four streams,
or for four parts of one stream, whose sums are added at the end. The tests have this in NumPy.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

GROUP_SIZE = 4  # streams that read the weights together
_BLOCK = 16  # rows that are multiplied together


def compiles_vnni() -> bool:
    """Return whether numba compiles for AVX-512 VNNI: 64 products of bytes per instruction.

    AVX-VNNI, which multiplies half as many, is not used.
    """
    config: Any = numba.config
    if config.CPU_FEATURES is not None:  # set by NUMBA_CPU_FEATURES
        return "+avx512vnni" in config.CPU_FEATURES.split(",")
    if config.CPU_NAME is not None or not config.ENABLE_AVX:
        return False
    return bool(binding.get_host_cpu_features().get("avx512vnni"))


def fill_up(size: int) -> int:
    """Return a number of rows or columns, filled up to whole blocks."""
    return -(-size // _BLOCK) * _BLOCK


def pack_for_vnni(matrices: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Return int8 (L, M, K) in the order in which they are multiplied.

    Returns:
        (L, M/16, 1 + K/4, 16, 4): blocks of 16 rows, each with the starts of its sums (int32) and
        then its columns in groups of four. Rows and columns are filled up to multiples of 16.
    """
    L, M, K = matrices.shape
    filled = np.zeros((L, fill_up(M), fill_up(K)), np.int8)
    filled[:, :M, :K] = matrices
    begin = -128 * filled.sum(2, dtype=np.int32)
    blocks = filled.reshape(L, -1, _BLOCK, filled.shape[2] // 4, 4).swapaxes(2, 3)
    begin_bytes = begin.view(np.int8).reshape(L, -1, 1, _BLOCK, 4)
    return np.ascontiguousarray(np.concatenate([begin_bytes, blocks], axis=2))


def _make_vnni_dots(streams: int) -> Any:
    """Return a compiled function like `_add_dots_portably` of `int8_products`.

    It multiplies 1 or 4 streams. Its weights are in the order of `pack_for_vnni`.
    """
    i32, i64 = ir.IntType(32), ir.IntType(64)
    vector, floats = ir.VectorType(i32, _BLOCK), ir.VectorType(ir.FloatType(), _BLOCK)
    name = "llvm.x86.avx512.vpdpbusd.512"
    parts = GROUP_SIZE // streams
    num_bytes = 4 * _BLOCK  # of a vector: an int32, a float or four int8 for each row of a block
    # Shapes: weights as packed, row_scales (L, M), zs (rows, M), bytes_ (streams, K), scales
    # (streams,). The streams are 0, 1, ... in bytes_ and scales, and first, first + 1, ... in zs.

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        """Write the function in LLVM's language."""
        weights, row_scales, layer, zs, first, bytes_, scales = (
            context.make_array(kind)(context, builder, value)
            if isinstance(kind, types.Array)
            else value
            for kind, value in zip(signature.args, values, strict=True)
        )
        instruction = builder.module.globals.get(name) or ir.Function(
            builder.module, ir.FunctionType(vector, [vector] * 3), name
        )

        def number(value: int) -> Any:
            return ir.Constant(i64, value)

        def at(array: Any, *index: Any) -> Any:
            """Return the address of an element."""
            address = builder.ptrtoint(array.data, i64)
            for axis, place in enumerate(index):
                stride = builder.extract_value(array.strides, axis)
                address = builder.add(address, builder.mul(stride, place))
            return address

        def load(kind: Any, address: Any, offset: Any) -> Any:
            pointer = builder.inttoptr(builder.add(address, offset), kind.as_pointer())
            loaded = builder.load(pointer)
            loaded.align = 1
            return loaded

        def broadcast(kind: Any, value: Any) -> Any:
            one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, i32(0))
            return builder.shuffle_vector(one, one, ir.Constant(vector, [0] * _BLOCK))

        streams_ = range(streams)
        x = [at(bytes_, number(b)) for b in streams_]
        z = [at(zs, builder.add(first, number(b))) for b in streams_]
        scale = [
            broadcast(floats, load(ir.FloatType(), at(scales, number(b)), number(0)))
            for b in streams_
        ]
        row_scale = at(row_scales, layer)
        num_vectors = builder.extract_value(weights.shape, 2)
        rounds = builder.udiv(builder.sub(num_vectors, number(1)), number(parts))
        totals = [cgutils.alloca_once(builder, vector) for _ in range(GROUP_SIZE)]
        with cgutils.for_range(builder, builder.extract_value(weights.shape, 1), intp=i64) as block:
            begin = at(weights, layer, block.index)
            start = load(vector, begin, number(0))
            zero = ir.Constant(vector, [0] * _BLOCK)
            for k, total in enumerate(totals):
                builder.store(start if k % parts == 0 else zero, total)
            with cgutils.for_range(builder, rounds, intp=i64) as loop:
                for part in range(parts):
                    place = builder.add(builder.mul(loop.index, number(parts)), number(part))
                    offset = builder.mul(builder.add(place, number(1)), number(num_bytes))
                    weights_of_rows = load(vector, begin, offset)
                    for b in streams_:
                        four = load(i32, x[b], builder.mul(place, number(4)))
                        total = totals[b * parts + part]
                        sums = [builder.load(total), broadcast(vector, four), weights_of_rows]
                        builder.store(builder.call(instruction, sums), total)
            offset = builder.mul(block.index, number(num_bytes))
            block_scales = load(floats, row_scale, offset)
            for b in streams_:
                added = builder.load(totals[b * parts])
                for part in range(1, parts):
                    added = builder.add(added, builder.load(totals[b * parts + part]))
                factors = builder.fmul(block_scales, scale[b])
                product = builder.fmul(builder.sitofp(added, floats), factors)
                pointer = builder.inttoptr(builder.add(z[b], offset), floats.as_pointer())
                builder.store(builder.fadd(load(floats, z[b], offset), product), pointer).align = 1
        return context.get_dummy_value()

    def infer_types(  # type: ignore[no-untyped-def]
        typing, weights, row_scales, layer, zs, first, bytes_, scales
    ):
        i64_ = types.int64
        return types.void(weights, row_scales, i64_, zs, i64_, bytes_, scales), emit

    return intrinsic(infer_types)


add_one_by_vnni, add_group_by_vnni = _make_vnni_dots(1), _make_vnni_dots(GROUP_SIZE)
