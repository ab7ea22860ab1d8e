"""``python -m matcaps.kernels``: compile the library for all widths of vectors, for hosts without a compiler."""

import platform

from matcaps.kernels.library import COMPILED, WIDTHS, command_for, compile_into


def main() -> None:
    """Compile into the folder that ``library`` looks at first."""
    COMPILED.mkdir(exist_ok=True)
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    for width in WIDTHS if x86 else (128,):
        file = COMPILED / f"routing-{width}.so"
        compile_into(file, command_for(width))
        print(f"wrote {file}")


if __name__ == "__main__":
    main()
