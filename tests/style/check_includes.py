#!/usr/bin/env python3
"""Holds every #include, and every USES of a layer in CMake, to the table in layers.txt."""
import fnmatch
import os
import re

import sources

TABLE = "tests/style/layers.txt"
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+([<"])([^>"]+)[>"]', re.MULTILINE)


def read_table():
    """layers.txt as {layer: layers it may use} and [(header patterns, file patterns)]."""
    layers, packages = {}, []
    for line in sources.read(TABLE).splitlines():
        if "->" in line and not line.startswith("#"):
            headers, users = line.split("->")
            packages.append((headers.split(), users.split()))
        elif ":" in line and not line.startswith("#"):
            name, uses = line.split(":")
            layers[name] = uses.split()
    return layers, packages


def table_faults(layers):
    """The table itself: each layer uses only layers above it, so there can be no cycle."""
    above, faults = set(), []
    for layer, uses in layers.items():
        faults += [f"{TABLE}: {layer} may not use {u}, which is not above it"
                   for u in uses if u not in above]
        above.add(layer)
    return faults


def place(path):
    """(layer, path below its root, is it public); layer None for programs and tests."""
    parts = path.split(os.sep)
    if parts[0] == "include":
        return parts[2], "/".join(parts[2:]), True
    if parts[0] == "src" and len(parts) > 2 and parts[1] != "tools":
        return parts[1], "/".join(parts[1:]), False
    return None, path, False


def private_homes(path, layer):
    """Folders whose private headers a file may include: its layer's; tests look into any."""
    if layer:
        return [os.path.join("src", layer)]
    if not path.startswith("tests" + os.sep):
        return ["src"]
    parts = path.split(os.sep)
    unit = [os.path.join("src", parts[2])] if parts[1] == "unit" else []
    return ["tests", *unit, "src"]


def project_fault(path, header, layers):
    """What is wrong with including another header of this project, or None."""
    layer, _, public = place(path)
    if not header.startswith("mtrain/"):
        homes = private_homes(path, layer)
        near = [os.path.normpath(os.path.join(d, header))
                for d in (os.path.dirname(path), *homes)]
        if not any(os.path.exists(f) and f.startswith(tuple(h + os.sep for h in homes))
                   for f in near):
            return f"is neither mtrain/<layer>/... nor a private header of {' or '.join(homes)}"
        return "is private, and this header is public" if public else None
    if not os.path.exists(os.path.join("include", header)):
        return "does not exist in include/"
    if layer is None or header.split("/")[1] in (layer, *layers.get(layer, ())):
        return None
    return f"is not allowed: {layer} may use {', '.join(layers.get(layer, ())) or 'no layer'}"


def package_fault(path, header, packages):
    """What is wrong with including a header of another package, or None."""
    layer, below, _ = place(path)
    if layer is None:
        return None
    for headers, users in packages:
        if any(fnmatch.fnmatch(header, h) for h in headers):
            if not any(fnmatch.fnmatch(below, u) for u in users):
                return f"belongs to {', '.join(users) or 'no file'}"
    return None


def include_faults(layers, packages):
    faults = []
    for path in sources.cpp_files():
        layer = place(path)[0]
        if layer is not None and layer not in layers:
            faults.append(f"{path}: layer {layer} is not in {TABLE}")
            continue
        text = sources.read(path)
        for match in INCLUDE.finditer(text):
            bracket, header = match.groups()
            ours = bracket == '"' or header.startswith("mtrain/")
            why = (project_fault(path, header, layers) if ours
                   else package_fault(path, header, packages))
            if why:
                line = text.count("\n", 0, match.start()) + 1
                faults.append(f"{path}:{line}: {header} {why}")
    return faults


def cmake_faults(layers):
    """A layer must not link what it may not include."""
    faults = []
    for layer, allowed in layers.items():
        path = os.path.join("src", layer, "CMakeLists.txt")
        text = sources.read(path) if os.path.exists(path) else ""
        for uses in re.findall(r"\bUSES\b([^A-Z)]*)", text):
            faults += [f"{path}: USES {u} is not allowed" for u in uses.split()
                       if u not in allowed]
    return faults


def main():
    sources.arguments(__doc__)
    layers, packages = read_table()
    faults = table_faults(layers) + include_faults(layers, packages) + cmake_faults(layers)
    sources.finish(faults, f"Move the code to the layer it belongs to; the table is {TABLE}.")


main()
