"""Compile the kernels where there is a C compiler; without one the package still works, slower."""

from pathlib import Path

from setuptools import Extension, setup

try:
    from Cython.Build import cythonize
except ImportError:  # an install without build isolation and without Cython
    modules = []
else:
    sources = sorted(Path("pipeline/kernels").glob("[a-z]*.py"))
    modules = cythonize(
        [
            Extension(
                f"pipeline.kernels.{source.stem}",
                [str(source)],
                extra_compile_args=["-O3"],
            )
            for source in sources
        ],
        language_level=3,
        quiet=True,
    )
    for module in modules:  # cythonize does not hand it on
        module.optional = True

setup(ext_modules=modules)
