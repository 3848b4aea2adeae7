#!/usr/bin/env python3
"""torch.compile's kernels for the quantizer's ops, beside a copy of the same bytes.

Started by `opforge-bench-kernels --torch`; prints one JSON object a line and cell on standard output:
index, microseconds, copy_microseconds, share_of_copy (medians over the rounds, L2 flushed before each
run), or index and note, why a cell was not measured. Progress goes to standard error.

The functions are fake quantization, quantize and dequantize as a user of PyTorch writes them.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time

STARTED = time.monotonic()


def progress(text):
    print(f"torch.compile: {time.monotonic() - STARTED:5.1f} s: {text}", file=sys.stderr, flush=True)


def fake_quantize(torch, cell):
    groups = cell["elements"] // cell["group_size"]
    bits, stochastic = cell["bits"], cell["rounding"] == "stochastic"

    def rounded(values):
        return torch.floor(values + torch.rand_like(values)) if stochastic else torch.round(values)

    def symmetric(values):
        grouped = values.reshape(groups, -1).float()
        scale = 2**bits / (2 * grouped.abs().amax(1, keepdim=True) + 1e-5)
        codes = rounded(grouped * scale).clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return (codes / scale).to(values.dtype).reshape(values.shape)

    def asymmetric(values):
        grouped = values.reshape(groups, -1).float()
        low, high = grouped.amin(1, keepdim=True), grouped.amax(1, keepdim=True)
        scale = (high - low + 1e-5) / 2**bits
        codes = rounded((grouped - low) / scale).clamp(0, 2**bits - 1)
        return (codes * scale + low).to(values.dtype).reshape(values.shape)

    return symmetric if cell["type"] == "symmetric" else asymmetric


def quantize(torch, cell):
    groups, bits = cell["elements"] // cell["group_size"], cell["bits"]

    def symmetric(values):
        grouped = values.reshape(groups, -1).float()
        scale = 2**bits / (2 * grouped.abs().amax(1, keepdim=True) + 1e-5)
        codes = torch.round(grouped * scale).clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).to(torch.int8)
        if bits == 4:
            pairs = codes.reshape(groups, -1, 2)
            codes = (pairs[..., 0] << 4) | (pairs[..., 1] & 15)
        return codes, 1 / scale

    return symmetric


def dequantize(torch, cell):
    groups, bits = cell["elements"] // cell["group_size"], cell["bits"]
    dtype = torch.float32 if cell["dtype"] == "fp32" else torch.float16

    def symmetric(codes, scales):
        if bits == 4:
            codes = torch.stack((codes >> 4, (codes << 4) >> 4), dim=-1)
        return (codes.reshape(groups, -1).float() * scales).to(dtype).reshape(-1)

    return symmetric


FUNCTIONS = {"ds_quantizer": fake_quantize, "quantize": quantize, "dequantize": dequantize}


def refusal(cell):
    if cell["op"] not in FUNCTIONS:
        return "no form in PyTorch is measured"
    if cell["op"] != "ds_quantizer" and (
        cell["type"] != "symmetric" or cell["rounding"] != "nearest" or cell["bits"] not in (8, 4)
    ):
        return "only symmetric codes of 8 and 4 bits, nearest rounding, are measured"
    return None


class Clock:
    """Times on the GPU by events; on a CPU, for trying this script, by the clock."""

    def __init__(self, torch, device):
        self.torch, self.device = torch, device
        size = 2**28 if device == "cuda" else 2**20
        self.flush = torch.empty(size, dtype=torch.int8, device=device)

    def microseconds(self, call):
        self.flush.fill_(1)
        if self.device != "cuda":
            start = time.perf_counter()
            call()
            return (time.perf_counter() - start) * 1e6
        start, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) * 1e3


def inputs_of(torch, cell, device):
    elements = cell["elements"]
    if cell["op"] == "dequantize":
        codes = torch.randint(-128, 128, (elements * cell["bits"] // 8,), dtype=torch.int8, device=device)
        return codes, torch.rand(elements // cell["group_size"], 1, device=device)
    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}[cell["dtype"]]
    return (torch.randn(elements, dtype=dtype, device=device),)


def compiled(torch, cell):
    # One compilation is for one shape; without the reset, PyTorch falls back to eager mode after eight.
    torch._dynamo.reset()
    return torch.compile(FUNCTIONS[cell["op"]](torch, cell), dynamic=False)


def measure(torch, clock, cell, rounds):
    arguments = inputs_of(torch, cell, clock.device)
    function = compiled(torch, cell)
    half = max(1, int(cell["bytes"] // 2))
    copied_from = torch.empty(half, dtype=torch.int8, device=clock.device)
    copied_to = torch.empty_like(copied_from)
    with torch.no_grad():
        for _ in range(3):
            function(*arguments)
            copied_to.copy_(copied_from)
        copies, calls, shares = [], [], []
        for _ in range(rounds):
            copies.append(clock.microseconds(lambda: copied_to.copy_(copied_from)))
            calls.append(clock.microseconds(lambda: function(*arguments)))
            shares.append(copies[-1] / calls[-1])
    return {
        "microseconds": statistics.median(calls),
        "copy_microseconds": statistics.median(copies),
        "share_of_copy": statistics.median(shares),
        "share_smallest": min(shares),
        "share_largest": max(shares),
    }


def warm(torch, cells, device):
    """Compiles the cells into inductor's cache on disk; what fails here fails again where it is measured."""
    for cell in cells:
        try:
            arguments = inputs_of(torch, cell, device)
            with torch.no_grad():
                compiled(torch, cell)(*arguments)
            if device == "cuda":
                torch.cuda.synchronize()
        except Exception as error:  # whatever it is: the cell is tried again
            progress(f"warming {cell['name']}: {error}".splitlines()[0])


