#!/bin/sh
# Installs capt and what it needs into a virtual environment that runs from a read-only file system.
#
# Usage, at the top of the source tree: hack/image/build.sh PREFIX
#
# The build stage of the Dockerfile is this script, and so is the test that stands in for building the image.
set -eu

prefix=$1
wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT

python -m pip install --quiet --constraint constraints.txt hatchling
python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$wheels" .
python -m venv --without-pip "$prefix"
python -m pip --python "$prefix" install --quiet --no-compile --constraint constraints.txt "$wheels"/capt-*.whl

# A process that cannot write cannot cache bytecode, and the base image ships none, not even of the standard
# library: everything that may be imported is compiled here. The hash is unchecked because time stamps do not
# survive every image builder, and a read-only tree does not change.
standard_library=$("$prefix/bin/python" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
PYTHONPYCACHEPREFIX="$prefix/bytecode" "$prefix/bin/python" -m compileall -q -j 0 \
    --invalidation-mode unchecked-hash \
    -x "^$standard_library/(site-packages|dist-packages|test|idlelib|lib2to3|tkinter|turtledemo|ensurepip)/" \
    "$standard_library" "$prefix/lib"
