"""``python -m checks``: lists the checks, with what each does and how long it takes."""

from benchmarks.harness.process import ROOT

SCRIPTS = ROOT / "scripts"


def main() -> None:
    """Print the first paragraph of each script's comment."""
    for script in sorted(SCRIPTS.glob("check-*")):
        print(f"scripts/{script.name}")
        for line in script.read_text().splitlines()[1:]:
            if line == "#" or not line.startswith("#"):
                break
            print("   ", line.removeprefix("# "))


if __name__ == "__main__":
    main()
