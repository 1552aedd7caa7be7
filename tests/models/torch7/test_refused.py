"""Files that are refused, each named as what it is, and files that would like to do harm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.errors import InputError
from charrnn.models.torch7 import read_model
from tests.models.torch7 import writer as t7

TOKENS = list("First Czen:\nBfowpcdayuh,mk")


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_model(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert line.isprintable(), "more than one line, or control characters"
    return line.removeprefix(f"{path}: ")


class TestRefused:
    """Each is named as what it is."""

    def test_missing_and_folder(self, tmp_path: Path) -> None:
        assert refusal(tmp_path / "none.t7") == "no such file"
        assert "cannot be read" in refusal(tmp_path)

    @pytest.mark.parametrize(
        "content", [b"", b"\x03", b"PK\x03\x04", b"{}", b"\x04\0\0\0", bytes(100), b"3\n"]
    )
    def test_other_files(self, content: bytes, tmp_path: Path) -> None:
        path = tmp_path / "x.t7"
        path.write_bytes(content)
        assert "not a checkpoint of torch-rnn" in refusal(path) or "damaged" in refusal(path)

    @pytest.mark.parametrize("kind", ["Cuda", "CudaDouble", "Cl"])
    def test_gpu_tensors(self, kind: str, tmp_path: Path) -> None:
        saved, _ = t7.checkpoint(TOKENS)
        t7.modules_of(saved, "nn.Linear")[0].fields["weight"].kind = kind
        line = refusal(t7.written(tmp_path, saved))
        assert f"torch.{kind}Tensor" in line
        assert "GPU" in line
        assert line.startswith("model.net.modules.5.weight: ")

    @pytest.mark.parametrize("tag", [6, 7, 8])
    def test_functions(self, tag: int, tmp_path: Path) -> None:
        saved, _ = t7.checkpoint(TOKENS)
        saved["model"].fields["forward"] = t7.Function(b"\x1bLJ\x01os.exit()", tag=tag)
        line = refusal(t7.written(tmp_path, saved))
        assert line.startswith("model.forward: a Lua function")

    def test_unknown_class(self, tmp_path: Path) -> None:
        saved, _ = t7.checkpoint(TOKENS)
        t7.modules_of(saved, "nn.LSTM")[1].class_name = "nn.GRU"
        line = refusal(t7.written(tmp_path, saved))
        assert line.startswith("model.net.modules.3: an object of the class nn.GRU, ")
        t7.modules_of(saved, "nn.GRU")[0].class_name = "nn.G\n\x1b[31mRU"
        assert "damaged" in refusal(t7.written(tmp_path, saved))

    @pytest.mark.parametrize("ascii", [False, True], ids=["binary", "ascii"])
    def test_char_rnn(self, ascii: bool, tmp_path: Path) -> None:
        graph = t7.Torch("nn.gModule", {"weight": t7.tensor(np.ones(3))})
        protos = {"rnn": graph, "criterion": t7.Torch("nn.ClassNLLCriterion", {})}
        saved = {"vocab": {"a": 1, "b": 2}, "protos": protos, "opt": {"model": "lstm"}, "i": 9}
        assert "char-rnn" in refusal(t7.written(tmp_path, saved, ascii=ascii))
        saved["protos"] = {}
        assert "char-rnn" in refusal(t7.written(tmp_path, saved, ascii=ascii))

    def test_other_tables(self, tmp_path: Path) -> None:
        assert "(it holds a, b)" in refusal(t7.written(tmp_path, {"a": 1, "b": {}}))
        assert "(it holds nothing)" in refusal(t7.written(tmp_path, {}))

    @pytest.mark.parametrize("ascii", [False, True], ids=["binary", "ascii"])
    def test_deep_nesting(self, ascii: bool, tmp_path: Path) -> None:
        deep: Any = 1.0
        for _ in range(150):
            deep = {1: deep}
        assert "deep" in refusal(t7.written(tmp_path, {"opt": deep}, ascii=ascii))

    def test_nested_without_end(self, tmp_path: Path) -> None:
        one = b"\3\0\0\0%d\1\0\0\0\1\0\0\0\0\0\0\0\0\0\xf0\x3f"
        path = tmp_path / "x.t7"
        path.write_bytes(
            b"".join(one.replace(b"%d", i.to_bytes(4, "little")) for i in range(100_000))
        )
        assert "deep" in refusal(path)

    @pytest.mark.parametrize("place", ["root", "opt", "model", "net", "modules", "tokens"])
    def test_tables_within_themselves(self, place: str, tmp_path: Path) -> None:
        saved, _ = t7.checkpoint(TOKENS)
        model = saved["model"].fields
        net = model["net"].fields
        where = {
            "root": (saved, "again"),
            "opt": (saved["opt"], "input_h5"),
            "model": (saved, "model"),
            "net": (model, "net"),
            "modules": (net["modules"], 2),
            "tokens": (model["idx_to_token"], 1),
        }
        table, key = where[place]
        table[key] = table
        path = t7.written(tmp_path, saved)
        if place in ("root", "opt"):  # these do not concern the model
            assert len(read_model(path).vocabulary) == len(TOKENS)
        else:
            assert refusal(path)

    @pytest.mark.parametrize("size", [2**62, 2**63 - 1, -1, -(2**63), 10**9])
    def test_sizes(self, size: int, tmp_path: Path) -> None:
        saved, _ = t7.checkpoint(TOKENS)
        (linear,) = t7.modules_of(saved, "nn.Linear")
        weight = linear.fields["weight"]
        original = (weight.sizes, weight.strides, weight.offset)
        changes = [
            {"sizes": (size, 5)},
            {"sizes": (2, size)},
            {"strides": (size, 1)},
            {"strides": (0, 0), "sizes": (size, size)},
            {"offset": min(size, 2**63 - 2)},
        ]
        for change in changes:
            weight.sizes, weight.strides, weight.offset = original
            for name, value in change.items():
                setattr(weight, name, value)
            if weight.offset == -(2**63):
                weight.offset += 1
            assert refusal(t7.written(tmp_path, saved)), change
        weight.sizes, weight.strides, weight.offset = original
        weight.storage.size = size
        assert "damaged" in refusal(t7.written(tmp_path, saved))

    def test_sizes_in_ascii_beyond_64_bits(self, tmp_path: Path) -> None:
        saved, _ = t7.checkpoint(TOKENS)
        content = t7.dumps(saved, ascii=True)
        path = tmp_path / "x.t7"
        for size in (2**62, 2**64, 10**5000):
            path.write_bytes(content.replace(b"\n26 5\n", b"\n%s 5\n" % str_of(size)))
            assert "damaged" in refusal(path)

    def test_weights_that_share_numbers(self, tmp_path: Path) -> None:
        """A wrong offset is not a model with wrong numbers."""
        saved, _ = t7.checkpoint(TOKENS)
        t7.modules_of(saved, "nn.Linear")[0].fields["weight"].offset -= 1
        assert "overlap" in refusal(t7.written(tmp_path, saved))

    def test_what_is_left_over(self, tmp_path: Path) -> None:
        saved, _ = t7.checkpoint(TOKENS)
        path = t7.written(tmp_path, saved)
        path.write_bytes(path.read_bytes() + b"\0")
        assert "1 bytes are left over" in refusal(path)

    @pytest.mark.parametrize(
        ("class_name", "field"),
        [
            ("nn.LookupTable", "weight"),
            ("nn.LSTM", "bias"),
            ("nn.BatchNormalization", "running_mean"),
            ("nn.BatchNormalization", "running_var"),
            ("nn.BatchNormalization", "eps"),
            ("nn.Dropout", "p"),
            ("nn.Linear", "bias"),
        ],
    )
    def test_missing_field(self, class_name: str, field: str, tmp_path: Path) -> None:
        saved, _ = t7.checkpoint(TOKENS, batchnorm=True, dropout=0.5)
        del t7.modules_of(saved, class_name)[0].fields[field]
        assert f"{class_name}.{field}: missing" in refusal(t7.written(tmp_path, saved))

    @pytest.mark.parametrize("name", ["weight", "bias", "running_mean", "running_var"])
    def test_norm_of_another_size(self, name: str, tmp_path: Path) -> None:
        saved, _ = t7.checkpoint(TOKENS, batchnorm=True)
        t7.modules_of(saved, "nn.BatchNormalization")[1].fields[name].sizes = (4,)
        assert refusal(t7.written(tmp_path, saved))

    def test_wrong_networks(self, tmp_path: Path) -> None:
        def changed(change: Any, **form: Any) -> str:
            saved, _ = t7.checkpoint(TOKENS, **form)
            change(saved)
            return refusal(t7.written(tmp_path, saved))

        def swap(saved: Any) -> None:
            modules = saved["model"].fields["net"].fields["modules"]
            modules[1], modules[2] = modules[2], modules[1]

        def drop_one_norm(saved: Any) -> None:
            norms = t7.modules_of(saved, "nn.BatchNormalization")
            norms[1].class_name, norms[1].fields = "nn.View", {}

        def mix(saved: Any) -> None:
            t7.modules_of(saved, "nn.LSTM")[1].class_name = "nn.VanillaRNN"

        def wrong_kind(saved: Any) -> None:
            for module in t7.modules_of(saved, "nn.LSTM"):
                module.class_name = "nn.VanillaRNN"

        def fewer_tokens(saved: Any) -> None:
            del saved["model"].fields["idx_to_token"][len(TOKENS)]

        def words(saved: Any) -> None:
            saved["model"].fields["idx_to_token"][1] = "word"

        def latin1(saved: Any) -> None:
            saved["model"].fields["idx_to_token"][1] = b"\xfc"

        def old_dropout(saved: Any) -> None:
            t7.modules_of(saved, "nn.Dropout")[0].fields["v2"] = False

        assert "not a network of torch-rnn" in changed(swap)
        assert "not a network of torch-rnn" in changed(drop_one_norm, batchnorm=True)
        assert "not a network of torch-rnn" in changed(mix)
        assert "not of a layer of torch-rnn" in changed(wrong_kind)
        assert "(26, 3), not (25, 3)" in changed(fewer_tokens)
        assert "model.idx_to_token: " in changed(words)
        assert "not UTF-8" in changed(latin1)
        assert "scales otherwise" in changed(old_dropout, dropout=0.5)


def str_of(number: int) -> bytes:
    """The digits of a number, however long."""
    if number < 10**4000:
        return str(number).encode()
    return b"1" + b"0" * 5000
