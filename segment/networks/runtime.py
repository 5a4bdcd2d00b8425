"""Run an exported network: OpenVINO on the processor.

ONNX Runtime where it has a graphics card or OpenVINO is absent.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Bytes
from insitrack.io.errors import ModelError

Outputs = tuple[NDArray[np.float32], ...]
Tag = TypeVar("Tag")
_InFlight: TypeAlias = tuple[
    Any | None, Bytes | None, Tag
]  # request, the image it reads (kept alive), the caller's tag


_KEPT_COMPILED, _KEPT_MPX = 5, 6.0
"""Compiled networks that are kept: one takes 0.6 s to make and some 80 MB, which grow with its image."""
_compiled: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
_compiling = threading.Lock()


class Network(Protocol):
    """A network from one grey image to float arrays, without the leading axis of batches."""

    def one_at_a_time(self) -> None:
        """Put all cores to one image."""
        ...

    def stream(self, items: Iterable[tuple[Bytes | None, Tag]]) -> Iterator[tuple[Outputs | None, Tag]]:
        """Run over images of any sizes in order; outputs are valid until the next item is asked for."""
        ...

    def describe(self) -> dict[str, Any]:
        """Runtime, version, device and precision, for the manifest."""
        ...


def load_network(path: Path, *, runtime: str = "auto", precision: str = "auto", threads: int = 0) -> Network:
    """Load an ONNX file with the runtime that suits the machine.

    Parameters
    ----------
    path : Path
        ONNX file whose input is float32 (1, 3, H, W), 0..1.
    runtime : {"auto", "openvino", "onnxruntime"}
        `auto` takes ONNX Runtime where it sees a CUDA card, else OpenVINO.
    precision : {"auto", "f32"}
        `auto` lets OpenVINO use bfloat16 where the processor has it.
    threads : int
        Processor threads; 0 takes all cores.

    Raises
    ------
    ModelError
        If the runtime is not installed or the file is not a network.
    """
    if runtime == "onnxruntime":
        return OnnxRuntimeNetwork(path, threads)
    if runtime == "auto" and _has_cuda_runtime():
        network = OnnxRuntimeNetwork(path, threads)
        if (
            network.on_cuda
        ):  # built for a card that is not there, it falls back to the processor, where OpenVINO is faster
            return network
    return OpenVinoNetwork(path, precision, threads)


def _has_cuda_runtime() -> bool:
    try:
        import onnxruntime
    except ImportError:
        return False
    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


class OpenVinoNetwork:
    """A network on OpenVINO; takes 8-bit grey images, turns them into its three float channels itself.

    One stream per core keeps every core busy with its own image, so that the other work of a frame fills
    the pauses.
    """

    def __init__(self, path: Path, precision: str, threads: int) -> None:
        try:
            import openvino
        except ImportError as error:
            raise ModelError(
                "openvino is not installed; install it: pip install openvino; or set segment.runtime to onnxruntime"
            ) from error
        self._openvino = openvino
        self._core = openvino.Core()
        self._precision, self._threads = precision, threads or _cores()
        self._n_streams = self._threads
        self._path = path
        try:
            self._model = self._core.read_model(str(path))
            self._take_grey_input()
            self._leave_channels_last()
        except RuntimeError as error:
            raise ModelError(
                f"{path}: not a network that OpenVINO can read ({str(error).splitlines()[0]}); expected an"
                " ONNX file"
            ) from error
        told = path.stat()
        self._file = (str(path.resolve()), told.st_size, told.st_mtime_ns)
        self._shape: tuple[int, int] | None = None
        self._requests: list[Any] = []

    def _take_grey_input(self) -> None:
        """Put grey bytes in front of the network: convert, scale to 0..1, and repeat for its three channels."""
        from openvino import opset13 as ops

        old = self._model.input(0)
        channels = old.partial_shape[1].get_length()
        grey = ops.parameter([1, 1, -1, -1], np.uint8, name="grey")
        scaled = ops.multiply(ops.convert(grey, "f32"), ops.constant(np.float32(1 / 255)))
        stacked = ops.concat([scaled] * channels, axis=1)
        old_parameter = old.get_node()
        for target in old.get_target_inputs():
            target.replace_source_output(stacked.output(0))
        self._model.add_parameters([grey])
        self._model.remove_parameter(old_parameter)
        self._model.validate_nodes_and_infer_types()

    def _leave_channels_last(self) -> None:
        """Hand out maps as the processor has them, channels last: turning them would take a sixteenth of a frame."""
        from openvino import opset13 as ops

        for result in self._model.get_results():
            if len(result.input(0).get_partial_shape()) == 4:
                last = ops.transpose(result.input_value(0), ops.constant(np.array([0, 2, 3, 1])))
                result.input(0).replace_source_output(last.output(0))
        self._model.validate_nodes_and_infer_types()

    def _compile(self, shape: tuple[int, int]) -> None:
        """Compile for a size of image, or take what was compiled for it before, by any network of the file.

        Micrographs come in a few sizes, each shown at several scales: compiling anew at every change would
        take longer than looking at them.
        """
        key = (*self._file, self._precision, self._threads, self._n_streams, shape)
        with _compiling:
            found = _compiled.pop(key, None)
            self._compiled = _compiled[key] = self._made(shape) if found is None else found
            while len(_compiled) > _KEPT_COMPILED or (len(_compiled) > 1 and _mpx() > _KEPT_MPX):
                _compiled.popitem(last=False)
        # one request per stream, one waiting, one whose outputs are being read
        self._requests = [self._compiled.create_infer_request() for _ in range(self._n_streams + 2)]
        self._shape = shape

    def _made(self, shape: tuple[int, int]) -> Any:
        try:
            self._model.reshape([1, 1, *shape])
        except RuntimeError as error:
            raise ModelError(
                f"{self._path}: does not take images of {shape[1]} x {shape[0]} px; export it again with a"
                " free size"
            ) from error
        options = {"NUM_STREAMS": str(self._n_streams), "INFERENCE_NUM_THREADS": str(self._threads)}
        if self._precision == "f32":
            options["INFERENCE_PRECISION_HINT"] = "f32"
        return self._core.compile_model(self._model, "CPU", options)

    def one_at_a_time(self) -> None:
        """Put all cores to one image: fewer images a second, but each of them sooner."""
        self._n_streams, self._shape = 1, None

    def stream(self, items: Iterable[tuple[Bytes | None, Tag]]) -> Iterator[tuple[Outputs | None, Tag]]:
        """Run over images in order, several in flight.

        Outputs are views, valid until the next item is asked for.

        An item without an image brings out everything that is in flight.
        """
        waiting: deque[_InFlight[Tag]] = deque()
        free = self._idle_requests()
        for grey, tag in items:
            if grey is not None and grey.shape != self._shape:
                yield from _finished(waiting, free, keep=0)
                self._compile((grey.shape[0], grey.shape[1]))
                free = self._idle_requests()
            request = None
            if grey is not None:
                request = free.popleft()
                request.start_async({0: grey[None, None]}, share_inputs=True)
            waiting.append((request, grey, tag))
            yield from _finished(waiting, free, keep=0 if grey is None else self._n_streams + 1)
        yield from _finished(waiting, free, keep=0)

    def _idle_requests(self) -> deque[Any]:
        """All requests, none of them running: a stream that was given up half-way leaves some in flight."""
        for request in self._requests:
            request.wait()
        return deque(self._requests)

    def describe(self) -> dict[str, Any]:
        """Runtime, version, device and precision, for the manifest."""
        facts = {
            "runtime": "openvino",
            "version": self._openvino.__version__,
            "device": self._core.get_property("CPU", "FULL_DEVICE_NAME"),
            "threads": self._threads,
        }
        if self._requests:
            facts["precision"] = self._compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        return facts


def _mpx() -> float:
    """Images of all compiled networks together, megapixels."""
    return float(sum(key[-1][0] * key[-1][1] for key in _compiled)) / 1e6


def _finished(
    waiting: deque[_InFlight[Tag]], free: deque[Any], keep: int
) -> Iterator[tuple[Outputs | None, Tag]]:
    """Hand out the oldest results in order until no more than `keep` items wait.

    A request is free once its outputs were read.
    """
    while len(waiting) > keep:
        request, _, tag = waiting.popleft()
        yield (None if request is None else _outputs(request)), tag
        if request is not None:
            free.append(request)


def _outputs(request: Any) -> Outputs:
    request.wait()
    outputs = [request.get_output_tensor(i).data[0] for i in range(len(request.model_outputs))]
    return tuple(np.moveaxis(output, -1, 0) if output.ndim == 3 else output for output in outputs)


class OnnxRuntimeNetwork:
    """A network on ONNX Runtime, on a CUDA card where there is one."""

    def __init__(self, path: Path, threads: int) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ModelError(
                "onnxruntime is not installed; install it: pip install onnxruntime (with an NVIDIA card pip install"
                ' "insitrack[gpu]"), or set segment.runtime to openvino'
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or _cores()
        wanted = [
            name
            for name in ("CUDAExecutionProvider", "CPUExecutionProvider")
            if name in onnxruntime.get_available_providers()
        ]
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=wanted)
        except Exception as error:  # the library raises a family of its own without a public base class
            raise ModelError(
                f"{path}: not a network that ONNX Runtime can read ({str(error).splitlines()[0]}); expected"
                " an ONNX file"
            ) from error
        self.on_cuda = self._session.get_providers()[0] == "CUDAExecutionProvider"
        self._version = onnxruntime.__version__
        self._input = self._session.get_inputs()[0]

    def one_at_a_time(self) -> None:
        """Nothing to do: it always does."""

    def stream(self, items: Iterable[tuple[Bytes | None, Tag]]) -> Iterator[tuple[Outputs | None, Tag]]:
        """Run over images in order, one at a time."""
        for grey, tag in items:
            if grey is None:
                yield None, tag
                continue
            scaled = np.repeat(
                grey[None, None].astype(np.float32) / np.float32(255), self._input.shape[1], axis=1
            )
            yield tuple(output[0] for output in self._session.run(None, {self._input.name: scaled})), tag

    def describe(self) -> dict[str, Any]:
        """Runtime, version and device, for the manifest."""
        return {
            "runtime": "onnxruntime",
            "version": self._version,
            "device": self._session.get_providers()[0],
            "precision": "f32",
        }


def _cores() -> int:
    """Cores that this process may use."""
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