def warm_in_parallel(cells, workers, device, seconds):
    """Compiling takes a core for seconds a shape; measuring must not wait for that, cell by cell."""
    workers = min(workers, len(cells))
    if workers < 2:
        return
    progress(f"compiling {len(cells)} shapes in {workers} processes")
    children = []
    for worker in range(workers):
        command = [sys.executable, os.path.abspath(__file__), "--warm-only", "--device", device,
                   "--cells", json.dumps(cells[worker::workers])]
        environment = dict(os.environ, TORCHINDUCTOR_COMPILE_THREADS="1")
        children.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment))
    end = time.monotonic() + seconds
    for child in children:
        try:
            child.wait(timeout=max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            progress("a process that compiles took too long and was ended")


def arguments_of(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", required=True, help="the cells as a JSON array, or @FILE")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=90, help="give what there is after so long")
    parser.add_argument("--workers", type=int, default=min(12, os.cpu_count() or 1), help="processes that compile")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: to try this script")
    parser.add_argument("--warm-only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    try:
        text = options.cells
        if text.startswith("@"):
            with open(text[1:], encoding="utf-8") as file:
                text = file.read()
        options.cells = json.loads(text)
    except (OSError, ValueError) as error:
        parser.error(f"--cells: {error}")
    return options


def main(argv):
    options = arguments_of(argv)
    # Inductor and Triton print to standard output now and then; the results have it for themselves.
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    lock = threading.Lock()

    def write(result):
        with lock:
            results.write(json.dumps(result) + "\n")
            results.flush()

    def stop():
        progress(f"stopped after {options.seconds:g} s")
        with lock:
            results.flush()
            os._exit(0)

    wanted = []
    for index, cell in enumerate(options.cells):
        reason = refusal(cell)
        if reason is None:
            wanted.append((index, cell))
        elif not options.warm_only:
            write({"index": index, "note": reason})
    try:
        import torch
    except ImportError as error:
        progress(f"no PyTorch: {error}")
        for index, _ in wanted:
            write({"index": index, "note": "no PyTorch"})
        return 0
    if options.device == "cuda" and not torch.cuda.is_available():
        progress("PyTorch sees no GPU")
        for index, _ in wanted:
            write({"index": index, "note": "PyTorch sees no GPU"})
        return 0
    if options.warm_only:
        warm(torch, options.cells, options.device)
        return 0
    timer = threading.Timer(options.seconds, stop)
    timer.daemon = True
    timer.start()
    progress(f"PyTorch {torch.__version__}")
    warm_in_parallel([cell for _, cell in wanted], options.workers, options.device, options.seconds * 0.6)
    clock = Clock(torch, options.device)
    for done, (index, cell) in enumerate(wanted, 1):
        try:
            result = measure(torch, clock, cell, options.rounds)
            progress(f"{done}/{len(wanted)} {cell['name']}: {result['share_of_copy']:.2f} of copy")
        except Exception as error:  # one cell must not cost the others
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            result = {"note": f"{type(error).__name__}: {reason}"[:300]}
            progress(f"{done}/{len(wanted)} {cell['name']}: {result['note']}")
        write({"index": index, **result})
    timer.cancel()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
