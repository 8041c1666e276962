"""Int8: weights of matrix products and convolutions as whole numbers (onnxruntime's dynamic quantisation)."""

import logging
from pathlib import Path

from atrium.frameworks import CannotConvert
from atrium.told import tell

QUANTISED = "model.int8.onnx"
TOLERANCE = 0.02
SAME = 0.99
_CANDIDATES = frozenset({"MatMul", "Gemm", "Conv", "LSTM", "Attention"})
_INTEGER_OPERATORS = frozenset(
    {"MatMulInteger", "ConvInteger", "DynamicQuantizeLSTM", "QAttention", "DequantizeLinear"}
)


def write_int8(source: Path, target: Path) -> int:
    """Write the int8 twin of an ONNX model; returns how many operators now compute with whole numbers.

    Raises CannotConvert when nothing in the graph can be quantised, or onnxruntime cannot do it.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    kinds = {node.op_type for node in onnx.load(str(source), load_external_data=False).graph.node}
    if not kinds & _CANDIDATES:
        raise CannotConvert(
            tell(
                "nothing in it can become int8: it has no matrix product and no convolution (%(kinds)s)",
                kinds=", ".join(sorted(kinds)[:6]),
            )
        )
    logging.getLogger().setLevel(logging.ERROR)  # it recommends preprocessing that shapes [-1, …] do not need
    try:
        quantize_dynamic(source, target, weight_type=QuantType.QInt8)
        graph = onnx.load(str(target)).graph
    except Exception as error:
        target.unlink(missing_ok=True)
        raised = f"{type(error).__name__}: {error}"
        raise CannotConvert(tell("onnxruntime cannot quantise it: %(error)s", error=raised)) from error
    count = sum(node.op_type in _INTEGER_OPERATORS for node in graph.node)
    if not count:
        target.unlink(missing_ok=True)
        raise CannotConvert(tell("nothing in it became int8: its weights are no constants of the graph"))
    return count
