#!/usr/bin/env python3
"""A second implementation of the cache, written from docs/key.md and docs/cache_format.md alone.

    second_implementation.py read ROOT           judges every entry below ROOT as a reader does; prints how many there are
    second_implementation.py ask ROOT KERNELS    finds the entries of examples/own_op for sm_90, by keys made from its sources
    second_implementation.py copy ROOT OTHER     publishes every entry of ROOT in OTHER, in manifests of its own
    second_implementation.py seal ROOT           makes ROOT a sealed layer; prints the digest of its list

Exit code 1 and the reason where a page and opforge disagree. Shares no code with opforge.
"""
import hashlib
import json
import os
import secrets
import stat
import sys
from pathlib import Path

INPUTS = {"artifact_kind", "defines", "headers", "kernels", "op", "options", "program", "schema", "source", "target"}
MANIFEST = {"artifact", "compile_log", "full_digest", "inputs", "kernels", "manifest_sha256", "producer", "requires",
            "schema", "target", "timings", "toolchain", "want_digest"}


class Refused(Exception):
    pass


def require(condition, reason):
    if not condition:
        raise Refused(reason)


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def want_digest(inputs):
    return sha256(canonical(inputs))


def full_digest(inputs, toolchain):
    return sha256(canonical({**inputs, "toolchain": toolchain}))


def entry_name(inputs, toolchain):
    return want_digest(inputs) + "." + sha256(canonical(toolchain))[:12]


def no_duplicates(pairs):
    require(len({key for key, _ in pairs}) == len(pairs), "malformed: a key twice")
    return dict(pairs)


def no_fraction(text):
    raise Refused(f"malformed: {text} is not an integer")


def check_safe(status, is_kind, path):
    require(is_kind(status.st_mode) and status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o022,
            f"insecure: {path}")


def read_file(folder, name, most_bytes):
    """A file of the folder that is open, checked on its own descriptor."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        check_safe(status, stat.S_ISREG, name)
        require(status.st_size <= most_bytes, f"malformed: {name} is too large")
        return file.read()


def open_folders(root, *names):
    """The folder at the end of the way, each one on the way checked."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    check_safe(os.fstat(descriptor), stat.S_ISDIR, root)
    for name in names:
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
        check_safe(os.fstat(descriptor), stat.S_ISDIR, name)
    return descriptor


def read_manifest(data):
    manifest = json.loads(data.decode(), object_pairs_hook=no_duplicates, parse_float=no_fraction)
    require(canonical(manifest) == data, "malformed: not canonical")
    require(manifest.keys() >= MANIFEST, f"malformed: without {MANIFEST - manifest.keys()}")
    unsealed = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    require(sha256(canonical(unsealed)) == manifest["manifest_sha256"], "malformed: seal")
    inputs, artifact = manifest["inputs"], manifest["artifact"]
    for value, fields in ((inputs, INPUTS), (artifact, {"bytes", "kind", "sha256"}),
                          (manifest["toolchain"], {"fingerprint", "major", "minor", "name"}),
                          (manifest["requires"], {"minimum_driver"}), (manifest["timings"], {"compile_microseconds"}),
                          *((kernel, {"lowered_name", "name", "registers", "static_shared_bytes"})
                            for kernel in manifest["kernels"])):
        require(value.keys() == fields, f"malformed: {value.keys()} are not {fields}")
    for field in ("options", "kernels"):
        require(inputs[field] == sorted(inputs[field], key=str.encode), f"malformed: {field} not sorted")
    require(manifest["schema"] == inputs["schema"] == 1, "wrong_target: schema")
    require(manifest["target"] == inputs["target"], "wrong_target: target")
    require(artifact["kind"] == inputs["artifact_kind"], "wrong_target: artifact")
    require(manifest["want_digest"] == want_digest(inputs), "wrong_digest: want")
    require(manifest["full_digest"] == full_digest(inputs, manifest["toolchain"]), "wrong_digest: full")
    return manifest


def read_entry(root, name):
    """The entry's manifest and artifact. Raises Refused."""
    folder = open_folders(root, "v1", "entries", name[:2], name)
    try:
        manifest = read_manifest(read_file(folder, "manifest.json", 1 << 20))
        require(entry_name(manifest["inputs"], manifest["toolchain"]) == name, "wrong_target: name")
        artifact = read_file(folder, "kernels." + manifest["artifact"]["kind"], manifest["artifact"]["bytes"])
        require(len(artifact) == manifest["artifact"]["bytes"], "malformed: artifact cut")
        require(sha256(artifact) == manifest["artifact"]["sha256"], "wrong_digest: artifact")
        return manifest, artifact
    finally:
        os.close(folder)


