"""Say whether the kernels are compiled: ``python -m pipeline.kernels``, run by ``make install``."""

from __future__ import annotations

from pipeline.kernels import are_compiled

if not are_compiled():
    print(  # noqa: T201
        "The kernels are not compiled: no C compiler was found. sawlog works, some hundred times "
        "slower. Install gcc and run `make clean install`."
    )
