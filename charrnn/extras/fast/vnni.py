"""Products of int8 by AVX-512 VNNI, written in LLVM's instructions."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

GROUP_SIZE = 4  # streams that read the weights together


def _make_vnni_dots(streams: int) -> Any:
    """Return `add_dots` by AVX-512 VNNI, for 1 or 4 streams and `fast_engines.pack_for_vnni`.

    An instruction multiplies 4 neighbours in each of 16 rows with 4 bytes of a vector, and adds the
    products to 16 sums. It takes four cycles, so four independent instructions run at the same
    time: for four streams, or for four parts of one stream.
    """
    i32, i64 = ir.IntType(32), ir.IntType(64)
    vector, floats = ir.VectorType(i32, 16), ir.VectorType(ir.FloatType(), 16)
    name = "llvm.x86.avx512.vpdpbusd.512"
    parts, line = GROUP_SIZE // streams, 64  # bytes

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        weights, layer, row_scales, row, zs, first, bytes_, scales = (
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
            return builder.shuffle_vector(one, one, ir.Constant(vector, [0] * 16))

        streams_ = range(streams)
        x = [at(bytes_, number(b)) for b in streams_]
        z = [at(zs, builder.add(first, number(b))) for b in streams_]
        scale = [
            broadcast(floats, load(ir.FloatType(), at(scales, number(b)), number(0)))
            for b in streams_
        ]
        row_scale = at(row_scales, row)
        lines = builder.extract_value(weights.shape, 2)
        rounds = builder.udiv(builder.sub(lines, number(1)), number(parts))
        totals = [cgutils.alloca_once(builder, vector) for _ in range(GROUP_SIZE)]
        with cgutils.for_range(builder, builder.extract_value(weights.shape, 1), intp=i64) as block:
            begin = at(weights, layer, block.index)
            start = load(vector, begin, number(0))
            for k, total in enumerate(totals):
                builder.store(start if k % parts == 0 else ir.Constant(vector, [0] * 16), total)
            with cgutils.for_range(builder, rounds, intp=i64) as loop:
                for part in range(parts):
                    place = builder.add(builder.mul(loop.index, number(parts)), number(part))
                    offset = builder.mul(builder.add(place, number(1)), number(line))
                    rows = load(vector, begin, offset)
                    for b in streams_:
                        four = load(i32, x[b], builder.mul(place, number(4)))
                        total = totals[b * parts + part]
                        sums = [builder.load(total), broadcast(vector, four), rows]
                        builder.store(builder.call(instruction, sums), total)
            offset = builder.mul(block.index, number(line))
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
        typing, weights, layer, row_scales, row, zs, first, bytes_, scales
    ):
        i64_ = types.int64
        return types.void(weights, i64_, row_scales, i64_, zs, i64_, bytes_, scales), emit

    return intrinsic(infer_types)


add_one_by_vnni, add_group_by_vnni = _make_vnni_dots(1), _make_vnni_dots(GROUP_SIZE)