def entry_names(root):
    return sorted(path.name for path in Path(root, "v1/entries").glob("??/*") if len(path.name) == 77)


def read_digest_list(root):
    """The digests of a sealed layer's files by their paths; None of a root that is not sealed."""
    try:
        data = read_file(open_folders(root), "SHA256SUMS", 64 << 20)
    except FileNotFoundError:
        return None
    require(data == b"" or data.endswith(b"\n"), "broken digest list")
    lines = [line.split("  ", 1) for line in data.decode().splitlines()]
    paths = [path for _, path in lines]
    require(paths == sorted(set(paths)) and all(len(digest) == 64 for digest, _ in lines), "broken digest list")
    return {path: digest for digest, path in lines}


def files_of(name, manifest):
    """The paths of an entry's two files, as a digest list has them."""
    return [f"v1/entries/{name[:2]}/{name}/{file}" for file in (f"kernels.{manifest['artifact']['kind']}", "manifest.json")]


def write_file(path, data):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def sync(folder):
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)


def publish(root, manifest, artifact):
    name = entry_name(manifest["inputs"], manifest["toolchain"])
    shard = Path(root, "v1/entries", name[:2])
    staging = Path(root, "v1/tmp", f"{os.getpid()}-0-{secrets.token_hex(8)}")
    for folder in (Path(root), Path(root, "v1"), Path(root, "v1/tmp"), Path(root, "v1/entries"), shard, staging):
        folder.mkdir(mode=0o700, exist_ok=True)
    tag = Path(root, "CACHEDIR.TAG")
    if not tag.exists():
        write_file(tag, b"Signature: 8a477f597d28d172789f06886806bc55\n")
    write_file(staging / f"kernels.{manifest['artifact']['kind']}", artifact)
    write_file(staging / "manifest.json", canonical(manifest))
    sync(staging)
    os.rename(staging, shard / name)  # refuses a directory that is not empty
    sync(shard)


def read(root):
    listed = read_digest_list(root)
    for name in entry_names(root):
        manifest, artifact = read_entry(root, name)
        digests = [sha256(artifact), sha256(canonical(manifest))]
        if listed is not None:
            require([listed.get(path) for path in files_of(name, manifest)] == digests, "wrong_digest: the layer's list")
    print(len(entry_names(root)))


def ask(root, kernels):
    digests = {name: sha256(Path(kernels, name).read_bytes()) for name in ("scale.cu", "factor.cuh")}
    shared = {"artifact_kind": "cubin", "headers": {"factor.cuh": digests["factor.cuh"]}, "kernels": ["scale<float>"],
              "op": "my_op", "schema": 1, "source": digests["scale.cu"], "target": "sm_90",
              "options": sorted(["--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true", "--std=c++17"])}
    for program, factor in (("double", "2"), ("triple", "3")):
        want = want_digest({**shared, "program": program, "defines": {"FACTOR": factor}})
        found = [name for name in entry_names(root) if name.startswith(want + ".")]
        require(found, f"absent: no entry of {program} under {want}")
        for name in found:
            read_entry(root, name)


def copy(root, other):
    for name in entry_names(root):
        manifest, artifact = read_entry(root, name)
        manifest["producer"] = "second implementation"
        manifest["written_from"] = "docs/cache_format.md"  # a field that older readers keep
        del manifest["manifest_sha256"]
        manifest["manifest_sha256"] = sha256(canonical(manifest))
        publish(other, manifest, artifact)


def seal(root):
    paths = [path for name in entry_names(root) for path in files_of(name, read_entry(root, name)[0])]
    lines = [f"{sha256(Path(root, path).read_bytes())}  {path}\n" for path in sorted(paths)]
    write_file(Path(root, "SHA256SUMS"), "".join(lines).encode())
    Path(root, "v1/tmp").rmdir()
    for folder, _, files in os.walk(root, topdown=False):
        for file in files:
            os.chmod(Path(folder, file), 0o444)
        os.chmod(folder, 0o555)
    print(sha256("".join(lines).encode()))


if __name__ == "__main__":
    try:
        {"read": read, "ask": ask, "copy": copy, "seal": seal}[sys.argv[1]](*sys.argv[2:])
    except (Refused, OSError, ValueError) as failure:
        sys.exit(f"second_implementation: {sys.argv[1:]}: {failure}")
