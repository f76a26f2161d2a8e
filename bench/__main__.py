"""`make bench`: every benchmark of this folder, or those named. It prints figures; it never passes or fails."""

import argparse
import importlib
import pkgutil

import bench


def main() -> None:
    known = sorted(m.name for m in pkgutil.iter_modules(bench.__path__) if not m.name.startswith("_"))
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"of: {', '.join(known)} (all)")
    options = parser.parse_args()
    if unknown := set(options.name) - set(known):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    for name in options.name or known:
        print(f"\n== {name}", flush=True)
        importlib.import_module(f"bench.{name}").main()


if __name__ == "__main__":
    main()
